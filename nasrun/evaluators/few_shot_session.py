"""The few-shot evaluator, opened for a space and a task."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from nasrun.errors import UnsupportedError
from nasrun.evaluators.few_shot import FewShotEvaluator, Order
from nasrun.images import Images, Splits
from nasrun.nets.device import Device
from nasrun.nets.few_shot import EpisodeMaker, FewShot, require_enough
from nasrun.nets.footprint import footprint
from nasrun.nets.maml import InnerLoop
from nasrun.nets.meta_trainer import Draw, MetaTrained, MetaTraining, judged
from nasrun.nets.recipe import Precision
from nasrun.nets.representatives import representatives
from nasrun.progress import stage
from nasrun.spec import (
    ACCURACY,
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
)
from nasrun.spec.task import TaskInNumbers

TRAIN, VALID, TEST, WEIGHTS = range(4)  # what the random numbers of a seed are for


class Judged(NamedTuple):
    """Accuracies in % and seconds of a meta-training; test is NaN in a search."""

    valid: float
    test: float
    seconds: float


class FewShotSession(Session):
    """Meta-trains what is asked for, unless this session has done so.

    Args:
        settings: what the config says.
        space: whose architectures are trained.
        task: with few shots.
    """

    def __init__(self, settings: FewShotEvaluator, space: SearchSpace, task: Task) -> None:
        self.name, self.metric = settings.name, task.metric
        self._settings, self._space, self._task = settings, space, task
        self._device = Device(
            settings.device, Precision.float32, settings.deterministic, False, settings.threads
        )
        self._represent = representatives(space)
        self._judged: dict[tuple[str, bytes, int, int], Judged] = {}
        self._tasks: dict[str, tuple[FewShot, Task, Splits]] = {}
        self._open(task)
        self._network(space.sample(Streams([0], "example"))[0], task)  # refused before the search

    def _open(self, task: Task) -> tuple[FewShot, Task, Splits]:
        """The episodes of a task, the task that its networks are built for, and its pictures."""
        if task.name not in self._tasks:
            kind = task.objective
            if not isinstance(kind, FewShot):
                raise UnsupportedError(
                    f"evaluator=few_shot judges by new classes, which task={task.name} has none "
                    f"of: use task=few_shot task.of={task.name}, or evaluator=training"
                )
            described = task.described
            assert isinstance(described, TaskInNumbers)
            plain = replace(
                described, classes=kind.classes, own_metric=ACCURACY, own_objective=None
            )
            splits = task.load()
            for images in (splits.search_train, splits.search_valid, splits.final_test):
                require_enough(images, kind)
            self._tasks[task.name] = kind, plain, splits
        return self._tasks[task.name]

    @property
    def fidelities(self) -> tuple[int, ...]:
        """The epochs of a search's meta-training, as a whole."""
        return (self._settings.epochs,)

    def evaluate(
        self, archs: Archs, *, epochs: Ints, streams: Streams, parents: Archs | None = None
    ) -> Measured:
        """Meta-train ``archs (T, L)`` and judge on validation classes.

        One whose loss is not finite scores NaN at its cost; one that does not exist, at none.
        """
        score, cost_s = np.full(len(archs), np.nan), np.zeros(len(archs))
        for at in np.flatnonzero(self._space.exists(archs)):
            seed, length = self._settings.seed, self._settings.epochs
            found = self._result(archs[at], self._task, length, seed, final=False)
            score[at], cost_s[at] = found.valid, found.seconds
        full = np.full(len(archs), self._settings.epochs, np.int64)
        return Measured.scored(archs, full, score, cost_s)

    def final_metric(self, task: Task) -> Metric:
        """Accuracy on new classes."""
        return task.metric

    def check_final(self, task: Task) -> None:
        """Read the final task's pictures before the search.

        Raises:
            UnsupportedError: the task has no few shots.
            DataError: the pictures cannot be read, or are too few for an episode.
        """
        self._open(task)

    @property
    def final_training(self) -> str:
        """One meta-training a seed."""
        epochs, seeds = self._settings.score_epochs, len(self._settings.score_seeds)
        if epochs is None:
            return ""
        words = f"{epochs} epochs of {self._settings.batches} meta-batches"
        return f"{seeds} times {words}" if seeds > 1 else words

    def score(self, archs: Archs, task: Task) -> Scored:
        """Meta-train in full; accuracies on validation and test classes, means over seeds."""
        unknown = np.full(len(archs), np.nan)
        sizes = np.array(
            [footprint(self._network(self._represent(arch), task), task.image_px) for arch in archs]
        )
        epochs, seeds = self._settings.score_epochs, self._settings.score_seeds
        if epochs is None:
            return Scored(unknown, unknown, sizes[:, 0], sizes[:, 1], unknown, "not trained")
        figures: Floats = np.array(
            [
                [self._result(arch, task, epochs, seed, final=True)[:2] for seed in seeds]
                for arch in archs
            ]
        ).mean(axis=1)
        words = f"{self._in_words(task, epochs)}; seeds {'+'.join(map(str, seeds))}"
        return Scored(figures[:, 0], figures[:, 1], sizes[:, 0], sizes[:, 1], unknown, words)

    def _result(self, arch: Archs, task: Task, epochs: int, seed: int, *, final: bool) -> Judged:
        """Of a meta-training; what this session knows is not trained again."""
        arch = self._represent(arch)
        key = (f"{task.name} {final}", arch.tobytes(), epochs, seed)
        if key not in self._judged:
            with self._device.computing():
                self._judged[key] = self._trained(arch, task, epochs, seed, final=final)
        return self._judged[key]

    def _trained(self, arch: Archs, task: Task, epochs: int, seed: int, *, final: bool) -> Judged:
        settings, (kind, _, splits) = self._settings, self._open(task)
        with self._device.seeded(seed, WEIGHTS):
            network = self._network(arch, task, on="cpu").to(self._device.processor)
        inner = InnerLoop(settings.steps, settings.rate, settings.order is Order.second)
        training = MetaTraining(
            inner, settings.meta_rate, epochs * settings.batches, settings.episodes
        )
        with stage("final meta-training" if final else "meta-training"):
            trained = training.train(
                network, self._draw(splits.search_train, kind, splits, seed, TRAIN)
            )
        valid, seconds = self._accuracy(trained, splits.search_valid, task, VALID)
        if not final:
            return Judged(valid, float("nan"), trained.seconds + seconds)
        test, more = self._accuracy(trained, splits.final_test, task, TEST)
        return Judged(valid, test, trained.seconds + seconds + more)

    def _accuracy(
        self, trained: MetaTrained, images: Images, task: Task, purpose: int
    ) -> tuple[float, float]:
        """Accuracy and seconds by the same episodes for all architectures and seeds."""
        settings, (kind, _, splits) = self._settings, self._open(task)
        draw = self._draw(images, kind, splits, settings.seed, purpose)
        inner = InnerLoop(settings.judged_steps, settings.rate, second_order=False)
        with stage("episodes of new classes"):
            return judged(trained, inner, draw, settings.judged_on, settings.episodes)

    def _draw(self, images: Images, kind: FewShot, splits: Splits, seed: int, purpose: int) -> Draw:
        """Episodes of a seed, one after the other."""
        moments = splits.mean, splits.std
        maker = EpisodeMaker(images, kind, moments, self._device.processor)
        own = np.random.SeedSequence((seed, purpose)).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(own >> 1))
        return lambda count: maker.draw(count, generator)

    def _network(self, arch: Archs, task: Task, on: str = "meta") -> nn.Module:
        """The network of ``arch (L,)`` for an episode, as wide as ``params_k`` allows."""
        plain, settings = self._open(task)[1], self._settings
        if (channels := settings.channels) is None:
            channels = self._widest(arch, plain)
        with torch.device(on):
            return self._space.build(arch, plain, Scale(channels, settings.cells))

    def _widest(self, arch: Archs, plain: Task) -> int:
        """Channels of the widest network that has at most ``params_k`` thousand parameters.

        One channel, however many that has.
        """
        channels = 1
        with torch.device("meta"):
            while True:
                wider = self._space.build(arch, plain, Scale(channels + 1, self._settings.cells))
                if sum(own.numel() for own in wider.parameters()) > 1000 * self._settings.params_k:
                    return channels
                channels += 1

    def _in_words(self, task: Task, epochs: int) -> str:
        settings, splits = self._settings, self._open(task)[2]
        width = f"C={settings.channels}" if settings.channels else f"at most {settings.params_k:g}k"
        return (
            f"MAML {settings.order.value} order, {epochs * settings.batches} meta-batches of "
            f"{settings.episodes}, {settings.steps} steps at {settings.rate:g} "
            f"({settings.judged_steps} when judged), {settings.judged_on} episodes, "
            f"{len(splits.search_train)} images, "
            f"{task.image_px} px; {width} N={settings.cells} {self._device.label}"
        )

    @property
    def protocol(self) -> Protocol:
        """What was meta-trained, and by how much."""
        settings = self._settings
        return Protocol(
            split=self._task.search_split,
            fidelity=f"val@{settings.epochs}; {self._in_words(self._task, settings.epochs)}",
            run=str(settings.seed),
            clock=f"measured: {settings.epochs} epochs + validation episodes",
        )

    @property
    def files(self) -> Mapping[str, str]:
        """The image files and their sha256."""
        return {
            name: digest
            for _, _, splits in self._tasks.values()
            for name, digest in splits.files.items()
        }
