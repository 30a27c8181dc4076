"""Trainings on record: each is done once, by this process or another, and looked up after that."""

import math
from collections.abc import Hashable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nasrun.benchmarks.trainings import TrainedEpoch, TrainingLog
from nasrun.errors import DataError
from nasrun.files import unwritable
from nasrun.images import Images, Splits
from nasrun.locks import file_lock
from nasrun.nets.checkpoint import load_checkpoint
from nasrun.nets.cohort_trainer import cohort_shape, train_together
from nasrun.nets.device import Device
from nasrun.nets.footprint import footprint
from nasrun.nets.loader import SMALL_PX, Augmentation, Loader, load_batches
from nasrun.nets.trainer import Epoch, EpochBatches, Trainer, judged
from nasrun.nets.training_request import Part, TrainingRequest

JUDGE_BATCH = 1000  # images judged at a time: more than are trained on, as no gradients are kept
JUDGE_PIXELS = 2**20  # the same, of images whose every pixel has an output
SMALL_MFLOPS = 2000.0  # of a batch's forward pass, up to which one CPU thread does it


def judged_unseen(splits: Splits) -> bool:
    """Whether the final training leaves the search's validation images out."""
    return len(splits.final_train) == len(splits.search_train)


class TrainingCache:
    """The log of trainings, which does those that it does not know yet.

    The images of the task that was asked for last stay in memory.

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
        """The epochs asked for, if all are on record, with weights to keep, or the training failed.

        Weights that an earlier request did not keep are trained anew; their figures stay.
        """
        curve = self.log.curve(request.name(self.device))
        if curve and curve[-1].failure:
            return curve[: request.until]
        gone = request.keep and not self.checkpoint(request).exists()
        return curve[: request.until] if len(curve) >= request.until and not gone else []

    def checkpoint(self, request: TrainingRequest) -> Path:
        """Where the training's weights are until it is over, and for good if they are to stay."""
        return self._weights(request.name(self.device))

    def _weights(self, name: str) -> Path:
        return self.folder / "checkpoints" / f"{name}.pt"

    def train(self, request: TrainingRequest) -> None:
        """Train as far as the request asks, and put the epochs on record.

        Of several processes that want the same training, one does it and the others wait.

        Raises:
            DataError: the folder cannot be written; a checkpoint is damaged, or a parent's gone.
        """
        path = self.checkpoint(request)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with file_lock(path.with_suffix(".lock")):
                if not self.known(request):
                    self.log.add(self._train(request, self._trainer(request, path)))
                self._tidy(request)
        except OSError as error:
            raise unwritable(path, error) from error

    def train_together(self, requests: Sequence[TrainingRequest]) -> None:
        """``train`` for several requests of one length, networks of one shape at the same time.

        Raises:
            DataError: as ``train``.
        """
        by_path = {self.checkpoint(request): request for request in requests}
        path = next(iter(by_path)).parent
        try:
            path.mkdir(parents=True, exist_ok=True)
            with ExitStack() as locks:
                for path in sorted(by_path):  # in one order, so that no two wait for each other
                    locks.enter_context(file_lock(path.with_suffix(".lock")))
                self._train_cohorts([own for own in requests if not self.known(own)])
                for request in requests:
                    self._tidy(request)
        except OSError as error:
            raise unwritable(path, error) from error

    def _train_cohorts(self, requests: Sequence[TrainingRequest]) -> None:
        """Networks of one shape that are equally far train at once, all others by themselves."""
        cohorts: dict[Hashable, list[tuple[TrainingRequest, Trainer]]] = {}
        for request in requests:
            trainer = self._trainer(request, self.checkpoint(request))
            shape = cohort_shape(trainer)
            if shape is None:
                shape = request.name(self.device)
            cohorts.setdefault((shape, trainer.done), []).append((request, trainer))
        for cohort in cohorts.values():
            if len(cohort) > 1:
                self._train_cohort(cohort)
            else:
                self.log.add(self._train(*cohort[0]))

    def _train_cohort(self, cohort: Sequence[tuple[TrainingRequest, Trainer]]) -> None:
        first, parts = cohort[0][0], self._parts(cohort[0][0])
        train_together(
            [trainer for _, trainer in cohort],
            [_epochs(parts.train, request.seed) for request, _ in cohort],
            parts.judges,
            first.until,
            first.judged or None,
        )
        how = f"; {len(cohort)} networks together"
        self.log.add(
            [row for request, trainer in cohort for row in self._rows(request, trainer, how)]
        )

    def forget_weights(self, request: TrainingRequest) -> None:
        """Remove weights that a process was killed too early to remove."""
        if self.checkpoint(request).exists():
            with file_lock(self.checkpoint(request).with_suffix(".lock")):
                self._tidy(request)

    def _tidy(self, request: TrainingRequest) -> None:
        """Remove weights that nothing will ask for, once the training's last epoch is on record."""
        curve = self.log.curve(request.name(self.device))
        if curve and curve[-1].epoch >= request.epochs and not request.keeps:
            self.checkpoint(request).unlink(missing_ok=True)

    def network(self, request: TrainingRequest) -> nn.Module:
        """The trained network of a request that keeps its weights, on the CPU.

        Raises:
            DataError: its checkpoint is gone, or damaged.
        """
        path = self.checkpoint(request)
        if not path.exists():
            raise DataError(f"{path} is gone: delete {self.log.path} to train anew")
        return self._trainer(request, path).network.cpu().eval()

    def _trainer(self, request: TrainingRequest, path: Path) -> Trainer:
        device = self._device_for(request)
        return Trainer(
            request.build,
            request.objective,
            request.recipe,
            request.epochs,
            device,
            request.seed,
            path,
            self._inherited(request) if request.parent and not path.exists() else None,
        )

    def _inherited(self, request: TrainingRequest) -> Mapping[str, Any]:
        """The parent's weights, made into those of the request's architecture."""
        path, curve = self._weights(request.parent), self.log.curve(request.parent)
        state = load_checkpoint(path) if curve and path.exists() else None
        if state is None or len(state["rows"]) < curve[-1].epochs:
            raise DataError(
                f"{path}: expected the weights of a whole training, with which {request.text} is "
                "to begin, and found none: ask for the parent's training first, with keep"
            )
        parent = request.space.parse(curve[-1].arch)
        return request.space.morph(parent, request.choices, state["network"])

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

    def _train(self, request: TrainingRequest, trainer: Trainer) -> list[TrainedEpoch]:
        parts = self._parts(request)
        batches = _epochs(parts.train, request.seed)
        trainer.train(batches, parts.judges, request.until, request.judged or None)
        return self._rows(request, trainer)

    def _parts(self, request: TrainingRequest) -> "_Parts":
        """The images of a request."""
        final, splits = request.part is Part.final, request.task.load()
        train = splits.final_train if final else splits.search_train
        judges = splits.final_test if final else splits.search_valid
        return _Parts(
            self._loader(request, "train", train, splits),
            self._loader(request, "test" if final else "valid", judges, splits),
        )

    def _rows(
        self, request: TrainingRequest, trainer: Trainer, how: str = ""
    ) -> list[TrainedEpoch]:
        """All epochs for the record.

        A final training that left the search's validation images out is judged by them, too.
        """
        val_score, splits = math.nan, request.task.load()
        final = request.part is Part.final
        if final and judged_unseen(splits) and trainer.done == request.epochs:
            valid = self._loader(request, "valid", splits.search_valid, splits)
            with self.device.computing():
                val_score = judged(trainer.network, request.objective, valid, self.device)
        last = trainer.rows[-1]
        return [
            self._record(request, row, trainer, val_score if row is last else math.nan, how)
            for row in trainer.rows
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
            augments = trains and recipe.augment and not splits.still
            self._loaders[key] = load_batches(
                images,
                splits.mean,
                splits.std,
                recipe.batch if trains else _judged_at_once(images),
                self.device.processor,
                _augmentation(request, images, splits.flip) if augments else None,
            )
        return self._loaders[key]

    def _record(
        self, request: TrainingRequest, row: Epoch, trainer: Trainer, val_score: float, how: str
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
            device=self.device.label + how + ("; halved batches" if trainer.parts > 1 else ""),
            epoch=row.epoch,
            loss=row.loss,
            metric=request.objective.metric.name,
            train_score=row.train_score,
            val_score=val_score if final else row.val_score,
            test_score=row.val_score if final else math.nan,
            train_s=row.train_s,
            valid_s=row.valid_s,
            failure=trainer.failure if row.epoch == trainer.done else "",
        )


@dataclass(frozen=True)
class _Parts:
    """Images that are trained on, and those that judge."""

    train: Loader
    judges: Loader


def _augmentation(request: TrainingRequest, images: Images, flip: bool) -> Augmentation:
    """What the recipe does to pictures in training; to dense ones, crops of the task's size."""
    recipe, px, size = request.recipe, request.task.image_px, images.pixels.shape[2:]
    own = Augmentation.standard(size[0], flip, recipe.cutout_px)
    jitter = recipe.jitter if size[0] > SMALL_PX else (0.0,) * 4
    own = replace(own, jitter=jitter, scale=recipe.scale)
    return own if images.labels.ndim < 3 or size == (px, px) else replace(own, crop=px, pad=0)


def _judged_at_once(images: Images) -> int:
    """Pictures of a batch that is judged; of dense ones, whose outputs are large, fewer."""
    if images.labels.ndim < 3:
        return JUDGE_BATCH
    return max(1, min(JUDGE_BATCH, JUDGE_PIXELS // math.prod(images.pixels.shape[2:])))


def _epochs(batches: Loader, seed: int) -> EpochBatches:
    """The batches of each epoch, in the order of a seed."""
    return lambda epoch: batches.epoch(seed, epoch)


def missing_requests(
    requests: Sequence[TrainingRequest], cache: TrainingCache
) -> list[TrainingRequest]:
    """Those that are not on record; of several for one training, the longest alone."""
    longest: dict[str, TrainingRequest] = {}
    for request in requests:
        name = request.name(cache.device)
        if cache.known(request):
            cache.forget_weights(request)
        elif request.until > getattr(longest.get(name), "until", -1):
            longest[name] = request
    return list(longest.values())
