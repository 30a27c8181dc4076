"""Scores of untrained networks, as an evaluator."""

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.ranges import require_at_least, require_not_negative
from nasrun.spec import (
    Archs,
    Clock,
    Evaluator,
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
    metric_named,
)

if TYPE_CHECKING:
    from torch import Tensor, device, nn


@dataclass
class ZeroCost(Evaluator):
    """One of thirteen scores that need no training; ``nets/zero_cost.py`` defines and cites them.

    The score stands where others report a validation accuracy; the rows' ``fidelity`` says which
    score it is. Every architecture has the weights of one seed and is judged by the same batch of
    training images, so a score is a fixed number. All architectures of one canonical form have one.
    A final accuracy comes from another evaluator (``scorer``).

    Raises:
        ConfigError: a batch below 2, channels or cells below 1, or a negative seed.
    """

    name: str = "zero_cost"
    proxy: str = "synflow"
    batch: int = 32
    seed: int = 777
    channels: int | None = None
    cells: int | None = None
    device: str = "auto"
    threads: int | None = None

    clock: ClassVar[Clock] = Clock.MEASURED
    at_once: ClassVar[int | None] = 20

    def __post_init__(self) -> None:
        require_at_least(self, "evaluator", 1, "channels", "cells")
        require_at_least(self, "evaluator", 2, "batch")
        require_not_negative(self, "evaluator", "seed")

    def opened(self, space: SearchSpace, task: Task) -> "ZeroCostSession":
        """The score, with the images it needs.

        Raises:
            ConfigError: an unknown proxy.
            DataError: the images cannot be read.
            UnsupportedError: the task has none, or the space no networks.
        """
        from nasrun.nets.zero_cost import PROXIES

        if self.proxy not in PROXIES:
            raise ConfigError(
                f"evaluator.proxy={self.proxy} is unknown: use one of {', '.join(PROXIES)}"
            )
        if task.objective is not None:
            raise UnsupportedError(
                f"evaluator={self.name} scores classifiers, which is not what networks for "
                f"task={task.name} are: use evaluator=training"
            )
        return ZeroCostSession(self, space, task)

    def check_scorer(self) -> None:
        """Refused: an untrained network has no accuracy.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"scorer={self.name} gives no final figures: use one that does, such as "
            "+evaluator@scorer=tabular or training"
        )


class ZeroCostSession(Session):
    """A score of untrained networks, opened for a space and a task."""

    def __init__(self, settings: ZeroCost, space: SearchSpace, task: Task) -> None:
        from nasrun.nets.device import Device
        from nasrun.nets.recipe import Precision
        from nasrun.nets.representatives import representatives
        from nasrun.nets.zero_cost import TRAINED

        self.name, self.metric = settings.name, metric_named(settings.proxy)
        self._settings, self._space, self._task = settings, space, task
        self._scale = Scale(settings.channels, settings.cells)
        self._device = Device(settings.device, Precision.float32, threads=settings.threads)
        self._represent = representatives(space)
        self._files: Mapping[str, str] = {}
        self._scores: dict[bytes, tuple[float, float]] = {}
        self._network(space.sample(Streams([0], "example"))[0])  # refused before the search
        if settings.proxy in TRAINED:
            self._batch = self._images()
        else:
            self._batch = self._blank(settings.batch if settings.proxy == "zen" else 1)

    def final_metric(self, task: Task) -> Metric:
        """Of the score itself: there is no other."""
        return self.metric

    def _images(self) -> "tuple[Tensor, Tensor]":
        """Images and labels of one batch, drawn from the training part."""
        import torch

        splits = self._task.load()
        self._files = splits.files
        train = splits.search_train
        streams = Streams([self._settings.seed], "zero_cost")
        rows = streams.subsets(len(train), min(self._settings.batch, len(train)))[0]
        channels = np.array([splits.mean, splits.std], np.float32)[:, None, :, None, None]
        pixels = (train.pixels[rows].astype(np.float32) - channels[0]) / channels[1]
        place = self._device.processor
        return torch.from_numpy(pixels).to(place), torch.from_numpy(train.labels[rows]).to(place)

    def _blank(self, images: int) -> "tuple[Tensor, Tensor]":
        """What stands for images where the score looks at their shape alone."""
        import torch

        shape = (images, 3, self._task.image_px, self._task.image_px)
        place = self._device.processor
        return torch.zeros(shape, device=place), torch.zeros(
            images, dtype=torch.int64, device=place
        )

    def _network(self, arch: Archs, place: "device | None" = None) -> "nn.Module":
        from nasrun.nets.building import built

        place = place or self._device.processor
        drawn = place if place.type == "meta" else nullcontext()
        with self._device.seeded(self._settings.seed), drawn:
            network: Any = built(self._space, arch, self._task, self._scale)
        if hasattr(network, "auxiliary"):
            network.auxiliary = None  # a second head serves training alone
        return network.to(place)

    @property
    def fidelities(self) -> tuple[int, ...]:
        """No epoch at all."""
        return (0,)

    def evaluate(
        self, archs: Archs, *, epochs: Ints, streams: Streams, parents: Archs | None = None
    ) -> Measured:
        """The score of ``archs (T, L)``, and the seconds it took; NaN for one that is none."""
        score, cost_s = np.full(len(archs), np.nan), np.zeros(len(archs))
        for at in np.flatnonzero(self._space.exists(archs)):
            score[at], cost_s[at] = self._score(self._represent(archs[at]))
        return Measured.scored(archs, epochs, score, cost_s)

    def _score(self, arch: Archs) -> tuple[float, float]:
        """Score and seconds of an architecture; NaN where the score is not a finite number."""
        if (key := arch.tobytes()) not in self._scores:
            began = time.perf_counter()
            score = self.features(arch[None], [self._settings.proxy])[0, 0]
            self._scores[key] = float(score), time.perf_counter() - began
        return self._scores[key]

    def features(self, archs: Archs, names: list[str] | None = None) -> Floats:
        """``(n, names)`` scores of ``archs (n, L)``, for predictors; without ``names`` all.

        Those that need images need these to have been read, so ``proxy`` must be one of these.
        """
        import torch

        from nasrun.nets.zero_cost import PROXIES, SIZES, proxies

        names = list(PROXIES) if names is None else names
        # A network on no device computes nothing, and has its shapes all the same.
        place = torch.device("meta") if set(names) <= SIZES else self._device.processor
        with self._device.computing():
            networks = (self._network(self._represent(arch), place) for arch in archs)
            rows = [
                proxies(network, *self._batch, names, self._settings.seed) for network in networks
            ]
        found = np.array([[row[name] for name in names] for row in rows])
        return np.where(np.isfinite(found), found, np.nan)

    def score(self, archs: Archs, task: Task) -> Scored:
        """Nothing but the size: an untrained network has no accuracy."""
        unknown = np.full(len(archs), np.nan)
        params, flops = self._space.footprint(archs, task)
        return Scored(unknown, unknown, params, flops, unknown, "not trained")

    @property
    def why_nothing(self) -> str:
        """Scores that are not finite."""
        return f"{self._settings.proxy} gave no finite score: choose another evaluator.proxy"

    @property
    def protocol(self) -> Protocol:
        """Which score, of which network."""
        sizes = {"C": self._settings.channels, "N": self._settings.cells}
        scale = "".join(f" {key}={value}" for key, value in sizes.items() if value is not None)
        return Protocol(
            split=self._task.search_split,
            fidelity=f"{self._settings.proxy}{scale}; batch {self._settings.batch}",
            run=str(self._settings.seed),
            clock="measured: one score",
        )

    @property
    def files(self) -> Mapping[str, str]:
        """The image files and their sha256."""
        return self._files
