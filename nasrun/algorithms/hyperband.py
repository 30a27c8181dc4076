"""Hyperband: successive halving at several trade-offs between many and long trainings."""

from dataclasses import dataclass

import numpy as np

from nasrun.algorithms.halving import ROUNDING, SuccessiveHalving, survivors
from nasrun.spec import Archs


@dataclass
class Hyperband(SuccessiveHalving):
    """Random architectures in brackets of successive halving.

    Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization" (JMLR
    2018), Algorithm 1; its Table 1 lists the brackets for R = 81 and eta = 3. The training lengths
    follow NATS-Bench's protocol for multi-fidelity search ([A] NATS-algos ``bohb.py``): 1 to 12
    epochs inside the 12-epoch training, that is the rungs 1, 4 and 12 (``evaluator.reward=val@12``
    with a table that holds every epoch). With a table of one training length, as it comes with pip,
    there is a single rung, and Hyperband is random search.

    Departures: after the last bracket the first one follows again, until the budget is spent; a
    rung's length is snapped to the epochs that the table has.
    """

    name: str = "hyperband"
    min_epochs: int = 1
    eta: float = 3.0
    merge_rungs: bool = True

    def __post_init__(self) -> None:
        self._check_ladder()

    def brackets(self, rungs: int) -> list[list[int]]:
        """``n = ceil(rungs / k * eta**(k - 1))`` architectures enter the bracket of k rungs."""
        return [
            survivors(int(np.ceil(rungs / k * self.eta ** (k - 1) - ROUNDING)), k, self.eta)
            for k in range(rungs, 0, -1)
        ]

    def propose(self) -> Archs:
        """``(T, L)`` uniform architectures."""
        return self.problem.space.sample(self.streams)
