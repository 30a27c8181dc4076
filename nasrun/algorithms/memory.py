"""What methods remember of a search: its history, comparable rewards, and prioritised replay."""

from enum import Enum

import numpy as np

from nasrun.spec import Archs, Floats, Mask, Measured

STD_FLOOR = 1e-6  # of the rewards that are normalised
FLOOR = 1e-4  # added to an error, so that nothing is never drawn again; [DQ] memory.py
CEILING = 1.0  # of a priority; [DQ] memory.py


class Normalisation(Enum):
    """How rewards are made comparable over tasks, within the history of a trial."""

    zscore = "zscore"
    rank = "rank"


class History:
    """The architectures that each trial has measured, with their rewards, oldest first.

    ``archs (T, N, L)``; ``rewards (T, N)``, NaN where the measurement failed.
    """

    def __init__(self, trials: int, decisions: int) -> None:
        self.archs: Archs = np.zeros((trials, 0, decisions), np.int64)
        self.rewards: Floats = np.zeros((trials, 0))

    def __len__(self) -> int:
        """Number of measurements of each trial, N."""
        return self.rewards.shape[1]

    def add(self, measured: Measured) -> None:
        """Append what was measured, which need not be what was asked for."""
        self.archs = np.concatenate([self.archs, measured.archs[:, None]], axis=1)
        self.rewards = np.column_stack([self.rewards, measured.reward])

    def of(self, rows: slice) -> "History":
        """Those of some trials alone."""
        part = History(0, self.archs.shape[2])
        part.archs, part.rewards = self.archs[rows], self.rewards[rows]
        return part

    @property
    def known(self) -> Mask:
        """``(T, N)`` which measurements succeeded."""
        return ~np.isnan(self.rewards)

    def has(self, archs: Archs) -> Mask:
        """``(T, M)`` whether the trial has measured ``archs (T, M, L)`` before."""
        same = np.ones((*archs.shape[:2], len(self)), np.bool_)
        for place in range(archs.shape[2]):  # one array of (T, M, N, L) would be L times as large
            same &= archs[:, :, None, place] == self.archs[:, None, :, place]
        return np.logical_or.reduce(same, axis=2)


def normalised(rewards: Floats, how: Normalisation) -> Floats:
    """``(T, N)`` rewards with mean 0 and variance 1 in each row; 0 where missing or all alike."""
    known = ~np.isnan(rewards)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    values = np.where(known, rewards, 0.0)
    if how is Normalisation.rank:
        # What failed comes behind all others.
        values = np.where(known, _ranks(np.where(known, rewards, np.inf)), 0.0)
    centred = np.where(known, values - values.sum(axis=1, keepdims=True) / count, 0.0)
    std = np.sqrt((centred**2).sum(axis=1, keepdims=True) / count)
    return np.where(std > STD_FLOOR, centred / np.maximum(std, STD_FLOOR), 0.0)


def _ranks(figures: Floats) -> Floats:
    """``(T, N)`` how many figures of a row are less than each, and half of those that equal it."""
    order = np.argsort(figures, axis=1, kind="stable")
    ordered = np.take_along_axis(figures, order, axis=1)
    place, edge = np.arange(figures.shape[1]), np.ones((len(figures), 1), np.bool_)
    differs = ordered[:, 1:] != ordered[:, :-1]
    begins, ends = np.hstack([edge, differs]), np.hstack([differs, edge])
    less = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    behind = np.where(ends, place + 1, figures.shape[1])[:, ::-1]
    not_more = np.minimum.accumulate(behind, axis=1)[:, ::-1]
    ranks = np.empty(figures.shape)
    np.put_along_axis(ranks, order, (less + not_more) / 2, axis=1)
    return ranks


class Replay:
    """Draws batches of a growing memory, those with large errors more often; rows are trials.

    Schaul et al., "Prioritized Experience Replay" (ICLR 2016), proportional variant; a batch is
    drawn without replacement, because it is most of the memory.

    Args:
        trials: T.
        alpha: exponent of a priority in the probability to be drawn.
        beta: exponent of the importance weights at the first draw.
        beta_step: growth of that exponent per draw, up to 1.
        share: of the memory that makes a batch.
    """

    def __init__(
        self, trials: int, alpha: float, beta: float, beta_step: float, share: float
    ) -> None:
        self._alpha, self._beta, self._beta_step, self._share = alpha, beta, beta_step, share
        self._priority: Floats = np.zeros((trials, 0))

    def add(self, usable: Mask) -> None:
        """Append one entry per trial with the highest priority; 0 if not usable."""
        highest = self._priority.max(axis=1, initial=0.0)
        first = np.where(highest > 0, highest, CEILING)
        self._priority = np.column_stack([self._priority, np.where(usable, first, 0.0)])

    def draw(self, noise: Floats) -> Floats:
        """``(T, N)`` importance weights of a batch, at most 1 each; 0 where not in the batch.

        Args:
            noise: ``(T, N)`` standard Gumbel numbers.
        """
        usable = self._priority > 0
        count = usable.sum(axis=1, keepdims=True)
        mass = np.where(usable, self._priority, 0.0) ** self._alpha * usable
        keys = np.where(usable, np.log(np.where(usable, mass, 1.0)) + noise, -np.inf)
        place = np.argsort(np.argsort(-keys, axis=1, kind="stable"), axis=1, kind="stable")
        chosen = usable & (place < np.maximum(np.rint(self._share * count), 1))
        chance = mass / np.maximum(mass.sum(axis=1, keepdims=True), FLOOR)
        weight = np.where(chosen, np.maximum(count * chance, FLOOR) ** -self._beta, 0.0)
        self._beta = min(1.0, self._beta + self._beta_step)
        return weight / np.maximum(weight.max(axis=1, keepdims=True), FLOOR)

    def update(self, drawn: Mask, error: Floats) -> None:
        """Give what was ``drawn (T, N)`` the priority of its new ``error (T, N)``."""
        priority = np.minimum(np.abs(error) + FLOOR, CEILING)
        self._priority = np.where(drawn, priority, self._priority)
