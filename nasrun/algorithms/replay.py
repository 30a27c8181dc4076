"""Prioritised experience replay over the history of each trial."""

import numpy as np

from nasrun.spec import Floats, Mask

FLOOR = 1e-4  # added to an error, so that nothing is never drawn again; [DQ] memory.py
CEILING = 1.0  # of a priority; [DQ] memory.py


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
        """Append one entry per trial with the highest priority; one that is not usable sleeps."""
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
