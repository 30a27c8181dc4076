"""Trainings that begin with the weights of a once-for-all network."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, cast

from nasrun.benchmarks.trainings import TrainedEpoch
from nasrun.nets.device import Device
from nasrun.nets.inverted_residual import Network
from nasrun.nets.loader import Loader
from nasrun.nets.once_for_all import OnceForAll
from nasrun.nets.trainer import Epoch, Trainer, judged
from nasrun.nets.training_cache import JUDGE_BATCH, TrainingCache
from nasrun.nets.training_request import Part, TrainingRequest
from nasrun.spec import Task


class InheritedCache(TrainingCache):
    """A log whose networks are cut out of a supernet; of a training of 0 epochs, just that.

    Statistics of the normalisation are taken anew from the request's own training images, as Cai et
    al., "Once-for-All" (ICLR 2020) judge their networks.

    Args:
        folder: of the log and the checkpoints.
        device: where networks are trained.
        supernet: gives the network whose weights they begin with; asked once, for the first.
        classes: which of the supernet's classes those of a task are; none of them: the classifier
            begins with weights that are drawn.
        images: how many training images normalisation takes its statistics from, in whole batches.
    """

    def __init__(
        self,
        folder: Path,
        device: Device,
        supernet: Callable[[], OnceForAll],
        classes: Callable[[Task], Sequence[int]],
        images: int,
    ) -> None:
        super().__init__(folder, device)
        self._trained_supernet, self._classes = supernet, classes
        self._batches = math.ceil(images / JUDGE_BATCH)

    @cached_property
    def _supernet(self) -> OnceForAll:
        return self._trained_supernet()

    def known(self, request: TrainingRequest) -> list[TrainedEpoch]:
        """As in any log; a training of 0 epochs has a row of its own, of epoch 0."""
        return super().known(request) if request.epochs else self.log.curve(self._name(request))

    def _name(self, request: TrainingRequest) -> str:
        return request.name(self.device)

    def _inherited(self, request: TrainingRequest) -> Mapping[str, Any]:
        """The supernet's weights of the request's architecture."""
        with self.device.seeded(request.seed):
            network = cast(Network, request.build())
        network.to(self.device.processor)
        shuffled = self._unaltered(request).epoch(request.seed, 0)
        batches = [x for x, _ in islice(shuffled, self._batches)]
        with self.device.computing():
            classes = self._classes(request.task)
            self._supernet.hand_on(network, request.choices, batches, classes)
        return network.state_dict()

    def _unaltered(self, request: TrainingRequest) -> Loader:
        """The training images as they are."""
        splits, final = request.task.load(), request.part is Part.final
        images = splits.final_train if final else splits.search_train
        return self._loader(request, f"unaltered {request.part.value}", images, splits)

    def _train(self, request: TrainingRequest, trainer: Trainer) -> list[TrainedEpoch]:
        if request.epochs:
            return super()._train(request, trainer)
        began = time.perf_counter()
        with self.device.computing():
            score = judged(
                trainer.network, request.objective, self._parts(request).judges, self.device
            )
        seconds = time.perf_counter() - began
        trainer.rows.append(Epoch(0, math.nan, math.nan, score, 0.0, seconds))
        return self._rows(request, trainer)
