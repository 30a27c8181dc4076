"""The lines of a report as CSV cells: every figure, whatever columns are shown."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from nasrun.report.aggregate import Estimate
from nasrun.report.compare import TOPS
from nasrun.report.content import Content
from nasrun.report.overview import Overview

CSV_COLUMNS = (
    "space", "search_task", "task", "algorithm", "metric", "n", "mean", "std", "ci_low", "ci_high",
    "table_rank_median", "mean_rank", "mean_rank_all_tasks", "against", "p_value", "p_holm",
    "win_probability", "published_mean", "published_std", "published_n", "difference",
    "difference_se", "within_tolerance", "published_source", "first_n", "first_mean", "first_std",
    *(f"top{top}_share{part}" for top in TOPS
      for part in ("", "_agent_min", "_agent_max", "_agent_std")),
    "simulated_h", "published_h", "meta_agents", "meta_agent_h",
)  # fmt: skip
CLAIM_COLUMNS = (
    "space", "search_task", "task", "better", "worse", "difference", "units", "unit", "p_value",
    "p_holm",
)  # fmt: skip
STATISTICS_COLUMNS = (
    "algorithm", "tasks", "trials", "mean_score", "mean_low", "mean_high", "iqm_score", "iqm_low",
    "iqm_high", "average_rank", "units", "critical_difference", "friedman_p", "rival",
    "beats_rival", "beats_low", "beats_high",
)  # fmt: skip
PAIR_COLUMNS = ("algorithm", "other", "beats", "p_holm")
SIGNIFICANT_DIGITS = 6


def csv_rows(content: Content) -> Iterator[tuple[Any, ...]]:
    """Rows below ``CSV_COLUMNS``; None is an empty cell."""
    for line in content.lines:
        ours, theirs, meta = line.summary, line.published, line.meta
        figures = [getattr(ours, key, None) for key in ("n", "mean", "std", "ci_low", "ci_high")]
        published = [getattr(theirs, key, None) for key in ("mean", "std", "n")]
        total = content.totals.get(line.algorithm)
        shares = [
            part
            for share in line.shares
            for part in (share.share, share.agent_min, share.agent_max, share.agent_std)
        ]
        cells = [
            *figures, line.table_rank, line.mean_rank, total.mean_rank if total else None,
            line.against, line.p_value, line.p_holm, line.win, *published, line.difference,
            line.difference_se, line.within(content.report.tolerance),
            theirs.source if theirs else None,
            *(getattr(line.first, key, None) for key in ("n", "mean", "std")), *shares,
            line.hours, line.published_hours,
            *(getattr(meta, key, None) for key in ("agents", "agent_h")),
        ]  # fmt: skip
        yield (*line.problem, line.algorithm, content.report.metric, *map(cell, cells))


def claim_rows(content: Content) -> Iterator[tuple[Any, ...]]:
    """Rows below ``CLAIM_COLUMNS``."""
    for verdict in content.verdicts:
        cells = [verdict.difference, verdict.units, verdict.unit, verdict.p_value, verdict.p_holm]
        yield (*verdict.problem, verdict.better, verdict.worse, *map(cell, cells))


def statistics_rows(found: Overview) -> Iterator[tuple[Any, ...]]:
    """Rows below ``STATISTICS_COLUMNS``, best average rank first."""
    ranking = found.ranking
    for i in found.by_rank():
        cells = [
            found.tasks, found.trials, *_estimate(found.mean[i]), *_estimate(found.iqm[i]),
            float(ranking.ranks[i]), ranking.blocks, ranking.critical_difference,
            ranking.friedman_p, found.rival, *_estimate(found.against[i]),
        ]  # fmt: skip
        yield (found.algorithms[i], *map(cell, cells))


def pair_rows(found: Overview) -> Iterator[tuple[Any, ...]]:
    """Rows below ``PAIR_COLUMNS``, every ordered pair."""
    for i in found.by_rank():
        for j in found.by_rank():
            if i != j:
                cells = [float(found.better[i, j]), float(found.p_holm[i, j])]
                yield (found.algorithms[i], found.algorithms[j], *map(cell, cells))


def _estimate(found: Estimate | None) -> tuple[float | None, ...]:
    if found is None:
        return None, None, None
    # The weakest method's mean score is 0 but for rounding, which six digits would print.
    return round(found.value, 9), round(found.low, 9), round(found.high, 9)


def cell(value: Any) -> Any:
    """What stands in the file: None is an empty cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return value
    return None if np.isnan(value) else f"{value:.{SIGNIFICANT_DIGITS}g}"
