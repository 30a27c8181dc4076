"""How often trials find one of the best architectures, and how far meta-trained agents differ."""

from dataclasses import dataclass

import numpy as np

from nasrun.streams import Floats, Ints

NAN = float("nan")


@dataclass(frozen=True)
class Share:
    """A share of trials, 0 to 1; the spread is over agents, NaN where there are fewer than two."""

    share: float
    agent_min: float = NAN
    agent_max: float = NAN
    agent_std: float = NAN


def share_found(table_rank: Floats, seeds: Ints, top: int, agents: int | None) -> Share:
    """Share of trials whose architecture is among the ``top`` best of the table.

    Args:
        table_rank: ``(n,)`` rank of the found architecture, NaN where unknown.
        seeds: ``(n,)`` trial seeds: seed s searched with agent s mod ``agents``.
        top: the worst rank that counts.
        agents: meta-trained agents; None: there are none.
    """
    known = ~np.isnan(table_rank)
    if not known.any():
        return Share(NAN)
    found = np.where(known, table_rank <= top, np.nan)
    overall = float(np.nanmean(found))
    by_agent = block_means(found, seeds, agents) if agents else np.empty(0)
    if len(by_agent) < 2:
        return Share(overall)
    return Share(
        overall, float(by_agent.min()), float(by_agent.max()), float(by_agent.std(ddof=1))
    )  # fmt: skip


def block_means(figures: Floats, seeds: Ints, blocks: int) -> Floats:
    """``(b,)`` means over the trials of each block ``seed mod blocks``; blocks without any go."""
    known = ~np.isnan(figures)
    block = seeds[known] % blocks
    count = np.bincount(block, minlength=blocks)
    total = np.bincount(block, weights=figures[known], minlength=blocks)
    return total[count > 0] / count[count > 0]
