"""Statistics of samples of figures, more being better: pure functions of arrays, no files.

Trials of different algorithms with the same seed are *pairs*, not independent samples: they draw
from the same streams, and a random search and an evolution even begin with the same ten
architectures. So comparisons are made within seeds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasrun.streams import Floats, Ints

NAN = float("nan")
RESAMPLES = 2000
LEVEL = 0.95
BOOTSTRAP_SEED = 0  # the interval of the same figures is the same interval
BATCH = 2_000_000  # resampled indices held at a time
ALL_FLIPS = 16  # differences up to which every combination of signs is tried


@dataclass(frozen=True)
class Summary:
    """A sample in nine numbers; ``std`` has n - 1 in the denominator, NaN for one figure.

    ``units`` of the ``n`` figures are independent, and the interval draws these: trials of one
    meta-trained agent share whatever its training came to. NaNs for a single unit.
    """

    n: int
    units: int
    mean: float
    std: float
    ci_low: float
    ci_high: float
    min: float
    median: float
    max: float


def summarise_columns(
    figures: Floats, seeds: Ints | None = None, agents: int = 0
) -> list[Summary | None]:
    """Summary of each column of ``(n, m)`` figures, NaN left out; None for an empty column.

    Columns with as many figures share their resampling, which is what makes ten metrics as cheap
    as one; but for float rounding, a column's interval is the same alone or among others.

    Args:
        figures: of the trials.
        seeds: ``(n,)`` trial seeds: seed s searched with agent s mod ``agents``.
        agents: meta-trained agents, the units that intervals draw; 0: each trial is its own.
    """
    known = ~np.isnan(figures)
    if agents and seeds is not None:
        blocks = seeds % agents
        return [
            _of_agents(figures[own, i], blocks[own]) if own.any() else None
            for i, own in enumerate(known.T)
        ]
    sizes = known.sum(axis=0)
    intervals: dict[int, tuple[float, float]] = {}
    for size in set(sizes.tolist()) - {0}:
        members = np.flatnonzero(sizes == size).tolist()
        low, high = bootstrap_ci(np.stack([figures[known[:, i], i] for i in members], axis=1))
        intervals |= {i: (float(low[k]), float(high[k])) for k, i in enumerate(members)}
    # A column at a time: a copy of all of them is large where a run has a million trials.
    return [
        _summary(figures[known[:, i], i], int(sizes[i]), *intervals[i]) if i in intervals else None
        for i in range(figures.shape[1])
    ]


def _of_agents(figures: Floats, blocks: Ints) -> Summary:
    low, high = bootstrap_ci(figures[:, None], blocks=blocks)
    return _summary(figures, len(np.unique(blocks)), float(low[0]), float(high[0]))


def _summary(figures: Floats, units: int, low: float, high: float) -> Summary:
    return Summary(
        n=len(figures),
        units=units,
        mean=float(figures.mean()),
        std=float(figures.std(ddof=1)) if len(figures) > 1 else float("nan"),
        ci_low=low,
        ci_high=high,
        min=float(figures.min()),
        median=float(np.median(figures)),
        max=float(figures.max()),
    )


def bootstrap_ci(
    figures: Floats, level: float = LEVEL, blocks: Ints | None = None
) -> tuple[Floats, Floats]:
    """Percentile bootstrap intervals of the means of ``(n, m)`` figures: two ``(m,)`` arrays.

    Efron's percentile interval with 2,000 resamples of a generator with a fixed seed; NaNs where
    there is but one to draw. A resample is kept as how often it holds each row, so all columns'
    means are one matrix product.

    Args:
        figures: of the trials, none missing.
        level: share of the intervals that shall hold the mean.
        blocks: ``(n,)`` numbers of blocks that are drawn whole, because their rows are not
            independent; None: rows are drawn.
    """
    units, m = len(figures) if blocks is None else len(np.unique(blocks)), figures.shape[1]
    if units < 2:
        return np.full(m, np.nan), np.full(m, np.nan)
    centre = figures[0]  # so that a constant column has exactly its value as interval
    deviations, sizes = figures - centre, np.ones(len(figures))
    if blocks is not None:
        members = (np.unique(blocks)[:, None] == blocks).astype(np.float64)
        deviations, sizes = members @ deviations, members.sum(axis=1)
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    rows = max(1, BATCH // units)
    means: list[Floats] = []
    for start in range(0, RESAMPLES, rows):
        drawn = resampled_counts(generator, min(rows, RESAMPLES - start), units)
        means.append(drawn @ deviations / (drawn @ sizes)[:, None])
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0)
    return centre + low, centre + high


def resampled_counts(generator: np.random.Generator, resamples: int, n: int) -> Floats:
    """``(resamples, n)`` how often each of ``n`` rows was drawn in ``n`` draws with replacement."""
    drawn = generator.integers(n, size=(resamples, n))
    drawn += n * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=resamples * n)
    return counts.reshape(resamples, n).astype(np.float64)


def mean_ranks(figures: Floats) -> Floats:
    """``(a,)`` mean rank of each of ``a`` algorithms over ``(a, n)`` trials paired by column.

    Rank 1 is the highest figure of a column, equal figures share the mean of their ranks
    (Friedman's ranks); columns with a missing figure are left out, NaN if none is complete.
    """
    complete = figures[:, ~np.isnan(figures).any(axis=0)]
    if not complete.shape[1]:
        return np.full(len(figures), np.nan)
    import pandas as pd  # SciPy's rankdata would load its statistics, half a second of a report

    return pd.DataFrame(-complete).rank(axis=0).mean(axis=1).to_numpy()


def regrets(figures: Floats) -> Floats:
    """``(a,)`` mean normalised regret of each of ``a`` algorithms over ``(a, n)`` trials.

    0 is the best figure of any trial, 1 the mean of the weakest algorithm; 0 where all figures are
    equal. Missing figures are left out, NaN where an algorithm has none.
    """
    known = ~np.isnan(figures)
    count = known.sum(axis=1)
    means = np.full(len(figures), np.nan)
    np.divide(np.where(known, figures, 0.0).sum(axis=1), count, out=means, where=count > 0)
    best = np.fmax.reduce(figures, axis=None)
    span = best - np.fmin.reduce(means)
    return (best - means) / span if span > 0 else 0.0 * means


def paired_p_value(first: Floats, second: Floats) -> float:
    """Two-sided p of Wilcoxon's signed-rank test on ``(n,)`` pairs; NaN for fewer than two.

    Wilcoxon's test and not Mann and Whitney's, because trials with the same seed share their
    random numbers (see the module), which the latter's independent samples forbid; it stays valid
    where the pairs happen to be independent. Two algorithms often end at the same architecture:
    such zero differences are ranked and then dropped (Pratt, JASA 1959).
    """
    return signed_rank_p_value(first - second)


def signed_rank_p_value(differences: Floats) -> float:
    """``paired_p_value`` of ``(n,)`` differences; NaN ones are left out."""
    known = differences[~np.isnan(differences)]
    if len(known) < 2:
        return float("nan")
    if not known.any():
        return 1.0
    from scipy.stats import wilcoxon

    return float(wilcoxon(known, zero_method="pratt").pvalue)  # pyright: ignore[reportAttributeAccessIssue]


def signed_ranks(differences: Floats) -> float:
    """Wilcoxon's statistic as a sum: ranks of ``(n,)`` differences with their signs, NaN left out.

    Above 0 where ``signed_rank_p_value`` speaks for positive ones.
    """
    from scipy.stats import rankdata

    known = differences[~np.isnan(differences)]
    return float((np.sign(known) * rankdata(np.abs(known))).sum())


def one_sided_p_value(differences: Floats) -> float:
    """Chance of a mean as high as that of ``(n,)`` differences if their signs were coin tosses.

    Fisher's sign-flip test of "the mean is positive": under the null hypothesis each independent
    difference is as likely to be of either sign. Exact up to 16 differences (so that ten agents
    can reach 1/1024), from 65,536 draws of a generator with a fixed seed beyond. Not a t test,
    because agents differ by whether their policy collapsed, which is far from a normal law; and
    not Wilcoxon's, because the claim is on the mean. NaN ones are left out; NaN if none is left.
    """
    known = differences[~np.isnan(differences)]
    n = len(known)
    if not n:
        return float("nan")
    if n <= ALL_FLIPS:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        sums = signs @ known
        return float((sums >= sums[0] - _slack(known)).mean())
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    draws, rows = 2**ALL_FLIPS, max(1, BATCH // n)
    as_high = 1  # the signs as they are
    for start in range(0, draws, rows):
        signs = generator.integers(2, size=(min(rows, draws - start), n)) * 2.0 - 1.0
        as_high += int((signs @ known >= known.sum() - _slack(known)).sum())
    return as_high / (draws + 1)


def _slack(figures: Floats) -> float:
    """Rounding error of a sum of figures: equal sums must count as equal."""
    return 1e-9 * float(np.abs(figures).sum())


def holm(p_values: Floats) -> Floats:
    """``(k,)`` p values adjusted for ``k`` comparisons (Holm 1979); NaN ones are not counted."""
    adjusted = np.full(len(p_values), np.nan)
    known: NDArray[np.intp] = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def probability_of_improvement(first: Floats, second: Floats) -> float:
    """Chance that a trial of ``first (n,)`` beats one of ``second (m,)``, equals counting half.

    Over all pairs of trials, as in Agarwal et al., "Deep RL at the Edge of the Statistical
    Precipice" (NeurIPS 2021); NaN if either has no figure.
    """
    first, second = first[~np.isnan(first)], np.sort(second[~np.isnan(second)])
    if not len(first) or not len(second):
        return float("nan")
    below = np.searchsorted(second, first, side="left")
    not_above = np.searchsorted(second, first, side="right")
    return float((below + not_above).mean() / (2 * len(second)))


def difference_in_errors(
    mean: float, std: float, n: float, other_mean: float, other_std: float, other_n: float
) -> float:
    """Difference of two independent means in standard errors of the difference (Welch's)."""
    error = np.sqrt(std**2 / n + other_std**2 / other_n)
    return float((mean - other_mean) / error) if error > 0 else float("nan")


@dataclass(frozen=True)
class Share:
    """A share of trials, 0 to 1; the spread is over agents, NaN where there are fewer than two."""

    share: float
    agent_min: float = NAN
    agent_max: float = NAN
    agent_std: float = NAN


def share_found(table_rank: Floats, seeds: Ints, top: int, agents: int) -> Share:
    """Share of trials whose architecture is among the ``top`` best of the table.

    Args:
        table_rank: ``(n,)`` rank of the found architecture, NaN where unknown.
        seeds: ``(n,)`` trial seeds: seed s searched with agent s mod ``agents``.
        top: the worst rank that counts.
        agents: meta-trained agents; 0: there are none.
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


def independent(differences: Floats, seeds: Ints, agents: int) -> Floats:
    """``(u,)`` differences that no two of share an agent: each agent's mean; of 0 agents, all.

    Trials of one meta-trained agent are not independent: they share whatever its training came to.
    """
    return block_means(differences, seeds, agents) if agents else differences


def block_means(figures: Floats, seeds: Ints, blocks: int) -> Floats:
    """``(b,)`` means over the trials of each block ``seed mod blocks``; blocks without any go."""
    known = ~np.isnan(figures)
    block = seeds[known] % blocks
    count = np.bincount(block, minlength=blocks)
    total = np.bincount(block, weights=figures[known], minlength=blocks)
    return total[count > 0] / count[count > 0]
