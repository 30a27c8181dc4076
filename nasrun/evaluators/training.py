"""Networks trained on images, as an evaluator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nasrun.errors import ConfigError
from nasrun.nets.recipe import Precision, Recipe
from nasrun.spec import (
    Archs,
    Clock,
    Evaluator,
    Floats,
    Ints,
    Measured,
    Scale,
    Scored,
    SearchSpace,
    Streams,
    Task,
)

if TYPE_CHECKING:
    from torch import nn

    from nasrun.benchmarks.trainings import TrainedEpoch
    from nasrun.nets.workers import Workers
    from nasrun.nets.workshop import Order, Part


@dataclass
class Training(Evaluator):
    """The validation accuracy of a network that is trained for a few epochs: the early stop.

    NAS-Bench-201's own protocol (Dong and Yang, ICLR 2020, Section 3): 12 epochs with a cosine
    over these 12; less epochs are points of the same training, so a multi-fidelity search goes on
    from the checkpoint. Every training is a row an epoch of ``trainings.csv`` in ``cache_dir``, and
    none is done twice, by any process; its ``device`` says where memory halved the batches.

    All architectures of one canonical form are one training, that of one representative. In
    NAS-Bench-201 that form merges cells that differ in a convolution on a node of zeros alone,
    although its batch normalisation learns a bias there.

    The cost of a query is the seconds of its epochs plus one validation pass, measured when the
    network was trained, whoever trained it.

    Raises:
        ConfigError: counts that mean nothing.
    """

    name: str = "training"
    recipe: Recipe = field(default_factory=Recipe)
    epochs: int = 12
    judged: list[int] = field(default_factory=list[int])
    seed: int = 777
    score_epochs: int | None = 200
    score_seeds: list[int] = field(default_factory=lambda: [777, 888, 999])
    channels: int | None = None
    cells: int | None = None
    charge_validation: bool = True
    device: str = "auto"
    precision: Precision = Precision.auto
    deterministic: bool = False
    compile: bool = False
    threads: int | None = None
    parallel: int = 1
    cache_dir: str = ""

    clock: ClassVar[Clock] = Clock.MEASURED

    def __post_init__(self) -> None:
        self._scale = Scale(self.channels, self.cells)
        self._workers: Workers | None = None
        for key in ("epochs", "score_epochs", "parallel"):
            if (value := getattr(self, key)) is not None and value < 1:
                raise ConfigError(f"evaluator.{key} must be at least 1, got {value}")
        if min(self.seed, *self.score_seeds, 0) < 0 or not self.score_seeds:
            raise ConfigError(
                "evaluator.seed and evaluator.score_seeds must be numbers of at least 0, got "
                f"{self.seed} and {self.score_seeds}"
            )
        if self.judged and not 0 < min(self.judged) <= max(self.judged) <= self.epochs:
            raise ConfigError(
                f"evaluator.judged must hold epochs from 1 to {self.epochs}, got {self.judged}"
            )

    def start(self, space: SearchSpace, task: Task) -> None:
        """Read the images.

        Raises:
            DataError: they cannot be read.
            UnsupportedError: the task has none, or the space no networks.
            ConfigError: a device that is not there.
        """
        from nasrun.nets.device import Device
        from nasrun.nets.representatives import representatives
        from nasrun.nets.workers import Workers
        from nasrun.nets.workshop import Workshop, images_id

        self._space, self._task = space, task
        device = Device(self.device, self.precision, self.deterministic, self.compile, self.threads)
        self._build(space.at(np.array(0)), task)
        self._files = dict(task.load().files)
        self._images = {task.name: images_id(task.load())}
        self._represent = representatives(space)
        folder = Path(self.cache_dir) / "trainings"
        self._workshop = Workshop(folder, device)
        if self.parallel > 1 and self._workers is None:  # copies for other tasks share them
            self._workers = Workers(self.parallel, folder, device)

    @property
    def fidelities(self) -> tuple[int, ...]:
        """Every epoch of the training, or those after which it is judged."""
        return tuple(sorted({*self.judged, self.epochs})) if self.judged else self._all_epochs

    @property
    def _all_epochs(self) -> tuple[int, ...]:
        return tuple(range(1, self.epochs + 1))

    def evaluate(self, archs: Archs, *, epochs: Ints, streams: Streams) -> Measured:
        """Train ``archs (T, L)`` for ``epochs (T,)``; one that fails scores NaN, at its cost."""
        from nasrun.nets.workshop import Part

        orders = [
            self._order(arch, self._task, Part.search, self.seed, self.epochs, until)
            for arch, until in zip(archs, epochs.tolist(), strict=True)
        ]
        curves = self._curves(orders)
        accuracy = np.array([curve[-1].valid_acc_pct for curve in curves])
        cost_s = np.array([self._cost_s(curve) for curve in curves])
        unknown = np.full(len(archs), np.nan)
        return Measured(archs, epochs, accuracy, cost_s, unknown, unknown)

    def _cost_s(self, curve: "Sequence[TrainedEpoch]") -> float:
        trained_s = sum(row.train_s for row in curve)
        return trained_s + curve[-1].valid_s * self.charge_validation

    def _order(
        self, arch: Archs, task: Task, part: "Part", seed: int, epochs: int, until: int
    ) -> "Order":
        from nasrun.nets.workshop import Order, Part

        judged = self.fidelities if part is Part.search and self.judged else ()
        return Order(
            space=self._space,
            arch=tuple(self._represent(arch).tolist()),
            task=task,
            images=self._images[task.name],
            part=part,
            scale=self._scale,
            recipe=self.recipe,
            epochs=epochs,
            until=until,
            judged=judged if part is Part.search else (epochs,),
            seed=seed,
        )

    def _curves(self, orders: "Sequence[Order]") -> "list[list[TrainedEpoch]]":
        """The epochs of each order; what is not on record is trained now."""
        from nasrun.nets.workshop import missing_orders

        missing = missing_orders(orders, self._workshop)
        if self._workers is not None and len(missing) > 1:
            self._workers.fulfil(missing)
        else:
            for order in missing:
                self._workshop.fulfil(order)
        return [self._workshop.known(order) for order in orders]

    def check_final(self, task: Task) -> None:
        """Read the final task's images before the search.

        Raises:
            DataError: they cannot be read.
            UnsupportedError: the task has none.
        """
        from nasrun.nets.workshop import images_id

        if task.name not in self._images and self.score_epochs is not None:
            self._files |= task.load().files
            self._images[task.name] = images_id(task.load())

    def score(self, archs: Archs, task: Task) -> Scored:
        """Train in full on the final split; last-epoch accuracies, means over ``score_seeds``.

        The validation accuracy is that of the same networks, where the final training leaves the
        search's validation images out; else it is missing.
        """
        from nasrun.nets.workshop import Part

        unknown = np.full(len(archs), np.nan)
        footprint = self._footprint(archs, task)
        if self.score_epochs is None:
            return Scored(unknown, unknown, *footprint, unknown, "not trained")
        orders = [order for arch in archs for order in self._final_orders(arch, task)]
        last = [curve[-1] for curve in self._curves(orders)]
        shape = (len(archs), len(self.score_seeds))
        valid = np.reshape([row.valid_acc_pct for row in last], shape).mean(axis=1)
        test = np.reshape([row.test_acc_pct for row in last], shape).mean(axis=1)
        seeds = "+".join(map(str, self.score_seeds))
        words = f"{self.score_epochs} epochs; {self._data_in_words(task, Part.final)}; "
        words += f"{self._scale_in_words}; seeds {seeds}"
        return Scored(valid, test, *footprint, unknown, words)

    def _final_orders(self, arch: Archs, task: Task) -> "list[Order]":
        from nasrun.nets.workshop import Part

        epochs = self.score_epochs or self.epochs
        return [
            self._order(arch, task, Part.final, seed, epochs, epochs) for seed in self.score_seeds
        ]

    def check_export(self, formats: list[str]) -> None:
        """Refuse formats that cannot be written, or networks that are not trained.

        Raises:
            ConfigError: an unknown format, a package that is not installed, or no final training.
        """
        from nasrun.nets.export import check_formats

        check_formats(formats)
        if self.score_epochs is None:
            raise ConfigError(
                "retrain.export needs final trainings, but evaluator.score_epochs is null: give it "
                "a number of epochs"
            )

    def export(self, arch: Archs, task: Task, stem: Path, formats: list[str]) -> None:
        """Write the finally trained network of ``arch (L,)`` and the first of ``score_seeds``.

        Raises:
            DataError: a file cannot be written, or computes other logits than the network.
        """
        from nasrun.nets.export import export

        network = self._workshop.network(self._final_orders(arch, task)[0])
        export(network, task.image_px, stem, formats)

    def _footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` parameters and FLOPs in millions, at the scale that is trained."""
        from nasrun.nets.footprint import footprint

        if self._scale == Scale():
            known = self._space.footprint(archs, task)
            if not np.isnan(known[0]).any():
                return known
        counts = np.array([footprint(self._build(arch, task), task.image_px) for arch in archs])
        return counts[:, 0], counts[:, 1]

    def _build(self, arch: Archs, task: Task) -> "nn.Module":
        """A network without weights, which draws no random numbers."""
        import torch

        with torch.device("meta"):
            return self._space.build(arch, task, self._scale)

    @property
    def _scale_in_words(self) -> str:
        sizes = {"C": self.channels, "N": self.cells}
        words = [f"{key}={value}" for key, value in sizes.items() if value is not None]
        return " ".join([*words, self._workshop.device.label])

    def _data_in_words(self, task: Task, part: "Part") -> str:
        """Training and judging images, their size, the recipe, and a cut that is not published."""
        from nasrun.nets.workshop import Part, recipe_id

        splits = task.load()
        images = (splits.search_train, splits.search_valid)
        if part is Part.final:
            images = (splits.final_train, splits.final_test)
        counts = "+".join(str(len(own)) for own in images)
        name = "nb201/" if self.recipe == Recipe() else ""
        words = f"{counts} images, {task.image_px} px, recipe {name}{recipe_id(self.recipe)}"
        drawn = [word for word in splits.source.split("; ") if word.endswith("is not at hand")]
        return ", ".join([words, *drawn])

    @property
    def protocol(self) -> Mapping[str, str]:
        """What was trained, on what, and how long."""
        from nasrun.nets.workshop import Part

        data = self._data_in_words(self._task, Part.search)
        validation = " + 1 validation pass" if self.charge_validation else ""
        return {
            "split": self._task.search_split,
            "fidelity": f"val@{self.epochs}; {data}; {self._scale_in_words}",
            "run": str(self.seed),
            "clock": f"measured: {self.epochs} epochs{validation}",
        }

    def files(self) -> Mapping[str, str]:
        """The image files and their sha256."""
        return self._files
