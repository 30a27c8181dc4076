"""What each trial of a cohort has spent, and which have finished."""

import time
from dataclasses import replace

import numpy as np

from nasrun.budget import Budget, Edge
from nasrun.spec import Floats, Ints, Mask, Measured

FREE_STEPS = 1000  # steps in a row that cost nothing, after which a trial is ended


class Meter:
    """Charges measurements to ``T`` trials until their budgets are spent.

    Args:
        budget: the limits of every trial.
        trials: T.
        startup_steps: leading steps that are free if the budget does not charge them.
        planned_steps: steps after which the method has nothing left to do; None: it never ends.
    """

    def __init__(
        self, budget: Budget, trials: int, startup_steps: int, planned_steps: int | None = None
    ) -> None:
        self._budget = budget
        self._startup_steps, self._planned_steps = startup_steps, planned_steps
        self._began = time.perf_counter()
        self._steps = 0
        self._free_steps: Ints = np.zeros(trials, np.int64)
        # By trial: the longest training of each network that was measured. A look-up a trial,
        # because comparing with every step so far would make long runs quadratic.
        self._longest: list[dict[bytes, int]] = [{} for _ in range(trials)]
        self.evaluations: Ints = np.zeros(trials, np.int64)
        self.failed: Ints = np.zeros(trials, np.int64)  # those of them that gave no score
        self._known: Mask = np.zeros(trials, np.bool_)  # whether any cost has been
        self._clock_s: Floats = np.zeros(trials)
        self.wall_s: Floats = np.full(trials, np.nan)
        self.finished: Mask = np.zeros(trials, np.bool_)

    def charge(self, measured: Measured) -> tuple[Mask, Measured]:
        """Charge one step; returns ``counted (T,)`` and the measurement with the cost charged."""
        free = self._free(measured)
        cost_s = np.where(free, 0.0, measured.cost_s)
        known = ~np.isnan(cost_s)
        after_s = self._clock_s + np.where(known, cost_s, 0.0)
        elapsed_s = time.perf_counter() - self._began
        over = self._over(after_s, elapsed_s)
        counted = ~self.finished
        if self._budget.edge is Edge.drop:
            counted = counted & ~over
        self._clock_s = np.where(counted, after_s, self._clock_s)
        self._known = self._known | (counted & known)
        count = np.ones(len(free), np.int64) if measured.count is None else measured.count
        charged = np.where(counted & ~free, count, 0)
        self.evaluations = self.evaluations + charged
        self.failed = self.failed + np.where(np.isnan(measured.score), charged, 0)
        timed = self._budget.simulated_s is not None
        solved = counted & measured.solved if measured.solved is not None else over
        self._finish(over | solved, free | (count == 0) | (timed & ~known), elapsed_s)
        return counted, replace(measured, cost_s=cost_s)

    @property
    def clock_s(self) -> Floats:
        """``(T,)`` seconds charged: the sum of the costs that are known; NaN while none is."""
        return np.where(self._known, self._clock_s, np.nan)

    def _free(self, measured: Measured) -> Mask:
        """``(T,)`` whether the measurement is not charged."""
        free = np.zeros(len(measured.archs), np.bool_)
        if not self._budget.charge_repeats:
            free = self._repeats(measured)
            if measured.count is not None:  # of a generation, the best alone is known here
                free &= measured.count <= 1
        if self._steps < self._startup_steps and not self._budget.charge_startup:
            free[:] = True
        return free

    def _repeats(self, measured: Measured) -> Mask:
        """``(T,)`` whether the trial has measured this as long before; remembers that it has.

        An architecture that started from another parent's weights was not measured before.
        """
        repeats = np.zeros(len(measured.archs), np.bool_)
        started = measured.archs
        if measured.parents is not None:
            started = np.concatenate([measured.archs, measured.parents], axis=1)
        for trial, longest in enumerate(self._longest):
            network, epochs = started[trial].tobytes(), int(measured.epochs[trial])
            before = longest.get(network, -1)  # a measurement may train for no epoch
            repeats[trial] = before >= epochs
            longest[network] = max(before, epochs)
        return repeats

    def _over(self, clock_s: Floats, elapsed_s: float) -> Mask:
        """``(T,)`` whether a time limit is reached (``keep``) or crossed (``drop``)."""
        over = np.zeros(len(clock_s), np.bool_)
        keep = self._budget.edge is Edge.keep
        if (limit := self._budget.simulated_s) is not None:
            over |= (clock_s >= limit) if keep else (clock_s > limit)
        if (limit := self._budget.wall_s) is not None:
            over |= elapsed_s >= limit
        return over

    def _finish(self, over: Mask, spent_nothing: Mask, elapsed_s: float) -> None:
        idle = spent_nothing & (self._steps >= self._startup_steps)  # however large a population is
        self._steps += 1
        self._free_steps = np.where(idle, self._free_steps + 1, 0)
        done = over | (self._free_steps >= FREE_STEPS)
        if self._budget.evaluations is not None:
            done |= self.evaluations >= self._budget.evaluations
        if self._planned_steps is not None:
            done |= self._steps >= self._planned_steps
        self.wall_s = np.where(done & ~self.finished, elapsed_s, self.wall_s)
        self.finished = self.finished | done
