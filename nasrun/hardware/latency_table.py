"""Published latencies of real devices, from a CSV file."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasrun.csv_input import CsvInput, read_csv_input
from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.hardware.base import KnownDevice, Weighing
from nasrun.hardware.help_files import is_help, read_help
from nasrun.input_files import read_bytes
from nasrun.spec import Archs, Floats, SearchSpace, Task

INDEX = "index"


@dataclass
class LatencyTable(Weighing):
    """A table of latencies: a column of architectures, and one in ms for each device.

    Where several columns say what an architecture is, ``arch_column`` names all of them, separated
    by commas, and their cells are joined by commas.

    ``path`` may also name HELP's own files, as its repository has them; see ``help_files.py``.
    The default file holds HELP's measurements of NAS-Bench-201 on 27 devices (Lee et al.,
    "HELP: Hardware-Adaptive Efficient Latency Prediction for NAS via Meta-Learning", NeurIPS 2021).
    On its pixel3 and raspi4, most cells without a path from input to output take almost no time
    (3 to 75 microseconds); a strongly negative ``exponent`` would reward just those.
    """

    name: str = "latency_table"
    device: str = "titan_rtx_1"
    path: str = ""
    arch_column: str = "arch"
    space: str = "nb201"  # the space whose architectures the file lists

    @property
    def label(self) -> str:
        """What the column ``device`` says."""
        return self.device

    @property
    def _arch_columns(self) -> list[str]:
        return self.arch_column.split(",")

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
        table, files = self._read()
        columns = [table.column(name) for name in self._arch_columns]
        cells = [",".join(parts) for parts in zip(*columns, strict=True)]
        own = ("", INDEX, *self._arch_columns)
        devices = [name for name in table.header if name not in own]
        if self.device not in devices:
            raise ConfigError(
                f"hardware.device={self.device} is not in {self.path}, which has "
                f"{', '.join(devices)}"
            )
        return KnownDevice(self, space, *self._column(space, table, cells), files)

    def _read(self) -> tuple[CsvInput, dict[str, str]]:
        """The cells, and the file with its sha256."""
        path = Path(self.path)
        if not path.exists():
            raise DataError(f"{path}: no such file; {HOW_TO_GET}")
        if is_help(path):
            table, digests = read_help(path, self.device, self.arch_column)
            return table, {f"{self.name}/{name}": digest for name, digest in digests.items()}
        data = read_bytes(path)
        # Named without its folder, which says nothing about a result.
        files = {f"{self.name}/{path.name}": hashlib.sha256(data).hexdigest()}
        return read_csv_input(data, path, HOW_TO_GET), files

    def _column(
        self, space: SearchSpace, table: CsvInput, cells: Sequence[str]
    ) -> tuple[Archs, Floats]:
        """``(rows, L)`` architectures and ``(rows,)`` their latency in ms on the device."""
        archs = np.empty((len(cells), len(space.decisions)), np.int64)
        for i, cell in enumerate(cells):
            try:
                archs[i] = space.parse(cell)
            except ConfigError as error:
                raise DataError(f"{self.path}, line {table.lines[i]}: {error}") from None
        self._refuse_repeats(archs, table.lines)
        figures = table.numbers(self.device)
        for i in np.flatnonzero(figures <= 0)[:1].tolist():
            raise DataError(
                f"{self.path}, line {table.lines[i]}, column {self.device}: expected a latency "
                f"above 0 ms, found {figures[i]:g}"
            )
        if np.isnan(figures).all():
            raise DataError(f"{self.path}: no latency for {self.device}; {HOW_TO_GET}")
        return archs, figures

    def _refuse_repeats(self, archs: Archs, lines: Sequence[int]) -> None:
        _, first, inverse = np.unique(archs, axis=0, return_index=True, return_inverse=True)
        earlier = first[inverse.reshape(-1)]
        for row in np.flatnonzero(earlier != np.arange(len(archs)))[:1].tolist():
            raise DataError(
                f"{self.path}, line {lines[row]}: the architecture of line "
                f"{lines[int(earlier[row])]} again"
            )


HOW_TO_GET = (
    "set data_dir= or NASRUN_DATA to a folder that has hardware/help_latency_nb201.csv.gz, or "
    "hardware.path to a CSV with a column arch and a column of milliseconds for each device, or to "
    "the folder data/nasbench201 of github.com/HayeonLee/HELP, where the measurements are public"
)
