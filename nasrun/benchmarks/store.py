"""Tables on disk: one safetensors file that is mapped into memory, column by column.

The header's metadata names the sources, their sha256 and the space. Every column carries a CRC-32,
because a flipped bit would otherwise be read as a measurement.
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.benchmarks.table import Column, Column32, Table
from nasrun.errors import ConfigError, DataError
from nasrun.files import write_whole
from nasrun.spec import SearchSpace

FORMAT = "nasrun-table-1"  # to be raised whenever the same files would give another table


def space_id(space: SearchSpace) -> str:
    """Text that two spaces share only if they number the same architectures alike."""
    content = json.dumps([space.name, space.decisions])
    return f"{space.name}-{space.size}-{zlib.crc32(content.encode()):08x}"


class StoredColumns(Mapping[Column, Column32]):
    """The columns of a file, read and checked when asked for.

    Raises:
        DataError: a column whose bytes have changed since it was written.
    """

    def __init__(self, path: Path, handle: Any, checksums: Mapping[str, int]) -> None:
        self._path = path
        self._handle = handle
        self._checksums = checksums
        self._names = [Column.parse(name) for name in handle.keys()]  # noqa: SIM118

    def __getitem__(self, column: Column) -> Column32:
        name = str(column)
        if name not in self._checksums:
            raise KeyError(column)
        figures = self._handle.get_tensor(name)
        if zlib.crc32(figures.data) != self._checksums[name]:
            raise DataError(f"{self._path}: {name} is damaged; delete the file and run again")
        return figures

    def __iter__(self) -> Iterator[Column]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def write_table(path: Path, table: Table, space: SearchSpace) -> None:
    """Write a table under a temporary name and rename it, so that it is whole or not there.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    from safetensors.numpy import save

    columns = {str(c): np.ascontiguousarray(table[c], np.float32) for c in table.columns}
    about = {
        "format": FORMAT,
        "space": space_id(space),
        "files": table.files,
        "sources": table.sources,
        "conflicts": table.conflicts,
        "crc32": {name: zlib.crc32(figures.data) for name, figures in columns.items()},
    }
    write_whole(path, save(columns, {"nasrun": json.dumps(about)}))


def open_table(path: Path, space: SearchSpace) -> Table:
    """The table in a file; its columns stay on disk until they are asked for.

    Raises:
        DataError: not a table of this format, or of another space.
    """
    from safetensors import SafetensorError, safe_open

    try:
        handle = safe_open(str(path), framework="numpy")
        about = json.loads((handle.metadata() or {})["nasrun"])
        stored = StoredColumns(path, handle, about["crc32"])
        table = Table(stored, about["files"], about["sources"], about["conflicts"])
    except (OSError, SafetensorError, ConfigError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path}: not a table of nasrun ({error})") from None
    if about.get("format") != FORMAT or about.get("space") != space_id(space):
        raise DataError(
            f"{path}: expected {FORMAT} of {space_id(space)}, found {about.get('format')} of "
            f"{about.get('space')}; convert the source again with scripts/convert_table.py"
        )
    return table
