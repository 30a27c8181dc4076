"""The best reward so far while searches go on, as curves with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nasrun.report.content import Content
from nasrun.report.jobs import Histories, Job, Search, read_histories
from nasrun.report.stats import bootstrap_ci
from nasrun.streams import Floats

MOMENTS = 60  # at which the curves against hours are computed
SETTLED = 0.1  # of the budget: a panel shows the height of the curves from here on


@dataclass(frozen=True)
class Curve:
    """``(k,)`` mean of the best so far with its 95% interval, at ``x (k,)``."""

    x: Floats
    mean: Floats
    low: Floats
    high: Floats


Curves = Mapping[Search, tuple[Curve, Curve]]  # against evaluations, against hours


def anytime_curves(content: Content, jobs: Sequence[Job]) -> Curves:
    """The curves of every search whose jobs are at hand.

    Raises:
        DataError: an ``evaluations.csv`` of the jobs cannot be read.
    """
    found: dict[Search, tuple[Curve, Curve]] = {}
    for problem, trials in content.problems.items():
        for name in trials.algorithms:
            search = Search(problem.space, problem.search_task, name)
            own = [job for job in jobs if job.search == search]
            if own and search not in found:  # scored tasks share a search
                histories = read_histories(own)
                found[search] = by_evaluations(histories), by_hours(histories)
    return found


def settled(curves: Sequence[Curve]) -> tuple[float, float]:
    """Lowest and highest mean after the first tenth of the budget; NaNs where there is no curve."""
    late = [
        np.append(curve.mean[curve.x >= SETTLED * curve.x[-1]], [curve.low[-1], curve.high[-1]])
        for curve in curves
        if len(curve.x)
    ]
    if not late:
        return float("nan"), float("nan")
    values = np.concatenate(late)
    return float(np.nanmin(values)), float(np.nanmax(values))


def by_evaluations(histories: Histories) -> Curve:
    """The curve against evaluations, until half of the trials have ended.

    What a trial found stays found after its end. The curve begins where every trial has measured
    an architecture after the full training.
    """
    best = np.fmax.accumulate(histories.best, axis=1)
    lengths = (~np.isnan(histories.clock_h)).sum(axis=1)
    last = int(np.median(lengths))
    return _curve(np.arange(1.0, last + 1), best[:, :last])


def by_hours(histories: Histories) -> Curve:
    """The curve against hours, until half of the trials have ended; empty if costs are unknown."""
    ends_h = np.nanmax(histories.clock_h, axis=1, initial=-np.inf)
    if not np.isfinite(ends_h).all():
        return _curve(np.empty(0), np.empty((len(ends_h), 0)))
    hours = np.linspace(0.0, float(np.median(ends_h)), MOMENTS + 1)[1:]
    best = np.fmax.accumulate(histories.best, axis=1)
    so_far = np.stack(
        [_at(hours, *trial) for trial in zip(histories.clock_h, best, strict=True)]
    )  # fmt: skip
    return _curve(hours, so_far)


def _at(hours: Floats, clock_h: Floats, best: Floats) -> Floats:
    """``(k,)`` best of one trial's measurements that were over by then; NaN before the first."""
    ended = clock_h[~np.isnan(clock_h)]
    over = np.searchsorted(ended, hours, side="right")
    return np.append(np.nan, best[: len(ended)])[over]


def _curve(x: Floats, best: Floats) -> Curve:
    whole = ~np.isnan(best).any(axis=0)
    x, best = x[whole], best[:, whole]
    low, high = bootstrap_ci(best)
    return Curve(x, best.mean(axis=0), low, high)
