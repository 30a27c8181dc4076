"""What predictors share: encodings of architectures, and the scale of what is learnt."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from nasrun.spec import Floats, Inputs, Mask, SearchSpace

OF_GRAPHS = frozenset({"adjacency", "categorical", "continuous"})  # encodings of a space's graphs
STD_FLOOR = 1e-9
HUNDRED_PCT = 100.0
LEAST_ERROR_PCT = 1e-3  # its logarithm is finite


class Targets(Enum):
    """On which scale a predictor learns figures."""

    plain = "plain"  # as they are
    zscore = "zscore"  # with mean 0 and standard deviation 1 over what is learnt from
    log_error = "log_error"  # z-scores of -log(100 - figure), of figures below 100


@dataclass(frozen=True)
class Scale:
    """The scale of ``T`` trials' targets: each ``(T, 1)``."""

    centre: Floats
    spread: Floats
    best: Floats

    def restored(self, z: Floats) -> Floats:
        """``(T, M)`` of predictions ``z`` on the targets' scale."""
        return z * self.spread + self.centre


def scaled(y: Floats, mask: Mask, targets: Targets) -> tuple[Floats, Scale]:
    """``(T, N)`` targets, 0 where not ``mask``, and the way back.

    The way back from ``log_error`` leads to the logarithm. A trial with figures of 100 or more has
    none in percent: z-scores are what it gets.
    """
    values = np.where(mask, y, 0.0)
    if targets is Targets.log_error:
        percent = (values < HUNDRED_PCT).all(axis=1, keepdims=True)
        errors = np.maximum(HUNDRED_PCT - values, LEAST_ERROR_PCT)
        values = np.where(mask, np.where(percent, -np.log(errors), values), 0.0)
    count = np.maximum(mask.sum(axis=1, keepdims=True), 1)
    centre, spread = np.zeros((len(y), 1)), np.ones((len(y), 1))
    if targets is not Targets.plain:
        centre = values.sum(axis=1, keepdims=True) / count
        off = np.where(mask, values - centre, 0.0)
        spread = np.sqrt((off**2).sum(axis=1, keepdims=True) / count)
        spread = np.where(spread > STD_FLOOR, spread, 1.0)
    best = best_known(values, mask)
    return np.where(mask, (values - centre) / spread, 0.0), Scale(centre, spread, best)


def best_known(y: Floats, mask: Mask) -> Floats:
    """``(T,)`` the highest of ``y (T, N)`` where ``mask``; -inf where there is none."""
    return np.where(mask, y, -np.inf).max(axis=1, initial=-np.inf)


def encoding_of(space: SearchSpace, names: Sequence[str]) -> str:
    """The first of ``names`` that the space has; its default where none is named.

    One of graphs that leave a decision out is taken if no other can be.

    Raises:
        ConfigError: it has none of them.
    """
    if not names:
        return space.require_encoding(None)
    there = [name for name in names if name in space.encodings]
    whole = [name for name in there if name not in OF_GRAPHS or space.dag_says_all]
    return space.require_encoding([*whole, *there, names[-1]][0])


class Encoded:
    """Architectures, and what else is known of them, as numbers.

    Args:
        space: of the architectures.
        names: of encodings, the first of which the space has is taken.
    """

    def __init__(self, space: SearchSpace, names: Sequence[str]) -> None:
        self._space, self._name = space, encoding_of(space, names)

    def __call__(self, inputs: Inputs) -> Floats:
        """``(T, N, F)`` features."""
        shape = inputs.archs.shape
        coded = self._space.encode(inputs.archs.reshape(-1, shape[2]), self._name)
        coded = coded.reshape(*shape[:2], -1)
        return coded if inputs.extra is None else np.concatenate([coded, inputs.extra], axis=2)
