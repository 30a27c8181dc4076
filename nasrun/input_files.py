"""Files that people bring: whatever they hold, reading them takes bounded memory and time.

A name may lead to a pipe or a device, a header may claim any size, and a few bytes may unpack to
terabytes. So sizes are looked at before anything is read, and unpacking stops at a limit.
"""

import bz2
import gzip
import io
import json
import lzma
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from nasrun.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIB = 2**20
WHOLE = 4096 * MIB  # bytes of a file that is read at once; the largest are ImageNet's at 64 pixels
UNPACKED = 512 * MIB  # bytes that a compressed file or a member of an archive may become
CHUNK = MIB  # bytes that are unpacked at a time
# How each compression begins, and what reads it.
COMPRESSIONS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
BROKEN = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


def require_file(path: Path, limit: float = math.inf) -> int:
    """The size of a plain file in bytes; reading what is none may never end.

    Raises:
        DataError: a folder, a pipe or a device; not there; or larger than ``limit``.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise DataError(f"{path}: cannot be read ({_reason(error)})") from None
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for is_it, name in KINDS.items() if is_it(found.st_mode)), "no file")
        raise DataError(f"{path}: expected a file, found {kind}: name the file itself")
    if found.st_size > limit:
        raise too_large(path, "it has", limit)
    return found.st_size


def read_bytes(path: Path, limit: int = WHOLE) -> bytes:
    """A whole file.

    Raises:
        DataError: no plain file, larger than ``limit``, or the system cannot read it.
    """
    size = require_file(path, limit)
    try:
        with path.open("rb") as stream:
            return stream.read(size)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({_reason(error)})") from None


@contextmanager
def opened_unpacked(path: Path, limit: float = math.inf) -> Iterator[IO[bytes]]:
    """The content of a file as a stream, unpacked if it is gzip, bzip2 or xz, whatever its name.

    Raises:
        DataError: no plain file, or larger than ``limit``; what is read meanwhile may raise any
            of ``BROKEN``.
    """
    require_file(path, limit)
    try:
        with path.open("rb") as stream, _unpacking(stream) as content:
            yield content
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({_reason(error)})") from None


@contextmanager
def _unpacking(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """``stream`` behind the decompressor that its first bytes ask for, if any."""
    start = stream.read(max(map(len, COMPRESSIONS)))
    stream.seek(0)
    opener = next((own for magic, own in COMPRESSIONS.items() if start.startswith(magic)), None)
    if opener is None:
        yield stream
        return
    with opener(stream, "rb") as content:
        yield content  # pyright: ignore[reportReturnType]


def unpack(data: bytes, where: object, limit: int | None = None) -> bytes:
    """``data``, unpacked if it is gzip, bzip2 or xz.

    Args:
        data: content of a file.
        where: its name, for errors.
        limit: bytes that it may become; None: ``UNPACKED``.

    Raises:
        DataError: it becomes more, or is damaged.
    """
    try:
        with _unpacking(io.BytesIO(data)) as stream:
            return read_up_to(stream, where, limit)
    except BROKEN as error:
        raise DataError(f"{where}: cannot be unpacked ({error}); get it again") from None


def read_up_to(stream: IO[bytes], where: object, limit: int | None = None) -> bytes:
    """All that is left of a stream.

    Raises:
        DataError: it is more than ``limit`` (None: ``UNPACKED``) bytes.
    """
    limit = UNPACKED if limit is None else limit
    parts, left = list[bytes](), limit
    while part := stream.read(CHUNK):
        left -= len(part)
        if left < 0:
            raise too_large(where, "it unpacks to", limit)
        parts.append(part)
    return b"".join(parts)


def read_member(archive: zipfile.ZipFile, name: str, limit: int | None = None) -> bytes:
    """A member of a zip file.

    Raises:
        DataError: it unpacks to more than ``limit`` (None: ``UNPACKED``) bytes.
        KeyError: there is none of that name; what is damaged may raise any of ``BROKEN``.
    """
    with archive.open(name) as stream:
        return read_up_to(stream, f"{archive.filename}: {name}", limit)


def read_npy(data: bytes) -> "NDArray[Any]":
    """The array of a ``.npy`` file, of numbers alone.

    Raises:
        ValueError: another format, Python objects, or not as many bytes as its shape needs.
    """
    import numpy as np  # late: the entry point needs other functions of this file

    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0
    shape, by_columns, kind = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(
        stream
    )
    if kind.hasobject:
        raise ValueError("it holds Python objects")
    needed, there = math.prod(shape) * kind.itemsize, len(data) - stream.tell()
    if needed != there:
        raise ValueError(f"an array of shape {shape} needs {needed} bytes, it has {there}")
    flat = np.frombuffer(data, kind, offset=stream.tell())
    return flat.reshape(shape, order="F" if by_columns else "C")


def read_json_bytes(data: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: not JSON, or nested more deeply than any sensible file.
    """
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def too_large(where: object, verb: str, limit: float) -> DataError:
    """The sentence for what is larger than nasrun reads."""
    return DataError(
        f"{where}: {verb} more than {limit / MIB:,.0f} MiB, which is more than any file of its "
        "kind needs: get the right file, or split it"
    )


def shown(path: Path) -> str:
    """A file's name as any output can take it; bytes that are no UTF-8 are spelt out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
