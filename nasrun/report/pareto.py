"""Best compromises between several objectives, and the volume that they cover."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from nasrun.errors import DataError
from nasrun.files import read_csv
from nasrun.spec import Floats, Ints, metric_named

PARETO = "pareto.csv"
BEYOND = 0.1  # of the range of an objective, by which a common reference lies beyond the worst
# Searches whose fronts may be measured from one point, and the trial within them.
FIELD = ("space", "search_task", "metric", "split", "fidelity", "run", "clock", "device")
OWNER = ("space", "search_task", "algorithm", "seed", "split", "fidelity", "run", "clock", "meta")
SEARCH = OWNER[:3]
Row = Mapping[str, str]


def pareto_front(values: Floats) -> Ints:
    """Indices of ``values (n, K)`` that no other row equals or beats in all objectives.

    Of equal rows the first one stays. In the order of the last objective, best first.
    """
    # Sorted by the last objective, then the one before it, ..., so that no later row can dominate
    # an earlier one.
    order = np.lexsort(-values.T)
    if values.shape[1] == 2:
        best_before = np.maximum.accumulate(np.append(-np.inf, values[order, 0]))[:-1]
        return order[values[order, 0] > best_before]
    kept: list[int] = []
    for row in order.tolist():
        if not (values[kept] >= values[row]).all(axis=1).any():
            kept.append(row)
    return np.array(kept, np.int64)


def hypervolume(values: Floats, reference: Floats) -> float:
    """What ``values (n, K)``, each to be maximised, dominate beyond ``reference (K,)``.

    Computed slice by slice along the last objective, which is exact; NaN without a reference.
    """
    if np.isnan(reference).any():
        return np.nan
    inside = values[(values > reference).all(axis=1)]
    if not len(inside):
        return 0.0
    if inside.shape[1] == 1:
        return float(inside.max() - reference[0])
    levels = np.unique(inside[:, -1])[::-1]
    below = np.append(levels[1:], reference[-1])
    return sum(
        float(level - lower) * hypervolume(inside[inside[:, -1] >= level, :-1], reference[:-1])
        for level, lower in zip(levels, below, strict=True)
    )


def read_fronts(folders: Iterable[Path]) -> list[dict[str, str]]:
    """The rows of the folders' ``pareto.csv``, where they have one.

    Raises:
        DataError: a file cannot be read, or is not nasrun's.
    """
    needed = {*OWNER, "metric", "arch", "val_score", "latency_ms", "hypervolume"}
    found: list[dict[str, str]] = []
    for path in [folder / PARETO for folder in folders if (folder / PARETO).exists()]:
        rows = read_csv(path)
        if rows and (missing := sorted(needed - set(rows[0]))):
            raise DataError(f"{path}: no column {', '.join(missing)}; nasrun's {PARETO} has them")
        found += rows
    return found


def front_values(row: Row) -> list[float]:
    """The objectives of a row of ``pareto.csv``, each to be maximised: the score and the speed."""
    score = float(row["val_score"] or "nan")
    if not metric_named(row["metric"]).higher_is_better:
        score = -score
    return [score, -float(row["latency_ms"])] if row["latency_ms"] else [score]


def covered(rows: Iterable[Row]) -> dict[tuple[str, ...], float]:
    """The hypervolume of each trial's front, by its ``OWNER`` columns in rows of ``pareto.csv``.

    It stands in the row where the metric has a worst value and the device a slowest network. Where
    it does not, all fronts of the same search (``FIELD``) are measured from one point: in each
    objective the worst value on any of them, and a tenth of the range beyond it, so that a front's
    ends count, too (Ishibuchi et al., "How to Specify a Reference Point in Hypervolume Calculation
    for Fair Performance Comparison", Evolutionary Computation 2018). Such figures compare with one
    another, and change when other fronts join them.
    """
    given: dict[tuple[str, ...], float] = {}
    fields: dict[tuple[str, ...], dict[tuple[str, ...], dict[str, list[float]]]] = {}
    for row in rows:
        owner = tuple(row[key] for key in OWNER)
        if row["hypervolume"]:
            given[owner] = float(row["hypervolume"])
        else:  # a front stands once for each scored task
            field = fields.setdefault(tuple(row.get(key, "") for key in FIELD), {})
            field.setdefault(owner, {})[row["arch"]] = front_values(row)
    for fronts in fields.values():
        values = {owner: np.array(list(front.values())) for owner, front in fronts.items()}
        joined = np.concatenate(list(values.values()))
        worst, best = joined.min(axis=0), joined.max(axis=0)
        reference = worst - BEYOND * np.where(best > worst, best - worst, np.abs(worst))
        given |= {owner: hypervolume(front, reference) for owner, front in values.items()}
    return given


def volumes(trials: Iterable[Row], fronts: Sequence[Row]) -> Floats:
    """``(n,)`` the hypervolume of each row's trial; NaN where a search has no fronts.

    A trial that found nothing has no row in ``pareto.csv``: where others of its search have, its
    hypervolume is 0.
    """
    known = covered(fronts)
    searches = {owner[: len(SEARCH)] for owner in known}
    owners = (tuple(str(row[key]) for key in OWNER) for row in trials)
    return np.array(
        [known.get(owner, 0.0 if owner[: len(SEARCH)] in searches else np.nan) for owner in owners]
    )
