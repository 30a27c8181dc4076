"""An evaluator whose networks inherit, opened for a space and a task."""

from collections.abc import Iterator
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np

from nasrun.errors import UnsupportedError
from nasrun.evaluators.inheriting import Inheriting
from nasrun.evaluators.training_session import TrainingSession
from nasrun.nets.training_request import Part, TrainingRequest
from nasrun.spec import Archs, Ints, Measured, Protocol, SearchSpace, Streams, Task

# By trial: of each architecture that it has trained in full, the last training.
Lineages = dict[int, dict[bytes, TrainingRequest]]


class InheritingSession(TrainingSession):
    """Trains what is asked for from the parents' weights, unless that lineage is on record.

    A parent's weights are those of its last training in the same trial. What a trial has trained is
    remembered for as long as the streams of its search live, because a session serves several.
    """

    def __init__(self, settings: Inheriting, space: SearchSpace, task: Task) -> None:
        super().__init__(settings, space, task)
        # No architecture stands for another: morphisms lead from one encoding to another.
        self._represent = lambda arch: arch
        self._lineages: WeakKeyDictionary[Streams, Lineages] = WeakKeyDictionary()

    def evaluate(
        self, archs: Archs, *, epochs: Ints, streams: Streams, parents: Archs | None = None
    ) -> Measured:
        """Train ``archs (T, L)`` for ``epochs (T,)``, from ``parents (T, L)`` where they are given.

        One that fails scores NaN, at its cost; its children begin from scratch.

        Raises:
            UnsupportedError: a parent that the trial has not trained in full.
        """
        trials = self._trials(streams)
        score, cost_s = np.full(len(archs), np.nan), np.zeros(len(archs))
        requests = dict(self._asked(archs, epochs, trials, parents))
        for (at, request), curve in zip(
            requests.items(), self._curves(list(requests.values())), strict=True
        ):
            score[at], cost_s[at] = curve[-1].val_score, self._cost_s(curve)
            if request.until == request.epochs:
                trials[at][request.choices.tobytes()] = request
        found = Measured.scored(archs, epochs, score, cost_s)
        return replace(found, parents=parents)

    def _asked(
        self,
        archs: Archs,
        epochs: Ints,
        trials: list[dict[bytes, TrainingRequest]],
        parents: Archs | None,
    ) -> Iterator[tuple[int, TrainingRequest]]:
        """The trainings of those that exist, with their numbers."""
        seed, length = self._settings.seed, self._settings.epochs
        for at in np.flatnonzero(self._space.exists(archs)).tolist():
            own = self._request(archs[at], self._task, Part.search, seed, length, int(epochs[at]))
            parent = "" if parents is None else self._parent(parents[at], trials[at])
            yield at, replace(own, parent=parent, keep=True)

    def _parent(self, parent: Archs, known: dict[bytes, TrainingRequest]) -> str:
        """The name of a parent's training; empty if it failed."""
        request = known.get(parent.astype(np.int64).tobytes())
        if request is None:
            raise UnsupportedError(
                f"evaluator={self.name} hands on what the same trial has trained in full, and the "
                f"parent {self._space.text(parent)} is not among it: measure parents first"
            )
        return "" if self._cache.known(request)[-1].failure else request.name(self._cache.device)

    def _trials(self, streams: Streams) -> list[dict[bytes, TrainingRequest]]:
        """What each trial of these streams has trained."""
        known = self._lineages.setdefault(streams.origin, {})
        return [known.setdefault(seed, {}) for seed in streams.seeds]

    @property
    def protocol(self) -> Protocol:
        """That of a training, with what it begins with."""
        own = super().protocol
        return replace(own, fidelity=f"{own.fidelity}, from inherited weights")
