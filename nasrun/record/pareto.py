"""Best compromises between several objectives, and the volume that they cover."""

import numpy as np

from nasrun.spec import Floats, Ints


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
