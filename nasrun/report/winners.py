"""The best architecture that any trial of a search came to."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasrun.report.jobs import Job
from nasrun.report.trials import PROBLEM
from nasrun.spec import Edges

if TYPE_CHECKING:
    from pandas import DataFrame

EdgesOf = Callable[[Path, str], Edges | None]  # a job's folder and an architecture's text -> cell


@dataclass(frozen=True)
class Winner:
    """The architecture of the highest reward on a searched task; the commonest among equals.

    ``found`` counts the trials of each algorithm that ended at it, ``figures`` has the report's
    metric on each scored task, ``table_rank`` is its rank in the benchmark table there; NaN where
    unknown.
    """

    space: str
    search_task: str
    arch: str
    reward: float
    found: Mapping[str, int]
    figures: Mapping[str, float]
    table_rank: Mapping[str, float]


def find_winners(frame: "DataFrame", metric: str) -> list[Winner]:
    """A winner per searched task, judged by the reward, which is all that a search sees.

    Where no reward is known, the metric of the report decides. Tasks where neither is known, and
    trials whose architecture is not recorded, have no winner.
    """
    judged = np.where(np.isnan(frame["reward"]), frame[metric], frame["reward"])
    winners: list[Winner] = []
    for _, rows in frame.assign(judged=judged).groupby(["space", "search_task"], sort=False):
        best = rows[(rows["judged"] == rows["judged"].max()) & rows["arch"].notna()]
        counts = Counter(best["arch"])
        if counts:
            winners.append(_winner(best.loc[best["arch"] == counts.most_common(1)[0][0]], metric))
    return winners


def _winner(rows: "DataFrame", metric: str) -> Winner:
    """The winner from the rows that hold it: one a trial and scored task."""
    first = rows.iloc[0]
    trials = rows[~rows.duplicated(["algorithm", "seed"])]
    tasks = rows[~rows.duplicated(PROBLEM)]
    return Winner(
        str(first["space"]), str(first["search_task"]), str(first["arch"]), float(first["reward"]),
        dict(Counter(trials["algorithm"]).most_common()),
        dict(zip(tasks["task"], tasks[metric].astype(float), strict=True)),
        dict(zip(tasks["task"], tasks["rank"].astype(float), strict=True)),
    )  # fmt: skip


def winner_edges(winner: Winner, jobs: Sequence[Job], edges: EdgesOf | None) -> Edges | None:
    """The winner's cell, by the config of a job that searched there; None where none is at hand."""
    if edges is None:
        return None
    own = (
        job
        for job in jobs
        if (job.search.space, job.search.search_task) == (winner.space, winner.search_task)
    )
    job = next(own, None)
    return None if job is None else edges(job.folder, winner.arch)


def described(winner: Winner, label: Callable[[str], str], unit: str) -> list[str]:
    """What to print beside the drawing."""
    lines = [] if np.isnan(winner.reward) else [f"reward of the search {winner.reward:.2f}"]
    for task, figure in winner.figures.items():
        if not np.isnan(figure):
            rank = winner.table_rank[task]
            place = "" if np.isnan(rank) else f", rank {rank:.0f} in the table"
            lines.append(f"{task}: {figure:.2f} ({unit}){place}")
    counts = ", ".join(f"{label(name)} {count}" for name, count in winner.found.items())
    return [*lines, f"trials that ended here: {counts}"]
