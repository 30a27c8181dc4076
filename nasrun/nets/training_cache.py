"""Trainings that are asked for, done once, in this process or in several."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch
from torch import nn

from nasrun.benchmarks.trainings import TrainedEpoch, TrainingLog
from nasrun.errors import DataError
from nasrun.files import unwritable
from nasrun.images import Images, Splits
from nasrun.nets.device import Device
from nasrun.nets.footprint import footprint
from nasrun.nets.loader import Augmentation, Loader, load_batches
from nasrun.nets.recipe import Recipe
from nasrun.nets.trainer import Epoch, Trainer, accuracy
from nasrun.spec import Archs, Scale, SearchSpace, Task

FORMAT = "nasrun-training-1"  # to be raised whenever the same request would give other figures
JUDGE_BATCH = 1000  # images judged at a time: more than are trained on, as no gradients are kept

SMALL_MFLOPS = 2000.0  # of a batch's forward pass, up to which one CPU thread does it


class Part(Enum):
    """Which images are trained on, and which ones judge."""

    search = "search"
    final = "final"


@dataclass(frozen=True)
class TrainingRequest:
    """A training that is asked for; picklable, so that another process may do it.

    ``images`` stands for the pictures; ``until`` is how many of ``epochs`` are wanted now;
    ``judged`` lists the epochs after which to judge, none for each of them.
    """

    space: SearchSpace
    arch: tuple[int, ...]
    task: Task
    images: str
    part: Part
    scale: Scale
    recipe: Recipe
    epochs: int
    until: int
    judged: tuple[int, ...]
    seed: int

    def build(self) -> nn.Module:
        """The network; its weights are torch's own random ones."""
        return self.space.build(self._choices, self.task, self.scale)

    @property
    def text(self) -> str:
        """The architecture's text."""
        return self.space.text(self._choices)

    @property
    def _choices(self) -> Archs:
        return np.array(self.arch, np.int64)

    @cached_property
    def recipe_id(self) -> str:
        """Eight hex digits of the recipe."""
        return recipe_id(self.recipe)

    def name(self, device: Device) -> str:
        """Sixteen hex digits of everything that decides the figures."""
        what = [FORMAT, self.images, self.part.value, self.space.name, self.text, self.recipe_id]
        how = [asdict(self.scale), self.epochs, self.judged, self.seed, device.label]
        # An architecture's text does not say all: a DARTS network may have an auxiliary head.
        settings = {key: value for key, value in self._space_settings.items() if key != "name"}
        return _digest([what, how, settings] if settings else [what, how])[:16]

    @property
    def _space_settings(self) -> dict[str, Any]:
        """Fields of the space's dataclass."""
        space: Any = self.space
        return (
            {f.name: getattr(space, f.name) for f in fields(space)} if is_dataclass(space) else {}
        )


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def recipe_id(recipe: Recipe) -> str:
    """Eight hex digits of all that a recipe says."""
    return _digest(asdict(recipe))[:8]


def images_id(splits: Splits) -> str:
    """Twelve hex digits of all pictures and labels, and of how they are normalised and mirrored."""
    digest = hashlib.sha256(repr((splits.mean, splits.std, splits.flip)).encode())
    parts = (splits.search_train, splits.search_valid, splits.final_train, splits.final_test)
    for part in parts:
        digest.update(np.ascontiguousarray(part.pixels).data)
        digest.update(np.ascontiguousarray(part.labels).data)
    return digest.hexdigest()[:12]


def judged_unseen(splits: Splits) -> bool:
    """Whether the final training leaves the search's validation images out."""
    return len(splits.final_train) == len(splits.search_train)


class TrainingCache:
    """Trains what is asked for, unless the log knows it; the images of one task are kept at hand.

    Args:
        folder: of the log and the checkpoints; other processes may use it at the same time.
        device: where networks are trained.
    """

    def __init__(self, folder: Path, device: Device) -> None:
        self.folder, self.device = folder, device
        self.log = TrainingLog(folder / "trainings.csv")
        self._images = ""
        self._loaders: dict[str, Loader] = {}

    def known(self, request: TrainingRequest) -> list[TrainedEpoch]:
        """The epochs that were asked for, if all are on record or the training failed."""
        curve = self.log.curve(request.name(self.device))
        failed = bool(curve) and bool(curve[-1].failure)
        return curve[: request.until] if failed or len(curve) >= request.until else []

    def checkpoint(self, request: TrainingRequest) -> Path:
        """Where the training's weights are kept: between its parts, and for good if it is final."""
        return self.folder / "checkpoints" / f"{request.name(self.device)}.pt"

    def train(self, request: TrainingRequest) -> None:
        """Train as far as is asked for and put the epochs on record.

        Of several processes that want the same training, one does it and the others wait.

        Raises:
            DataError: the folder cannot be written; a checkpoint is damaged.
        """
        path = self.checkpoint(request)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(path.with_suffix(".lock")):
                if not self.known(request):
                    self.log.add(self._train(request, path))
        except OSError as error:
            raise unwritable(path, error) from error

    def network(self, request: TrainingRequest) -> nn.Module:
        """The trained network of a final request, on the CPU.

        Raises:
            DataError: its checkpoint is gone, or damaged.
        """
        path = self.checkpoint(request)
        if not path.exists():
            raise DataError(f"{path} is gone: delete {self.log.path} to train anew")
        return self._trainer(request, path).network.cpu().eval()

    def _trainer(self, request: TrainingRequest, path: Path) -> Trainer:
        device = self._device_for(request)
        return Trainer(request.build, request.recipe, request.epochs, device, request.seed, path)

    def _device_for(self, request: TrainingRequest) -> Device:
        """The device, with one thread for a small network unless a number was asked for.

        Threads that wait for each other after every small operation gain little on idle cores and
        lose a lot on busy ones. The rule looks at the network alone, so that results repeat.
        """
        if self.device.on_gpu or self.device.threads is not None:
            return self.device
        with torch.device("meta"):
            _, flops_m = footprint(request.build(), request.task.image_px)
        small = flops_m * request.recipe.batch < SMALL_MFLOPS
        return replace(self.device, threads=1) if small else self.device

    def _train(self, request: TrainingRequest, path: Path) -> list[TrainedEpoch]:
        trainer = self._trainer(request, path)
        final = request.part is Part.final
        splits = request.task.load()
        train = splits.final_train if final else splits.search_train
        judges = splits.final_test if final else splits.search_valid
        batches = self._loader(request, "train", train, splits)
        rows = trainer.train(
            lambda epoch: batches.epoch(request.seed, epoch),
            self._loader(request, "test" if final else "valid", judges, splits),
            request.until,
            request.judged or None,
        )
        val_score = math.nan
        if final and judged_unseen(splits) and trainer.done == request.epochs:
            valid = self._loader(request, "valid", splits.search_valid, splits)
            with self.device.computing():
                val_score = accuracy(trainer.network, valid, self.device)
        if not final and trainer.done == request.epochs:
            path.unlink(missing_ok=True)
        return [
            self._record(request, row, trainer, val_score if row is rows[-1] else math.nan)
            for row in rows
        ]

    def _loader(
        self, request: TrainingRequest, role: str, images: Images, splits: Splits
    ) -> Loader:
        """A loader of these images, kept as long as the same pictures are asked for."""
        if request.images != self._images:
            self._images, self._loaders = request.images, {}
        recipe, trains = request.recipe, role == "train"
        key = f"{role}/{request.part.value if trains else ''}/{request.recipe_id}"
        if key not in self._loaders:
            augments = trains and recipe.augment
            self._loaders[key] = load_batches(
                images,
                splits.mean,
                splits.std,
                recipe.batch if trains else JUDGE_BATCH,
                self.device.processor,
                Augmentation.standard(images.pixels.shape[2], splits.flip, recipe.cutout_px)
                if augments
                else None,
            )
        return self._loaders[key]

    def _record(
        self, request: TrainingRequest, row: Epoch, trainer: Trainer, val_score: float
    ) -> TrainedEpoch:
        final = request.part is Part.final
        splits = request.task.load()
        train = splits.final_train if final else splits.search_train
        sizes = len(train), len(splits.search_valid)
        return TrainedEpoch(
            training=request.name(self.device),
            task=request.task.name,
            classes=request.task.classes,
            image_px=request.task.image_px,
            train_images=sizes[0],
            valid_images=sizes[1],
            images=request.images,
            part=request.part.value,
            space=request.space.name,
            arch=request.text,
            channels=str(request.scale.channels or ""),
            cells=str(request.scale.cells or ""),
            recipe=request.recipe_id,
            epochs=request.epochs,
            seed=request.seed,
            device=self.device.label + ("; halved batches" if trainer.parts > 1 else ""),
            epoch=row.epoch,
            loss=row.loss,
            metric=request.task.metric.name,
            train_score=row.train_score,
            val_score=val_score if final else row.val_score,
            test_score=row.val_score if final else math.nan,
            train_s=row.train_s,
            valid_s=row.valid_s,
            failure=trainer.failure if row.epoch == trainer.done else "",
        )


def missing_requests(
    requests: Sequence[TrainingRequest], cache: TrainingCache
) -> list[TrainingRequest]:
    """Those that the log does not answer; of equal trainings the longest alone."""
    longest: dict[str, TrainingRequest] = {}
    for request in requests:
        name = request.name(cache.device)
        if not cache.known(request) and request.until > getattr(longest.get(name), "until", 0):
            longest[name] = request
    return list(longest.values())
