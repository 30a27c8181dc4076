"""Measuring by a few recorded trainings of one task."""

from collections.abc import Sequence

import numpy as np

from nasrun.benchmarks.trainings import TrainedEpoch
from nasrun.spec import (
    Archs,
    Ints,
    Mask,
    Measured,
    Measuring,
    Protocol,
    SearchSpace,
    Streams,
    Task,
    metric_named,
)


class NearestRecorded(Measuring):
    """Measures, in the place of an architecture, the nearest recorded one.

    Nearest is in how few decisions differ; of equally near ones the first on record. ``Measured``
    says which one it was, so that nothing is learnt about an architecture that nobody trained. A
    trial gets each recorded architecture once, until it has had all of them.

    Args:
        curves: the epochs of each training.
        space: whose architectures were trained.
        task: on which they were.
    """

    def __init__(
        self, curves: Sequence[Sequence[TrainedEpoch]], space: SearchSpace, task: Task
    ) -> None:
        self._task, self._last = task, curves[0][-1]
        self.metric = metric_named(self._last.metric)
        self._archs = np.array([space.parse(curve[-1].arch) for curve in curves], np.int64)
        self._scores = np.array([curve[-1].val_score for curve in curves])
        self._cost_s = np.array(
            [sum(row.train_s for row in curve) + curve[-1].valid_s for curve in curves]
        )
        self._had: Mask = np.zeros((0, len(curves)), np.bool_)

    @property
    def fidelities(self) -> tuple[int, ...]:
        """The full training alone."""
        return (self._last.epochs,)

    def evaluate(
        self, archs: Archs, *, epochs: Ints, streams: Streams, parents: Archs | None = None
    ) -> Measured:
        """The score and seconds on record of what is nearest to ``archs (T, L)``."""
        if len(self._had) != len(archs):
            self._had = np.zeros((len(archs), len(self._archs)), np.bool_)
        self._had[self._had.all(axis=1)] = False
        distance = (archs[:, None, :] != self._archs[None]).sum(axis=2).astype(np.float64)
        nearest = np.where(self._had, np.inf, distance).argmin(axis=1)
        self._had[np.arange(len(archs)), nearest] = True
        figures = self._scores[nearest], self._cost_s[nearest]
        return Measured.scored(self._archs[nearest], epochs, *figures)

    @property
    def protocol(self) -> Protocol:
        """Where the figures come from."""
        last = self._last
        return Protocol(
            split=self._task.search_split,
            fidelity=f"val@{last.epochs}; nearest of {len(self._archs)} on record",
            run=str(last.seed),
            clock=f"recorded: {last.epochs} epochs + 1 validation pass",
        )
