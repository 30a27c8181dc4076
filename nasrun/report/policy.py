"""What policies and logits became: heat maps of ``policy.csv``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nasrun.errors import DataError
from nasrun.files import read_csv
from nasrun.report.jobs import Job, Search
from nasrun.report.style import empty
from nasrun.streams import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

    from nasrun.report.content import Content

KEYS = ["seed", "decision"]
READABLE = 12  # decisions and options up to which cells are numbered
CELL_IN = (0.72, 0.34)
FRAME_IN = (1.1, 1.7)
COLUMNS = 3  # of panels
DARK = 0.55  # probability from which a number is white


@dataclass(frozen=True)
class Preferences:
    """Mean probabilities over the trials of a search: ``shares (decisions, options)``, NaN: none.

    ``certain (decisions,)``: share of the trials whose decision gives one option at least 0.95.
    """

    options: tuple[str, ...]
    shares: Floats
    certain: Floats
    trials: int


CERTAIN = 0.95


def preferences(jobs: Sequence[Job]) -> Mapping[Search, Preferences]:
    """What became of the policies of every search that has some.

    Raises:
        DataError: a ``policy.csv`` is not nasrun's.
    """
    by_search: dict[Search, list[Job]] = {}
    for job in jobs:
        if job.policy is not None:
            by_search.setdefault(job.search, []).append(job)
    return {search: _preferences(own) for search, own in by_search.items()}


def _preferences(jobs: Sequence[Job]) -> Preferences:
    paths = [job.policy for job in jobs if job.policy is not None]
    rows = [row for path in paths for row in read_csv(path)]
    try:
        decision = np.array([int(row["decision"]) for row in rows])
        options = [name for name in rows[0] if name not in KEYS]
        cells = np.array([[float(row[name] or "nan") for name in options] for row in rows])
        trials = len({row["seed"] for row in rows})
    except (ValueError, KeyError, IndexError) as error:
        raise DataError(f"{', '.join(map(str, paths))}: cannot be read ({error!r})") from None
    parts = [cells[decision == at] for at in np.unique(decision)]
    shares = np.stack([part.mean(axis=0) for part in parts])
    certain = np.array([(np.nanmax(part, axis=1) >= CERTAIN).mean() for part in parts])
    return Preferences(tuple(options), shares, certain, trials)


def panel_title(content: "Content", search: Search) -> str:
    """Whose preferences a panel shows."""
    trials = content.policies[search].trials
    noun = "trial" if trials == 1 else "trials"
    task = content.searched(search.space, search.search_task)
    return f"{content.label(search.algorithm)} on {task}, {trials:,} {noun}"


def policy_figure(content: "Content") -> "Drawing":
    """A panel per search: decisions by rows, options by columns, dark is probable."""
    found = content.policies
    columns = min(COLUMNS, len(found))
    rows = -(-len(found) // columns)
    width = FRAME_IN[0] + CELL_IN[0] * max(len(own.options) for own in found.values())
    height = FRAME_IN[1] + CELL_IN[1] * min(28, max(len(own.shares) for own in found.values()))
    figure = empty((columns * width + 0.8, rows * height))
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel, (search, own) in zip(panels, found.items(), strict=False):
        image = panel.imshow(own.shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        panel.set_title(panel_title(content, search), fontweight="bold", fontsize=10)
        panel.set_xticks(range(len(own.options)), own.options, rotation=35, ha="right")
        panel.set(ylabel="decision")
        panel.set_yticks(range(len(own.shares)))
        panel.grid(visible=False)
        _numbered(panel, own)
        if panel is panels[0]:
            figure.colorbar(image, ax=panels, label="mean probability at the end of the search")
    for panel in panels[len(found) :]:
        panel.set_axis_off()
    return figure


def _numbered(panel: "Axes", own: Preferences) -> None:
    if max(own.shares.shape) > READABLE:
        return
    for (row, column), share in np.ndenumerate(own.shares):
        if not np.isnan(share):
            colour = "white" if share > DARK else "black"
            panel.text(column, row, f"{share:.2f}", ha="center", va="center", size=8, color=colour)
