"""Tables on disk: one safetensors file that is mapped into memory, column by column.

The header's metadata names the sources, their sha256 and the space. Every column carries a CRC-32,
because a flipped bit would otherwise be read as a measurement.
"""

import json
import zlib
from collections.abc import Container, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrun.benchmarks.curves import Curve
from nasrun.benchmarks.rows import ArchRows
from nasrun.benchmarks.table import Column, Column32, DatasetNames, Table
from nasrun.errors import ConfigError, DataError
from nasrun.files import write_whole
from nasrun.input_files import read_json_bytes, require_file
from nasrun.spec import Archs, CountableSpace, Ints, SearchSpace

MALFORMED = (AttributeError, TypeError, ValueError)
FORMAT = "nasrun-table-3"  # to be raised whenever the same files would give another table
# The architectures of the rows, where they are not the whole space: as numbers, in spaces too large
# for these as decisions, or as texts where the numbers of decisions are those of one process
# (spaces/genome.py). Beside numbers stand the keys of the networks, in ascending order, where the
# space has such.
NUMBERS, ARCHS, TEXTS, NETWORKS = LISTS = ("numbers", "archs", "texts", "networks")
CURVE = "curve/"  # with which the name of a block of curves begins


def space_id(space: SearchSpace) -> str:
    """Text that two spaces share only if their encodings mean the same and the same ones exist."""
    parts: list[object] = [space.name, space.decisions]
    if space.limits:
        parts.append(dict(sorted(space.limits.items())))
    content = json.dumps(parts, default=str)
    return f"{space.name}-{zlib.crc32(content.encode()):08x}"


class StoredColumns(Mapping[Column, Column32]):
    """The columns of a file, read and checked when asked for.

    Raises:
        DataError: a column whose bytes have changed since it was written.
    """

    def __init__(self, path: Path, handle: Any, checksums: Mapping[str, int]) -> None:
        self._path = path
        self._handle = handle
        self._checksums = checksums
        names: list[str] = list(handle.keys())
        self._names = [
            Column.parse(name) for name in names if name not in LISTS and not name.startswith(CURVE)
        ]
        blocks = [Curve.parse(name) for name in names if name.startswith(CURVE)]
        self.curves = StoredCurves(path, checksums, blocks)

    def __getitem__(self, column: Column) -> Column32:
        return self.array(str(column))

    def require_length(self, rows: int) -> None:
        """Refuse columns that are not ``(rows,)`` float32, before any is read.

        Raises:
            ValueError: there is one.
        """
        shapes = {str(column): [rows] for column in self._names}
        shapes |= {str(curve): [rows, curve.schedule] for curve in self.curves}
        for name, shape in shapes.items():
            part = self._handle.get_slice(name)
            if (part.get_shape(), part.get_dtype()) != (shape, "F32"):
                wanted = " x ".join(map(str, shape))
                raise ValueError(f"{name}: expected {wanted} float32, found {part.get_shape()}")

    def array(self, name: str) -> NDArray[Any]:
        """The array of a name, checked."""
        if name not in self._checksums:
            raise KeyError(name)
        figures = self._handle.get_tensor(name)
        if zlib.crc32(figures.data) != self._checksums[name]:
            raise damaged(self._path, name)
        return figures

    def __iter__(self) -> Iterator[Column]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class StoredCurves(Mapping[Curve, Column32]):
    """The curves of a file, mapped into memory: what is not asked for is not read.

    Raises:
        DataError: curves whose bytes have changed since they were written, when they are first
            asked for.
    """

    def __init__(self, path: Path, checksums: Mapping[str, int], names: list[Curve]) -> None:
        self._path, self._checksums, self._names = path, checksums, names
        self._mapped: dict[Curve, Column32] = {}

    def __getitem__(self, curve: Curve) -> Column32:
        if curve not in self._mapped:
            if curve not in self._names:
                raise KeyError(curve)
            start, entry = self._places[0], self._places[1][str(curve)]
            offset, shape = start + entry["data_offsets"][0], tuple(entry["shape"])
            figures = np.memmap(self._path, np.float32, "r", offset, shape)
            if zlib.crc32(figures.data) != self._checksums[str(curve)]:
                raise damaged(self._path, curve)
            self._mapped[curve] = figures
        return self._mapped[curve]

    @cached_property
    def _places(self) -> tuple[int, Mapping[str, Any]]:
        """Where the arrays begin, and the header of safetensors: shape and place of each."""
        with self._path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            return 8 + length, read_json_bytes(stream.read(length))

    def __iter__(self) -> Iterator[Curve]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def damaged(path: Path, name: object) -> DataError:
    """The sentence for bytes that are not those which were written."""
    return DataError(f"{path}: {name} is damaged; delete the file and run again")


def write_table(path: Path, table: Table, space: SearchSpace) -> None:
    """Write a table under a temporary name and rename it, so that it is whole or not there.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    from safetensors.numpy import save

    arrays, order = _listed(table, space)
    for column in table.columns:
        arrays[str(column)] = np.ascontiguousarray(table[column][order], np.float32)
    for curve, block in table.blocks.items():
        arrays[str(curve)] = np.ascontiguousarray(block[order], np.float32)
    about = {
        "format": FORMAT,
        "space": space_id(space),
        "files": table.files,
        "sources": table.sources,
        "conflicts": table.conflicts,
        "names": table.names,
        "crc32": {name: zlib.crc32(array.data) for name, array in arrays.items()},
    }
    write_whole(path, save(arrays, {"nasrun": json.dumps(about)}))


def open_table(path: Path, space: SearchSpace) -> Table:
    """The table in a file; its columns stay on disk until they are asked for.

    Raises:
        DataError: not a table of this format, or of another space.
    """
    from safetensors import SafetensorError, safe_open

    require_file(path)
    try:
        handle = safe_open(path, framework="numpy")
        about = read_json_bytes((handle.metadata() or {})["nasrun"])
        stored = StoredColumns(path, handle, about["crc32"])
        names = {task: DatasetNames(*own) for task, own in about["names"].items()}
        archs = _archs(stored, about["crc32"], space)
        known = (about["files"], about["sources"], about["conflicts"])
        table = Table(space, archs, stored, *known, names, stored.curves)
        stored.require_length(len(table))
    except (OSError, SafetensorError, ConfigError, KeyError, *MALFORMED) as error:
        raise DataError(f"{path}: not a table of nasrun ({error})") from None
    if about.get("format") != FORMAT or about.get("space") != space_id(space):
        raise DataError(
            f"{path}: expected {FORMAT} of {space_id(space)}, found {about.get('format')} of "
            f"{about.get('space')}; convert the source again with nasrun convert"
        )
    return table


def _listed(table: Table, space: SearchSpace) -> tuple[dict[str, NDArray[Any]], Ints | slice]:
    """The table's architectures as arrays to store, by name, and the order of rows to store."""
    as_they_are = slice(None)
    if (numbers := table.rows.numbers) is not None and isinstance(space, CountableSpace):
        if table.rows.network_keys is None:
            return {NUMBERS: numbers}, as_they_are
        networks: Ints = space.canonical_keys(space.at(numbers))
        order = np.argsort(networks, kind="stable")
        return {NUMBERS: numbers[order], NETWORKS: networks[order]}, order
    if (archs := table.archs) is None:
        return {}, as_they_are
    if isinstance(space, CountableSpace):
        kind = np.int16 if space.arity.max() <= np.iinfo(np.int16).max else np.int64
        return {ARCHS: np.ascontiguousarray(archs, kind)}, as_they_are
    texts = json.dumps([space.text(arch) for arch in archs])
    return {TEXTS: np.frombuffer(texts.encode(), np.uint8)}, as_they_are


def _archs(
    stored: StoredColumns, names: Container[str], space: SearchSpace
) -> Archs | ArchRows | None:
    """The architectures listed in a file; None: the whole space, by its numbers."""
    if NUMBERS in names and isinstance(space, CountableSpace):
        networks = stored.array(NETWORKS) if NETWORKS in names else None
        return ArchRows.numbered(space, stored.array(NUMBERS), networks)
    if TEXTS in names:
        texts: list[str] = json.loads(stored.array(TEXTS).tobytes())
        found = np.array([space.parse(text) for text in texts], np.int64)
        return found.reshape(len(texts), len(space.decisions))
    return stored.array(ARCHS).astype(np.int64) if ARCHS in names else None
