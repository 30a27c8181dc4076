import bz2
import gzip
import io
import lzma
import os
import zipfile

import numpy as np
import pytest

from nasrun import input_files
from nasrun.errors import DataError
from nasrun.input_files import (
    MIB,
    opened_unpacked,
    read_bytes,
    read_json_bytes,
    read_member,
    read_npy,
    require_file,
    shown,
    unpack,
)

PACKERS = pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkdir, "expected a file, found a folder"),
        (os.mkfifo, "expected a file, found a pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "expected a file, found a device"),
        (lambda path: path.symlink_to(path), "cannot be read"),
        (lambda path: None, r"cannot be read \(No such file"),
    ],
)
def test_only_plain_files_are_opened(tmp_path, make, words):
    path = tmp_path / "x"
    make(path)
    for read in (require_file, read_bytes, lambda own: opened_unpacked(own).__enter__()):
        with pytest.raises(DataError, match=f"x: {words}"):
            read(path)


def test_a_file_of_more_than_the_limit_is_not_read(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes(MIB))
    assert read_bytes(path, MIB) == bytes(MIB)
    path.write_bytes(bytes(MIB + 1))
    with pytest.raises(DataError, match="x: it has more than 1 MiB, which is more than any file"):
        read_bytes(path, MIB)


@PACKERS
def test_unpacking_stops_at_the_limit(pack, monkeypatch):
    assert unpack(pack(b"text"), "x") == unpack(b"text", "x") == b"text"
    whole = pack(bytes(3 * MIB))
    assert unpack(whole, "x", 3 * MIB) == bytes(3 * MIB)
    monkeypatch.setattr(input_files, "UNPACKED", 3 * MIB - 1)
    with pytest.raises(DataError, match="x: it unpacks to more than 3 MiB"):
        unpack(whole, "x")
    with pytest.raises(DataError, match=r"x: cannot be unpacked \(.+\); get it again"):
        unpack(whole[:-12], "x", 4 * MIB)


@PACKERS
def test_a_stream_is_unpacked_whatever_its_name(tmp_path, pack):
    path = tmp_path / "x.gz"
    for content in (pack(b"text"), b"text"):
        path.write_bytes(content)
        with opened_unpacked(path) as stream:
            assert stream.read() == b"text"


def test_a_member_is_read_up_to_the_limit():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(MIB))
    with zipfile.ZipFile(stream) as archive:
        assert read_member(archive, "zeros") == bytes(MIB)
        with pytest.raises(DataError, match="zeros: it unpacks to more than 0 MiB"):
            read_member(archive, "zeros", MIB // 4)


@pytest.mark.parametrize(
    "array",
    [np.arange(6).reshape(2, 3), np.asfortranarray(np.eye(2, 3)), np.float32(7), np.array([])],
)
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_arrays_are_numpys(array, version):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), version)
    found = read_npy(stream.getvalue())
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype
    with pytest.raises(ValueError, match="needs"):
        read_npy(stream.getvalue() + b"\0")


def test_json_is_read_as_deep_as_any_sensible_file():
    assert read_json_bytes(b'{"a": [1, 2.5]}') == {"a": [1, 2.5]}
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json_bytes(100_000 * b"[")


def test_names_that_are_no_utf8_are_spelt_out(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9 \xc3\xa9")
    assert shown(path) == rf"{tmp_path}/caf\xe9 é"
