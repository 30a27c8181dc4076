import gzip

import numpy as np
import pytest
from nb101_file import crc32c, doubles, frame, masked, metrics, varint

from nasrun.benchmarks import tfrecord
from nasrun.benchmarks.tfrecord import fields_of, masked_crc32c, read_records
from nasrun.errors import DataError


def written(tmp_path, content):
    path = tmp_path / "x.tfrecord"
    path.write_bytes(content)
    return path


def test_the_published_check_value():
    """RFC 3720, B.4: 32 zeros; and the usual nine digits."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"123456789") == 0xE3069283


def test_sums_of_many_stretches_are_those_of_each():
    random = np.random.default_rng(0)
    parts = [random.bytes(size) for size in (0, 1, 7, 300, 7, 8)]
    data = np.frombuffer(b"".join(parts), np.uint8)
    sizes = np.array([len(part) for part in parts])
    found = masked_crc32c(data, np.cumsum(sizes) - sizes, sizes)
    assert [sum_.tobytes() for sum_ in found.astype("<u4")] == [masked(part) for part in parts]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("chunk", [1, 50, 2**20])
def test_records_come_back_whatever_is_read_at_a_time(tmp_path, monkeypatch, pack, chunk):
    monkeypatch.setattr(tfrecord, "CHUNK", chunk)
    records = [b"", b"one", bytes(range(100)), b"four"]
    path = written(tmp_path, pack(b"".join(map(frame, records))))
    told = []
    assert list(read_records(path, told.append)) == records
    assert told[-1] == sum(16 + len(record) for record in records)
    assert list(read_records(written(tmp_path, b""))) == []


def test_damaged_and_truncated_files_are_refused(tmp_path):
    good = frame(b"one") + frame(b"two")
    for cut in (1, 3, 15, 18, len(good) - 1):
        with pytest.raises(DataError, match="ends in the middle of a record, after"):
            list(read_records(written(tmp_path, good[:cut])))
    for at in (8, 12, 14, 16, 28):
        bad = bytearray(good)
        bad[at] ^= 4
        with pytest.raises(DataError, match="a check sum is wrong"):
            list(read_records(written(tmp_path, bytes(bad))))
    for other in (b"\x80\x04" + bytes(range(100)), b"PK\x03\x04" * 10, b"arch,acc\n" * 9):
        with pytest.raises(DataError, match="byte 0 begins no record"):
            list(read_records(written(tmp_path, other)))
    with pytest.raises(DataError, match="it cannot be read"):
        list(read_records(written(tmp_path, gzip.compress(good)[:-9])))


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tfrecord, "MOST", 10_000)
    with pytest.raises(DataError, match="it unpacks to more than"):
        list(read_records(written(tmp_path, gzip.compress(frame(b"") * 2**17))))


def test_fields_of_a_protocol_buffer():
    """The first two examples of the encoding's own document, and one of each kind."""
    assert list(fields_of(b"\x08\x96\x01")) == [(1, 150)]
    assert list(fields_of(b"\x12\x07testing")) == [(2, b"testing")]
    assert list(fields_of(doubles([0.0, 1.5]))) == [(2, 1.5)]
    [first, *_, parameters, seconds] = fields_of(metrics([(1.0, 2.0, 0.5, 0.5, 0.5)] * 3))
    assert (parameters, seconds) == ((2, 8_000_000), (3, 1000.0))
    assert dict(fields_of(first[1])) == {1: 1.0, 2: 2.0, 3: 0.5, 4: 0.5, 5: 0.5, 6: b"path"}


@pytest.mark.parametrize(
    "message",
    [
        b"\x08", b"\x09\x00\x00", b"\x12\x07test", b"\x0b", b"\x0d\x00\x00\x00\x00", b"\xff" * 20,
        varint(2) + varint(2**63),
    ],
)  # fmt: skip
def test_what_is_no_protocol_buffer_is_refused(message):
    with pytest.raises(ValueError, match="protocol buffer"):
        list(fields_of(message))
