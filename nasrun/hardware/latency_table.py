"""Published latencies of real devices, from a CSV file."""

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.hardware.base import KnownDevice, Weighing
from nasrun.spec import Archs, Floats, SearchSpace, Task

ARCH, INDEX = "arch", "index"


@dataclass
class LatencyTable(Weighing):
    """A table of latencies: a column ``arch``, and one column in ms for each device.

    The default file holds HELP's measurements of NAS-Bench-201 on 27 devices (Lee et al.,
    "HELP: Hardware-Adaptive Efficient Latency Prediction for NAS via Meta-Learning", NeurIPS 2021).
    On its pixel3 and raspi4, most cells without a path from input to output take almost no time
    (3 to 75 microseconds); a strongly negative ``exponent`` would reward just those.
    """

    name: str = "latency_table"
    device: str = "titan_rtx_1"
    path: str = ""
    space: str = "nb201"  # the space whose architectures the file lists

    def opened(self, space: SearchSpace, task: Task) -> KnownDevice:
        """The device, with its latencies whatever the task; NaN where unknown.

        Raises:
            UnsupportedError: the file lists another space.
            ConfigError: the file has no such device.
            DataError: the file is missing or cannot be read.
        """
        if space.name != self.space:
            raise UnsupportedError(
                f"{self.path} lists architectures of space={self.space}, and this run has "
                f"space={space.name}: set hardware=none, or hardware.path and hardware.space to a "
                "file of that space"
            )
        (header, *rows), files = self._read()
        if ARCH not in header:
            raise DataError(f"{self.path}: expected a column {ARCH!r}, found {', '.join(header)}")
        if self.device not in (devices := [c for c in header if c not in (ARCH, INDEX)]):
            raise ConfigError(
                f"hardware.device={self.device} is not in {self.path}, which has "
                f"{', '.join(devices)}"
            )
        column = self._column(space, rows, header.index(ARCH), header.index(self.device))
        return KnownDevice(self, space, *column, files)

    def _read(self) -> tuple[list[list[str]], dict[str, str]]:
        """The cells, and the file with its sha256."""
        path = Path(self.path)
        try:
            data = path.read_bytes()
            text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
            lines = [*csv.reader(io.StringIO(text))]
        except FileNotFoundError:
            raise DataError(f"{path}: no such file; {HOW_TO_GET}") from None
        except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path}: cannot be read ({error}); {HOW_TO_GET}") from None
        # Named without its folder, which says nothing about a result.
        files = {f"{self.name}/{path.name}": hashlib.sha256(data).hexdigest()}
        return lines or [[]], files

    def _column(
        self, space: SearchSpace, rows: Sequence[Sequence[str]], arch: int, device: int
    ) -> tuple[Archs, Floats]:
        """``(rows, L)`` architectures and ``(rows,)`` their latency in ms on the device."""
        archs, figures = np.empty((len(rows), len(space.decisions)), np.int64), np.empty(len(rows))
        for i, row in enumerate(rows):
            try:
                archs[i], figures[i] = space.parse(row[arch]), _milliseconds(row[device])
            except (ConfigError, ValueError, IndexError) as error:
                raise DataError(f"{self.path}, line {i + 2}: {error}") from None
        self._refuse_repeats(archs)
        if np.isnan(figures).all():
            raise DataError(f"{self.path}: no latency for {self.device}; {HOW_TO_GET}")
        return archs, figures

    def _refuse_repeats(self, archs: Archs) -> None:
        _, first, inverse = np.unique(archs, axis=0, return_index=True, return_inverse=True)
        again = np.flatnonzero(first[inverse.reshape(-1)] != np.arange(len(archs)))
        if len(again):
            raise DataError(
                f"{self.path}, line {again[0] + 2}: the architecture of line "
                f"{first[inverse.reshape(-1)[again[0]]] + 2} again"
            )


def _milliseconds(cell: str) -> float:
    """The latency in a cell; NaN for an empty one."""
    latency_ms = float(cell or "nan")
    if latency_ms <= 0 or latency_ms == np.inf:
        raise ValueError(f"expected a latency above 0 ms, found {cell}")
    return latency_ms


HOW_TO_GET = (
    "set data_dir= or NASRUN_DATA to a folder that has hardware/help_latency_nb201.csv.gz, or "
    "hardware.path to a CSV with a column arch and a column of milliseconds for each device; "
    "HELP's measurements are public in github.com/HayeonLee/HELP, data/nasbench201/latency"
)
