"""Once-for-all's accuracy predictor, in place of a table of a space that is too large for one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from nasrun.benchmarks.accuracy_predictor import INPUTS, AccuracyPerceptron
from nasrun.benchmarks.checksum import sha256
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


@dataclass
class AccuracyPredictor(Evaluator):
    """The published predictor of Cai et al., "Once-for-All" (ICLR 2020).

    It learnt what networks of the authors' supernet score with inherited weights, on ImageNet
    pictures held out of the training part. Its level is above the test accuracies of the same
    networks when they are trained: read it as an order. There are no test figures.

    With ``algorithm=nsga2`` it is a peer like NSGANetV2 in MetaD2A's section 4.2, whose own
    predictors learn as its search goes on, where this one is fixed.
    """

    name: str = "accuracy_predictor"
    path: str = ""
    cache_dir: str = ""

    clock: ClassVar[Clock] = Clock.SIMULATED

    def opened(self, space: SearchSpace, task: Task) -> "AccuracyPredictorSession":
        """The predictor, loaded.

        Raises:
            UnsupportedError: networks or a task of which it has learnt nothing.
            ConfigError: the file is missing.
            DataError: it is another file.
        """
        if INPUTS not in space.encodings:
            raise UnsupportedError(
                "evaluator=accuracy_predictor has learnt of space=mobilenet_v3 as it is published, "
                f"with resolutions of 112 to 239 pixels, and this run has space={space.name}: "
                "leave that space as it is, or set evaluator=training"
            )
        return AccuracyPredictorSession(self, space, task)


class AccuracyPredictorSession(PredictedSession):
    """The predictor, opened for its space and task."""

    known_task = "imagenet"
    epochs = 1  # of the one fidelity: networks are not trained
    final = "predicted"

    def __init__(self, settings: AccuracyPredictor, space: SearchSpace, task: Task) -> None:
        super().__init__(settings.name, space, task)
        path = Path(settings.path).expanduser()
        self._perceptron = AccuracyPerceptron(path)
        memory = Path(settings.cache_dir) / "tables" / "sha256.json"
        self._files = {path.name: sha256(path, memory)}

    def evaluate(
        self, archs: Archs, *, epochs: Ints, streams: Streams, parents: Archs | None = None
    ) -> Measured:
        """Predict ``archs (T, L)`` in %, at no cost; one that does not exist scores NaN."""
        return Measured.scored(archs, epochs, self.predicted(archs), np.zeros(len(archs)))

    def predicted(self, archs: Archs) -> Floats:
        """``(n,)`` accuracies in %."""
        score, there = np.full(len(archs), np.nan), self._space.exists(archs)
        score[there] = self._perceptron.predicted(self._space.encode(archs[there], INPUTS))
        return score

    @property
    def protocol(self) -> Protocol:
        """What was predicted."""
        return Protocol(
            split="imagenet, pictures held out of the training part",
            fidelity="predicted, of once-for-all's inherited weights",
            run="one predictor",
            clock="nothing",
        )

    @property
    def files(self) -> Mapping[str, str]:
        """The predictor and its sha256."""
        return self._files
