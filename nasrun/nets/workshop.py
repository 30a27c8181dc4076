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

FORMAT = "nasrun-training-1"  # to be raised whenever the same order would give other figures
JUDGE_BATCH = 1000  # images judged at a time: more than are trained on, as no gradients are kept

SMALL_MFLOPS = 2000.0  # of a batch's forward pass, up to which one CPU thread does it


class Part(Enum):
    """Which images are trained on, and which ones judge."""

    search = "search"
    final = "final"


@dataclass(frozen=True)
class Order:
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


class Workshop:
    """Trains what is ordered, unless the log knows it; the images of one task are kept at hand.

    Args:
        folder: of the log and the checkpoints; other processes may use it at the same time.
        device: where networks are trained.
    """

    def __init__(self, folder: Path, device: Device) -> None:
        self.folder, self.device = folder, device
        self.log = TrainingLog(folder / "trainings.csv")
        self._images = ""
        self._loaders: dict[str, Loader] = {}

    def known(self, order: Order) -> list[TrainedEpoch]:
        """The epochs that were asked for, if all are on record or the training failed."""
        curve = self.log.curve(order.name(self.device))
        failed = bool(curve) and bool(curve[-1].failure)
        return curve[: order.until] if failed or len(curve) >= order.until else []

    def checkpoint(self, order: Order) -> Path:
        """Where the training's weights are kept: between its parts, and for good if it is final."""
        return self.folder / "checkpoints" / f"{order.name(self.device)}.pt"

    def fulfil(self, order: Order) -> None:
        """Train as far as is asked for and put the epochs on record.

        Of several processes that want the same training, one does it and the others wait.

        Raises:
            DataError: the folder cannot be written; a checkpoint is damaged.
        """
        path = self.checkpoint(order)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(path.with_suffix(".lock")):
                if not self.known(order):
                    self.log.add(self._train(order, path))
        except OSError as error:
            raise unwritable(path, error) from error

    def network(self, order: Order) -> nn.Module:
        """The trained network of a final order, on the CPU.

        Raises:
            DataError: its checkpoint is gone, or damaged.
        """
        path = self.checkpoint(order)
        if not path.exists():
            raise DataError(f"{path} is gone: delete {self.log.path} to train anew")
        return self._trainer(order, path).network.cpu().eval()

    def _trainer(self, order: Order, path: Path) -> Trainer:
        device = self._device_for(order)
        return Trainer(order.build, order.recipe, order.epochs, device, order.seed, path)

    def _device_for(self, order: Order) -> Device:
        """The device, with one thread for a small network unless a number was asked for.

        Threads that wait for each other after every small operation gain little on idle cores and
        lose a lot on busy ones. The rule looks at the network alone, so that results repeat.
        """
        if self.device.on_gpu or self.device.threads is not None:
            return self.device
        with torch.device("meta"):
            _, flops_m = footprint(order.build(), order.task.image_px)
        small = flops_m * order.recipe.batch < SMALL_MFLOPS
        return replace(self.device, threads=1) if small else self.device

    def _train(self, order: Order, path: Path) -> list[TrainedEpoch]:
        trainer = self._trainer(order, path)
        final = order.part is Part.final
        splits = order.task.load()
        train = splits.final_train if final else splits.search_train
        judges = splits.final_test if final else splits.search_valid
        batches = self._loader(order, "train", train, splits)
        rows = trainer.train(
            lambda epoch: batches.epoch(order.seed, epoch),
            self._loader(order, "test" if final else "valid", judges, splits),
            order.until,
            order.judged or None,
        )
        valid_acc_pct = math.nan
        if final and judged_unseen(splits) and trainer.done == order.epochs:
            valid = self._loader(order, "valid", splits.search_valid, splits)
            with self.device.computing():
                valid_acc_pct = accuracy(trainer.network, valid, self.device)
        if not final and trainer.done == order.epochs:
            path.unlink(missing_ok=True)
        return [
            self._record(order, row, trainer, valid_acc_pct if row is rows[-1] else math.nan)
            for row in rows
        ]

    def _loader(self, order: Order, role: str, images: Images, splits: Splits) -> Loader:
        """A loader of these images, kept as long as the same pictures are asked for."""
        if order.images != self._images:
            self._images, self._loaders = order.images, {}
        recipe, trains = order.recipe, role == "train"
        key = f"{role}/{order.part.value if trains else ''}/{order.recipe_id}"
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
        self, order: Order, row: Epoch, trainer: Trainer, valid_acc_pct: float
    ) -> TrainedEpoch:
        final = order.part is Part.final
        splits = order.task.load()
        train = splits.final_train if final else splits.search_train
        sizes = len(train), len(splits.search_valid)
        return TrainedEpoch(
            training=order.name(self.device),
            task=order.task.name,
            classes=order.task.classes,
            image_px=order.task.image_px,
            train_images=sizes[0],
            valid_images=sizes[1],
            images=order.images,
            part=order.part.value,
            space=order.space.name,
            arch=order.text,
            channels=str(order.scale.channels or ""),
            cells=str(order.scale.cells or ""),
            recipe=order.recipe_id,
            epochs=order.epochs,
            seed=order.seed,
            device=self.device.label + ("; halved batches" if trainer.parts > 1 else ""),
            epoch=row.epoch,
            loss=row.loss,
            train_acc_pct=row.train_acc_pct,
            valid_acc_pct=valid_acc_pct if final else row.valid_acc_pct,
            test_acc_pct=row.valid_acc_pct if final else math.nan,
            train_s=row.train_s,
            valid_s=row.valid_s,
            failure=trainer.failure if row.epoch == trainer.done else "",
        )


def missing_orders(orders: Sequence[Order], workshop: Workshop) -> list[Order]:
    """Those that the log does not answer; of equal trainings the longest alone."""
    longest: dict[str, Order] = {}
    for order in orders:
        name = order.name(workshop.device)
        if not workshop.known(order) and order.until > getattr(longest.get(name), "until", 0):
            longest[name] = order
    return list(longest.values())
