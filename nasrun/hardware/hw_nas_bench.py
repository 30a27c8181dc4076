"""HW-NAS-Bench's devices: latencies of NAS-Bench-201's cells, and of FBNet's layers."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nasrun.benchmarks.hw_nas_bench import fbnet_latencies, nb201_latencies
from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.hardware.base import KnownDevice, Weighing, WeighingDevice
from nasrun.input_files import read_bytes
from nasrun.spec import Archs, Device, Floats, SearchSpace, Task
from nasrun.streams import Streams

SAMPLE = 1000  # random networks whose median is the target where none is set


@dataclass
class HWNASBench(Weighing):
    """A device of Li et al., "HW-NAS-Bench" (ICLR 2021), section 4.

    Of NAS-Bench-201 all cells were measured (or estimated: eyeriss, fpga) on each data set. An
    FBNet's latency is the sum over its operations, as the benchmark has it (section 3.3).
    """

    name: str = "hw_nas_bench"
    device: str = "edgegpu"
    path: str = ""
    datasets: dict[str, str] = field(default_factory=dict[str, str])  # its names, by task

    @property
    def label(self) -> str:
        """What the column ``device`` says."""
        return self.device

    def opened(self, space: SearchSpace, task: Task) -> Device:
        """The device, with its latencies on the task's images.

        Raises:
            UnsupportedError: it has no latencies of this space.
            ConfigError: it has none of this device or task.
            DataError: the file is missing or cannot be read.
        """
        path = Path(self.path)
        if space.name not in ("nb201", "fbnet"):
            raise UnsupportedError(
                f"hardware=hw_nas_bench knows space=nb201 and space=fbnet, and this run has "
                f"space={space.name}: set hardware=none or hardware=measured"
            )
        if not path.exists():
            raise DataError(
                f"{path}: no such file; set data_dir= or NASRUN_DATA to a folder that has "
                "HW-NAS-Bench-v1_0.pickle, from github.com/GATECH-EIC/HW-NAS-Bench"
            )
        files = {f"{self.name}/{path.name}": hashlib.sha256(read_bytes(path)).hexdigest()}
        if space.name == "fbnet":
            shared, layers = fbnet_latencies(path, task.image_px, task.classes, self.device)
            return SummedDevice(self, space, shared, layers, files)
        texts, latencies = nb201_latencies(
            path, self.datasets.get(task.name, task.name), self.device
        )
        try:
            archs = np.array([space.parse(text) for text in texts], np.int64)
        except ConfigError as error:
            raise DataError(f"{path}: {error}") from None
        return KnownDevice(self, space, archs, latencies, files)


class SummedDevice(WeighingDevice):
    """A device whose latency is a sum over decisions.

    Args:
        settings: what the config says.
        space: of the architectures.
        shared: latency in ms of what all networks have.
        layers: ``(L, options)`` latency of each option.
        files: data files and their sha256.
    """

    def __init__(
        self,
        settings: Weighing,
        space: SearchSpace,
        shared: float,
        layers: Floats,
        files: Mapping[str, str],
    ) -> None:
        super().__init__(settings)
        self._space, self._shared, self._layers, self._files = space, shared, layers, files
        sample = space.sample(Streams(range(SAMPLE), "summed latency"))
        self.settle(self.latency_ms(sample), f"{SAMPLE} random networks")

    def latency_ms(self, archs: Archs) -> Floats:
        """``(n,)`` latency of one inference; NaN for what does not exist."""
        found = np.full(len(archs), np.nan)
        exist = self._space.exists(archs)
        options = archs[exist]
        found[exist] = self._shared + self._layers[np.arange(len(self._layers)), options].sum(
            axis=1
        )
        return found

    @property
    def files(self) -> Mapping[str, str]:
        """Data files and their sha256."""
        return self._files
