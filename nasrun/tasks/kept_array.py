"""Arrays made once of files and kept in the cache, mapped into memory if they are large."""

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nasrun.drafts import draft_of, remove_abandoned
from nasrun.errors import DataError

MAPPED_BYTES = 256 * 2**20  # what is larger stays on disk and is mapped into memory
CHUNK = 256  # pictures that are decoded at a time
BAR_FROM = 1_000  # pictures from which decoding takes long enough to show a bar


Item = TypeVar("Item")
Found = TypeVar("Found")


def kept_array(
    path: Path, shape: tuple[int, ...], kind: DTypeLike, fill: Callable[[NDArray[Any]], None]
) -> NDArray[Any]:
    """The array of a cache file; made by ``fill`` where the file is not there, or not whole.

    Raises:
        DataError: the cache cannot be written.
    """
    if (found := _opened(path, shape, kind)) is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent)
        _require_space(path.parent, size_of(shape, kind))
        with tempfile.TemporaryDirectory(dir=path.parent, **draft_of("decode")) as temporary:
            draft = Path(temporary) / path.name
            out = np.lib.format.open_memmap(draft, "w+", kind, shape)
            fill(out)
            out.flush()
            del out
            draft.replace(path)
    except OSError as error:
        raise DataError(
            f"cannot keep decoded pictures in {path.parent} ({error.strerror or error}): set "
            "cache_dir to a folder with space"
        ) from None
    found = _opened(path, shape, kind)
    assert found is not None
    return found


def size_of(shape: tuple[int, ...], kind: DTypeLike) -> int:
    """Bytes of an array; a Python number, which no shape overflows."""
    return math.prod(shape) * np.dtype(kind).itemsize


def _require_space(folder: Path, size: int) -> None:
    """Refuse what the disk has no room for: a file in memory's image takes it only when filled.

    Raises:
        DataError: too little is free.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DataError(
            f"decoded pictures take {size / 1e9:,.1f} GB, but {folder} has {free / 1e9:,.1f} GB "
            "left: lower task.image_px, or set cache_dir to a folder with space"
        )


def _opened(path: Path, shape: tuple[int, ...], kind: DTypeLike) -> NDArray[Any] | None:
    """The array of a cache file; None where it is not there, or not whole."""
    try:
        size = size_of(shape, kind)
        found = np.load(path, mmap_mode="r" if size > MAPPED_BYTES else None)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == shape and found.dtype == kind else None


def each(decode: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[tuple[int, Found]]:
    """Of each item its place and what ``decode`` makes of it, in order, several at a time."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in _watched(range(0, len(items), CHUNK), len(items)):
            yield from enumerate(pool.map(decode, items[first : first + CHUNK]), first)


def _watched(starts: range, count: int) -> Iterator[int]:
    """The starts of the chunks, with a progress bar on the terminal if there are many pictures."""
    if count < BAR_FROM:
        yield from starts
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(f"decoding {count} pictures", total=count)
        for first in starts:
            yield first
            progress.advance(bar, CHUNK)
