"""An evaluator that answers from a few recorded trainings of one task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nasrun.benchmarks.trainings import TrainedEpoch
from nasrun.errors import UnsupportedError
from nasrun.spec import (
    Archs,
    Clock,
    Evaluator,
    Ints,
    Mask,
    Measured,
    Scored,
    SearchSpace,
    Streams,
    Task,
)


@dataclass
class NearestRecorded(Evaluator):
    """Measures, in the place of an architecture, the nearest recorded one.

    Nearest is in how few decisions differ; of equally near ones the first on record. ``Measured``
    says which one it was, so that nothing is learnt about an architecture that nobody trained. A
    trial gets each recorded architecture once, until it has had all of them.

    ``curves`` holds the epochs of each training.
    """

    name: str
    curves: Sequence[Sequence[TrainedEpoch]]

    clock: ClassVar[Clock] = Clock.SIMULATED

    def start(self, space: SearchSpace, task: Task) -> None:
        """Forget who has had what."""
        self._task = task
        self._archs = np.array([space.parse(curve[-1].arch) for curve in self.curves], np.int64)
        self._accuracy = np.array([curve[-1].valid_acc_pct for curve in self.curves])
        self._cost_s = np.array(
            [sum(row.train_s for row in curve) + curve[-1].valid_s for curve in self.curves]
        )
        self._had: Mask = np.zeros((0, len(self.curves)), np.bool_)

    @property
    def fidelities(self) -> tuple[int, ...]:
        """The full training alone."""
        return (self.curves[0][-1].epochs,)

    def evaluate(self, archs: Archs, *, epochs: Ints, streams: Streams) -> Measured:
        """The accuracy and seconds on record of what is nearest to ``archs (T, L)``."""
        if len(self._had) != len(archs):
            self._had = np.zeros((len(archs), len(self._archs)), np.bool_)
        self._had[self._had.all(axis=1)] = False
        distance = (archs[:, None, :] != self._archs[None]).sum(axis=2).astype(np.float64)
        nearest = np.where(self._had, np.inf, distance).argmin(axis=1)
        self._had[np.arange(len(archs)), nearest] = True
        unknown = np.full(len(archs), np.nan)
        figures = self._accuracy[nearest], self._cost_s[nearest]
        return Measured(self._archs[nearest], epochs, *figures, unknown, unknown)

    def score(self, archs: Archs, task: Task) -> Scored:
        """Refused: these trainings are there to learn from."""
        raise UnsupportedError(f"evaluator={self.name} gives no final figures: use a table")

    @property
    def protocol(self) -> Mapping[str, str]:
        """Where the figures come from."""
        last = self.curves[0][-1]
        return {
            "split": self._task.search_split,
            "fidelity": f"val@{last.epochs}; nearest of {len(self.curves)} on record",
            "run": str(last.seed),
            "clock": f"recorded: {last.epochs} epochs + 1 validation pass",
        }
