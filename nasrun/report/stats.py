"""Statistics of a sample of figures: pure functions, no files."""

from dataclasses import dataclass

import numpy as np

from nasrun.streams import Floats

RESAMPLES = 2000
LEVEL = 0.95
BOOTSTRAP_SEED = 0  # the interval of the same figures is the same interval
BATCH = 2_000_000  # resampled figures held at a time


@dataclass(frozen=True)
class Summary:
    """A sample in eight numbers; ``std`` has n - 1 in the denominator, NaN for one figure."""

    n: int
    mean: float
    std: float
    ci_low: float
    ci_high: float
    min: float
    median: float
    max: float


def summarise(figures: Floats) -> Summary | None:
    """Summary of the figures that are there (not NaN); None if there is none."""
    known = figures[~np.isnan(figures)]
    if not len(known):
        return None
    low, high = bootstrap_ci(known)
    return Summary(
        n=len(known),
        mean=float(known.mean()),
        std=float(known.std(ddof=1)) if len(known) > 1 else float("nan"),
        ci_low=low,
        ci_high=high,
        min=float(known.min()),
        median=float(np.median(known)),
        max=float(known.max()),
    )


def bootstrap_ci(figures: Floats, level: float = LEVEL) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of ``(n,)`` figures; NaNs for one figure."""
    if len(figures) < 2:
        return float("nan"), float("nan")
    if (figures == figures[0]).all():
        return float(figures[0]), float(figures[0])
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    rows = max(1, BATCH // len(figures))
    means = [
        figures[generator.integers(len(figures), size=(min(rows, RESAMPLES - start), len(figures)))]
        .mean(axis=1)
        for start in range(0, RESAMPLES, rows)
    ]  # fmt: skip
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)
