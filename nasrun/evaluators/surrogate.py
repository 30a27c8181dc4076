"""Surrogate models in place of a table: they have a score for any cell of their space."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from nasrun.benchmarks.boosted import VECTOR, Boosted
from nasrun.errors import UnsupportedError
from nasrun.evaluators.predicted import PredictedSession
from nasrun.spec import (
    Archs,
    Clock,
    Evaluator,
    Floats,
    Ints,
    Measured,
    Protocol,
    SearchSpace,
    Streams,
    Task,
)

EPOCHS = 100  # of the trainings that the models learnt from ([N3] api.py)


@dataclass
class Surrogate(Evaluator):
    """NAS-Bench-301 (Zela et al., ICLR 2022): ten XGBoost models predict the validation accuracy.

    A score is the mean of the members. With ``noise`` a normal number is added whose deviation is
    that of the members, which NAS-Bench-301's own ``predict`` does unless told otherwise (and
    NASLib's figures have it): the same cell then scores differently each time. The models know
    validation accuracies alone: there are no test scores.
    """

    name: str = "surrogate"
    path: str = ""
    runtime_path: str | None = None
    noise: bool = False
    cache_dir: str = ""

    clock: ClassVar[Clock] = Clock.SIMULATED

    def opened(self, space: SearchSpace, task: Task) -> "SurrogateSession":
        """The models, loaded.

        Raises:
            UnsupportedError: another space or task than that of the models.
            ConfigError: there are no models, or xgboost is not installed.
            DataError: a file that is no such model.
        """
        if VECTOR not in space.encodings:
            raise UnsupportedError(
                f"evaluator=surrogate predicts cells of space=nb301, and this run has "
                f"space={space.name}: set space=nb301, or evaluator=tabular"
            )
        return SurrogateSession(self, space, task)


class SurrogateSession(PredictedSession):
    """An ensemble of models, opened for its space and task."""

    known_task = "cifar10"
    epochs = EPOCHS
    final = f"predicted for {EPOCHS} epochs"

    def __init__(self, settings: Surrogate, space: SearchSpace, task: Task) -> None:
        super().__init__(settings.name, space, task)
        self._settings = settings
        inputs = space.encode(space.sample(Streams([0], "example")), VECTOR).shape[1]
        memory = Path(settings.cache_dir) / "tables" / "sha256.json"
        self._models = Boosted(Path(settings.path), inputs, memory)
        runtime = settings.runtime_path
        self._runtimes = None if runtime is None else Boosted(Path(runtime), inputs, memory)
        self._known: dict[bytes, Floats] = {}

    def evaluate(
        self, archs: Archs, *, epochs: Ints, streams: Streams, parents: Archs | None = None
    ) -> Measured:
        """Predict ``archs (T, L)``; one that does not exist scores NaN.

        The cost is a predicted runtime in seconds, NaN without models of it.
        """
        mean, deviation, cost_s = self._predicted(archs).T
        if self._settings.noise:
            mean = mean + deviation * streams.normal()[:, 0]
        return Measured.scored(archs, epochs, mean, cost_s)

    def _predicted(self, archs: Archs) -> Floats:
        """``(n, 3)`` mean and deviation of the members, and runtime; each cell is asked once."""
        keys = [arch.tobytes() for arch in archs]
        new = list({key: at for at, key in enumerate(keys) if key not in self._known}.values())
        if new:
            found = np.full((len(new), 3), np.nan)
            exist = self._space.exists(archs[new])
            if exist.any():
                features = self._space.encode(archs[new][exist], VECTOR)
                scores = self._models.predicted(features)
                found[exist, 0], found[exist, 1] = scores.mean(axis=0), scores.std(axis=0)
                if self._runtimes is not None:
                    found[exist, 2] = self._runtimes.predicted(features).mean(axis=0)
            self._known.update(zip([keys[at] for at in new], found, strict=True))
        return np.array([self._known[key] for key in keys]).reshape(-1, 3)

    def predicted(self, archs: Archs) -> Floats:
        """``(n,)`` means of the members, without noise."""
        return self._predicted(archs)[:, 0]

    @property
    def protocol(self) -> Protocol:
        """Whose predictions they are, and whether noise was added."""
        members = f"mean of {len(self._models.paths)} models"
        return Protocol(
            split="cifar10, NAS-Bench-301",
            fidelity=f"val@{EPOCHS}, predicted",
            run=f"{members} + N(0, their sd)" if self._settings.noise else members,
            clock="unknown" if self._runtimes is None else "predicted runtime",
        )

    @property
    def files(self) -> Mapping[str, str]:
        """The models and their sha256."""
        return self._models.files | ({} if self._runtimes is None else self._runtimes.files)
