"""TensorFlow's record files and protocol buffers, read without either library.

A record is a length (eight bytes, little-endian), a check sum of these, the data and a check sum of
it. Sums are CRC-32C (Castagnoli), masked: rotated by 15 bits, plus a constant
(tensorflow.org/tutorials/load_data/tfrecord). A protocol buffer is a row of fields, each a tag
(number and wire type) and a value (protobuf.dev/programming-guides/encoding).
"""

import struct
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasrun.errors import DataError
from nasrun.input_files import BROKEN, opened_unpacked

CHUNK = 2**20  # bytes read at a time
LONGEST = 2**16  # bytes of a record; those of NAS-Bench-101 have some 400
MOST = 2**34  # bytes of a file, unpacked; the largest has 2e9
FRAME = 16  # bytes around the data: length and its sum before, its own sum after
MASK = 0xA282EAD8
POLYNOMIAL = 0x82F63B78  # of CRC-32C, lowest bit first
VARINT, DOUBLE, BYTES = range(3)  # wire types

Words = NDArray[np.uint32]
Value = int | float | bytes


def read_records(path: Path, watch: Callable[[int], None] | None = None) -> Iterator[bytes]:
    """The data of each record; ``watch`` is told how many bytes of them have been read.

    Raises:
        DataError: no such file, a damaged or a truncated one.
    """
    rest, done = b"", 0
    try:
        with opened_unpacked(path) as stream:
            while part := stream.read(CHUNK):
                whole = rest + part
                places, used = _frames(whole, path, done)
                yield from _checked(whole, places, path)
                rest, done = whole[used:], done + used
                if done > MOST:
                    raise _bad(path, f"it unpacks to more than {MOST / 2**30:.0f} GiB")
                if watch is not None:
                    watch(done)
    except BROKEN as error:
        raise _bad(path, f"it cannot be read: {error}") from None
    if rest:
        raise _bad(path, f"it ends in the middle of a record, after {done:,} bytes")


def _frames(data: bytes, path: Path, before: int) -> tuple[list[tuple[int, int]], int]:
    """Where the data of whole records begin and how long they are, and where the last one ends."""
    places, at = list[tuple[int, int]](), 0
    while at + FRAME <= len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        if length > LONGEST:
            raise _bad(path, f"byte {before + at:,} begins no record")
        if at + FRAME + length > len(data):
            break
        places.append((at + 12, length))
        at += FRAME + length
    return places, at


def _checked(data: bytes, places: list[tuple[int, int]], path: Path) -> Iterator[bytes]:
    """The data of records, after a look at all of their sums."""
    begins, lengths = np.array(places, np.int64).reshape(-1, 2).T
    buffer = np.frombuffer(data, np.uint8)
    for starts, sizes in ((begins - 12, np.full(len(begins), 8)), (begins, lengths)):
        said = buffer[(starts + sizes)[:, None] + np.arange(4)].copy().view("<u4")[:, 0]
        if (masked_crc32c(buffer, starts, sizes) != said).any():
            raise _bad(path, "a check sum is wrong")
    for begin, length in places:
        yield data[begin : begin + length]


def masked_crc32c(
    data: NDArray[np.uint8], starts: NDArray[np.int64], sizes: NDArray[np.int64]
) -> Words:
    """``(n,)`` masked sums of ``n`` stretches of ``data``, a byte of all at a time."""
    order = np.argsort(-sizes, kind="stable")
    begins, lengths = starts[order], sizes[order]
    sums, table = np.full(len(order), 0xFFFFFFFF, np.uint32), _table()
    longer = len(order) - np.searchsorted(lengths[::-1], np.arange(lengths.max(initial=0)), "right")
    for at, count in enumerate(longer.tolist()):  # the longest ones stand first
        own = sums[:count]
        sums[:count] = table[(own ^ data[begins[:count] + at]) & 0xFF] ^ (own >> np.uint32(8))
    sums ^= np.uint32(0xFFFFFFFF)
    found = np.empty_like(sums)
    found[order] = ((sums >> np.uint32(15)) | (sums << np.uint32(17))) + np.uint32(MASK)
    return found


@cache
def _table() -> Words:
    """``(256,)`` what a byte does to a sum."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(POLYNOMIAL), table >> 1)
    return table.astype(np.uint32)


def fields_of(message: bytes) -> Iterator[tuple[int, Value]]:
    """Numbers and values of a protocol buffer's fields.

    A value is a whole number, a double or bytes (a text, or a buffer within the buffer).

    Raises:
        ValueError: cut off, or of a wire type that is none of these.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == DOUBLE:
            if at + 8 > len(message):
                raise ValueError("a protocol buffer is cut off")
            yield tag >> 3, struct.unpack_from("<d", message, at)[0]
            at += 8
        elif kind in (VARINT, BYTES):
            value, at = _varint(message, at)
            if kind == BYTES:
                begin, at = at, at + value
                if at > len(message):
                    raise ValueError("a protocol buffer is cut off")
                yield tag >> 3, message[begin:at]
            else:
                yield tag >> 3, value
        else:
            raise ValueError(f"a protocol buffer has wire type {kind}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number, seven bits a byte, lowest first; and where the next thing begins."""
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("a protocol buffer is cut off")


def _bad(path: Path, why: str) -> DataError:
    return DataError(f"{path}: not a complete file of TensorFlow records ({why}): get it again")
