"""This machine as hardware: networks are built and their latency is measured."""

from dataclasses import dataclass

import numpy as np

from nasrun.hardware.base import Weighing, WeighingDevice
from nasrun.ranges import require_at_least, require_not_negative
from nasrun.spec import Archs, Floats, Scale, SearchSpace, Task
from nasrun.streams import Streams


@dataclass
class MeasuredLatency(Weighing):
    """Median latency of the untrained network, of ``runs`` inferences after ``warm_up`` others.

    A latency is measured once for each canonical form and run; two runs differ as measurements do,
    and so do their rewards. Without ``target_ms`` the target is the median over ``sample`` random
    architectures, drawn by ``seed``; the slowest of them is where a hypervolume is measured from.

    Raises:
        ConfigError: counts below 1; see Weighing.
    """

    name: str = "measured"
    device: str = "auto"
    threads: int | None = None
    batch: int = 1
    runs: int = 50
    warm_up: int = 10
    channels: int | None = None
    cells: int | None = None
    sample: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "hardware", 1, "batch", "runs", "sample", "channels", "cells")
        require_not_negative(self, "hardware", "warm_up", "seed")

    @property
    def measures(self) -> bool:
        """It does nothing else."""
        return True

    def opened(self, space: SearchSpace, task: Task) -> "MeasuredDevice":
        """This machine, with the target settled.

        Raises:
            UnsupportedError: the space has no networks.
            ConfigError: a device that is not there.
        """
        return MeasuredDevice(self, space, task)


class MeasuredDevice(WeighingDevice):
    """This machine, opened for a space and a task."""

    def __init__(self, settings: MeasuredLatency, space: SearchSpace, task: Task) -> None:
        from nasrun.nets.device import Device
        from nasrun.nets.recipe import Precision
        from nasrun.nets.representatives import representatives

        super().__init__(settings)
        self._measuring, self._space, self._task = settings, space, task
        self._scale = Scale(settings.channels, settings.cells)
        self._device = Device(
            settings.device, Precision.float32, threads=settings.threads, group="hardware"
        )
        self._represent = representatives(space)
        self._known: dict[bytes, float] = {}
        # Also where the target is given: a hypervolume needs a reference.
        seeds = range(settings.seed, settings.seed + settings.sample)
        sample = space.sample(Streams(seeds, "measured latency"))
        self.settle(self.latency_ms(sample), f"{settings.sample} random architectures")

    def latency_ms(self, archs: Archs) -> Floats:
        """``(n,)`` latency of one inference of a batch; NaN for what does not exist."""
        found = np.full(len(archs), np.nan)
        for at in np.flatnonzero(self._space.exists(archs)):
            found[at] = self._measured_ms(self._represent(archs[at]))
        return found

    def _measured_ms(self, arch: Archs) -> float:
        from nasrun.nets.building import built
        from nasrun.nets.latency import latency_ms

        if (key := arch.tobytes()) not in self._known:
            with self._device.seeded(self._measuring.seed):
                network = built(self._space, arch, self._task, self._scale)
            px = self._task.image_px
            shape = (self._measuring.batch, 3, px, px)
            self._known[key] = latency_ms(
                network, shape, self._device, self._measuring.runs, self._measuring.warm_up
            )
        return self._known[key]
