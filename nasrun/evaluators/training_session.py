"""An evaluator that trains, opened for a space and a task."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from nasrun.benchmarks.trainings import TrainedEpoch
from nasrun.errors import ConfigError, UnsupportedError
from nasrun.evaluators.training import Training
from nasrun.nets.building import built
from nasrun.nets.classification import objective_of
from nasrun.nets.device import Device
from nasrun.nets.export import check_formats, export
from nasrun.nets.footprint import footprint
from nasrun.nets.fused_cell import has_kernels
from nasrun.nets.recipe import Recipe, recipe_id
from nasrun.nets.representatives import representatives
from nasrun.nets.training_cache import TrainingCache, missing_requests
from nasrun.nets.training_request import Part, TrainingRequest, images_id
from nasrun.nets.workers import Workers, shared_workers
from nasrun.progress import stage, tell
from nasrun.spec import (
    Archs,
    Floats,
    Ints,
    Measured,
    Metric,
    Protocol,
    Scale,
    Scored,
    SearchSpace,
    Session,
    Streams,
    Task,
    no_curve,
)

# Of a row on record, by what learning curves are called.
CURVE_FIELDS = {"val_score": "val_score", "train_score": "train_score", "train_loss": "loss"}
TOGETHER = 16  # networks; what was measured on a GPU, see scripts/README.md


class TrainingSession(Session):
    """Trains what is asked for, unless it is on record.

    Args:
        settings: what the config says.
        space: whose architectures are trained.
        task: with images.
    """

    def __init__(self, settings: Training, space: SearchSpace, task: Task) -> None:
        self.name, self.metric = settings.name, self.final_metric(task)
        self._settings, self._space, self._task = settings, space, task
        self._scale = Scale(settings.channels, settings.cells)
        device = Device(
            settings.device,
            settings.precision,
            settings.deterministic,
            settings.compile,
            settings.threads,
        )
        example = space.sample(Streams([0], "example"))[0]
        network = self._build(example, task)  # refused before the search
        self._files = dict(task.load().files)
        self._images = {task.name: images_id(task.load())}
        self._represent = representatives(space)
        folder = Path(settings.cache_dir) / "trainings"
        self._cache = TrainingCache(folder, device)
        parallel = settings.parallel
        self._workers = shared_workers(parallel, folder, device) if parallel > 1 else None
        self._together = at_once(settings, device, network)

    @property
    def fidelities(self) -> tuple[int, ...]:
        """Every epoch of the training, or those after which it is judged."""
        settings = self._settings
        if settings.judged:
            return tuple(sorted({*settings.judged, settings.epochs}))
        return tuple(range(1, settings.epochs + 1))

    def evaluate(
        self, archs: Archs, *, epochs: Ints, streams: Streams, parents: Archs | None = None
    ) -> Measured:
        """Train ``archs (T, L)`` for ``epochs (T,)``; one that fails scores NaN, at its cost.

        One that does not exist scores NaN at no cost.
        """
        score, cost_s = np.full(len(archs), np.nan), np.zeros(len(archs))
        for at, curve in self._searched(archs, epochs):
            score[at], cost_s[at] = curve[-1].val_score, self._cost_s(curve)
        return Measured.scored(archs, epochs, score, cost_s)

    @property
    def curves(self) -> tuple[str, ...]:
        """Scores, and the training loss; the validation loss is not on record."""
        return tuple(CURVE_FIELDS)

    def curve(self, archs: Archs, *, epochs: Ints, figure: str = "val_score") -> Floats:
        """``(n, max(epochs))`` from the record; what is missing there is trained now.

        Raises:
            UnsupportedError: there are no curves of this figure.
        """
        if figure not in CURVE_FIELDS:
            raise no_curve(figure, self.curves)
        found = np.full((len(archs), int(epochs.max(initial=0))), np.nan)
        for at, curve in self._searched(archs, epochs):
            for row in curve:
                found[at, row.epoch - 1] = getattr(row, CURVE_FIELDS[figure])
        return found

    def _searched(self, archs: Archs, epochs: Ints) -> Iterator[tuple[int, list[TrainedEpoch]]]:
        """The search's trainings of those of ``archs (n, L)`` that exist, with their numbers."""
        found = np.flatnonzero(self._space.exists(archs)).tolist()
        seed, length = self._settings.seed, self._settings.epochs
        requests = [
            self._request(archs[at], self._task, Part.search, seed, length, int(epochs[at]))
            for at in found
        ]
        return zip(found, self._curves(requests), strict=True)

    def _cost_s(self, curve: Sequence[TrainedEpoch]) -> float:
        trained_s = sum(row.train_s for row in curve)
        return trained_s + curve[-1].valid_s * self._settings.charge_validation

    def _request(
        self, arch: Archs, task: Task, part: Part, seed: int, epochs: int, until: int
    ) -> TrainingRequest:
        judged = self.fidelities if part is Part.search and self._settings.judged else ()
        return TrainingRequest(
            space=self._space,
            arch=tuple(self._represent(arch).tolist()),
            task=task,
            images=self._images[task.name],
            part=part,
            scale=self._scale,
            recipe=self._settings.recipe,
            epochs=epochs,
            until=until,
            judged=judged if part is Part.search else (epochs,),
            seed=seed,
        )

    def _curves(self, requests: Sequence[TrainingRequest]) -> list[list[TrainedEpoch]]:
        """The epochs of each request; what is not on record is trained now."""
        missing = missing_requests(requests, self._cache)
        if self._workers is not None and len(missing) > 1:
            self._train_side_by_side(missing, self._workers)
        elif missing:
            self._train(missing)
        return [self._cache.known(request) for request in requests]

    def _train(self, missing: Sequence[TrainingRequest]) -> None:
        """Train one after the other, or those of one length together."""
        cohorts = _cohorts(missing, self._together)
        with stage(_kind(missing), parts=len(cohorts)) as own:
            for number, requests in enumerate(cohorts):
                own.begin(number)
                if len(requests) > 1:
                    self._cache.train_together(requests)
                else:
                    self._cache.train(requests[0])

    def _train_side_by_side(self, missing: Sequence[TrainingRequest], workers: Workers) -> None:
        with stage(f"{_kind(missing)} of {len(missing)} networks", late=True):
            for done, share in workers.train(missing):
                tell(share, lambda done=done: f"{done} done")

    def final_metric(self, task: Task) -> Metric:
        """Of what networks are trained for, whatever tables say of the task."""
        return objective_of(task).metric

    def check_final(self, task: Task) -> None:
        """Read the final task's images before the search.

        Raises:
            DataError: they cannot be read.
            UnsupportedError: the task has none.
        """
        if task.name not in self._images and self._settings.score_epochs is not None:
            self._files |= task.load().files
            self._images[task.name] = images_id(task.load())

    @property
    def final_training(self) -> str:
        """One training a seed; those that are on record are looked up."""
        epochs, seeds = self._settings.score_epochs, len(self._settings.score_seeds)
        if epochs is None:
            return ""
        return f"{seeds} times {epochs} epochs" if seeds > 1 else f"{epochs} epochs"

    def score(self, archs: Archs, task: Task) -> Scored:
        """Train in full on the final split; last-epoch scores, means over ``score_seeds``.

        The validation score is that of the same networks, where the final training leaves the
        search's validation images out; else it is missing.
        """
        unknown = np.full(len(archs), np.nan)
        size = self._footprint(archs, task)
        if self._settings.score_epochs is None:
            return Scored(unknown, unknown, *size, unknown, "not trained")
        requests = [request for arch in archs for request in self._final_requests(arch, task)]
        last = [curve[-1] for curve in self._curves(requests)]
        shape = (len(archs), len(self._settings.score_seeds))
        valid = np.reshape([row.val_score for row in last], shape).mean(axis=1)
        test = np.reshape([row.test_score for row in last], shape).mean(axis=1)
        seeds = "+".join(map(str, self._settings.score_seeds))
        words = f"{self._settings.score_epochs} epochs; {self._data_in_words(task, Part.final)}; "
        words += f"{self._scale_in_words}; seeds {seeds}"
        return Scored(valid, test, *size, unknown, words)

    def _final_requests(self, arch: Archs, task: Task) -> list[TrainingRequest]:
        epochs = self._settings.score_epochs or self._settings.epochs
        return [
            self._request(arch, task, Part.final, seed, epochs, epochs)
            for seed in self._settings.score_seeds
        ]

    def check_export(self, formats: list[str]) -> None:
        """Refuse formats that cannot be written, or networks that are not trained.

        Raises:
            ConfigError: an unknown format, a package that is not installed, or no final training.
            UnsupportedError: networks of a text.
        """
        check_formats(formats)
        if self._task.load().final_train.pixels.ndim == 2:
            raise UnsupportedError(
                f"the language models of task={self._task.name} cannot be exported: set "
                "retrain.export=[]"
            )
        if self._settings.score_epochs is None:
            raise ConfigError(
                "retrain.export needs final trainings, but evaluator.score_epochs is null: give it "
                "a number of epochs"
            )

    def export(self, arch: Archs, task: Task, stem: Path, formats: list[str]) -> None:
        """Write the finally trained network of ``arch (L,)`` and the first of ``score_seeds``.

        Raises:
            DataError: a file cannot be written, or computes other logits than the network.
        """
        request, images = self._final_requests(arch, task)[0], task.load()
        about = {
            "space": self._space.name,
            "arch": self._space.text(arch),
            "task": task.name,
            "images": images.source,
            "trained": f"{request.epochs} epochs, seed {request.seed}, {self._scale_in_words}",
        }
        export(self._cache.network(request), images.pictures, stem, formats, about)

    def network(self, arch: Archs, task: Task) -> nn.Module:
        """The finally trained network of ``arch (L,)`` and the first of ``score_seeds``.

        Raises:
            DataError: its checkpoint is gone, or damaged.
        """
        return self._cache.network(self._final_requests(arch, task)[0])

    def _footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` parameters and FLOPs in millions, at the scale that is trained."""
        if self._scale == Scale() and task.objective is None:  # formulas are those of classifiers
            known = self._space.footprint(archs, task)
            if not np.isnan(known[0]).any():
                return known
        counts = np.array([footprint(self._build(arch, task), task.image_px) for arch in archs])
        return counts[:, 0], counts[:, 1]

    def _build(self, arch: Archs, task: Task) -> nn.Module:
        """A network without weights, which draws no random numbers."""
        with torch.device("meta"):
            return built(self._space, arch, task, self._scale)

    @property
    def _scale_in_words(self) -> str:
        sizes = {"C": self._settings.channels, "N": self._settings.cells}
        words = [f"{key}={value}" for key, value in sizes.items() if value is not None]
        return " ".join([*words, self._cache.device.label])

    def _data_in_words(self, task: Task, part: Part) -> str:
        """Training and judging images, their size, the recipe, and a cut that is not published."""
        splits = task.load()
        images = (splits.search_train, splits.search_valid)
        if part is Part.final:
            images = (splits.final_train, splits.final_test)
        counts = "+".join(str(len(own)) for own in images)
        name = "nb201/" if self._settings.recipe == Recipe() else ""
        words = (
            f"{counts} images, {task.image_px} px, recipe {name}{recipe_id(self._settings.recipe)}"
        )
        drawn = [word for word in splits.source.split("; ") if word.endswith("is not at hand")]
        return ", ".join([words, *drawn])

    @property
    def why_nothing(self) -> str:
        """Trainings that failed."""
        log = self._cache.log.path
        return f"every training failed, and the column failure of {log} says how"

    @property
    def protocol(self) -> Protocol:
        """What was trained, on what, and how long."""
        data = self._data_in_words(self._task, Part.search)
        validation = " + 1 validation pass" if self._settings.charge_validation else ""
        return Protocol(
            split=self._task.search_split,
            fidelity=f"val@{self._settings.epochs}; {data}; {self._scale_in_words}",
            run=str(self._settings.seed),
            clock=f"measured: {self._settings.epochs} epochs{validation}",
        )

    @property
    def files(self) -> Mapping[str, str]:
        """The image files and their sha256."""
        return self._files


def at_once(settings: Training, device: Device, network: nn.Module) -> int:
    """Networks that train as one: what is set, or as many as pay where there are kernels."""
    if settings.together is not None:
        return settings.together
    alone = settings.parallel > 1 or settings.deterministic or not device.on_gpu
    return 1 if alone or not has_kernels(network, device.processor) else TOGETHER


def _cohorts(requests: Sequence[TrainingRequest], most: int) -> list[Sequence[TrainingRequest]]:
    """Requests in groups of at most ``most`` that are to train equally long."""
    if most == 1:
        return [[request] for request in requests]
    by_length: dict[int, list[TrainingRequest]] = {}
    for request in requests:
        by_length.setdefault(request.until, []).append(request)
    return [same[at : at + most] for same in by_length.values() for at in range(0, len(same), most)]


def _kind(requests: Sequence[TrainingRequest]) -> str:
    """What these trainings are for."""
    return "final training" if requests[0].part is Part.final else "training"
