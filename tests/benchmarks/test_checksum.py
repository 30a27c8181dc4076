import hashlib
import json
import os

import pytest

from nasrun.benchmarks import checksum
from nasrun.benchmarks.checksum import sha256
from nasrun.errors import DataError


@pytest.fixture
def memory(tmp_path):
    return tmp_path / "memory" / "sha256.json"


def test_small_files_are_hashed_every_time(tmp_path, memory):
    path = tmp_path / "f"
    path.write_bytes(b"content")
    assert sha256(path, memory) == hashlib.sha256(b"content").hexdigest()
    assert not memory.exists()


def test_big_files_are_hashed_once(tmp_path, memory, monkeypatch):
    monkeypatch.setattr(checksum, "REMEMBERED_BYTES", 4)
    path = tmp_path / "f"
    path.write_bytes(b"content")
    first = sha256(path, memory)
    assert first == hashlib.sha256(b"content").hexdigest()
    with monkeypatch.context() as patch:
        patch.setattr(checksum, "_hash", lambda _: pytest.fail("hashed again"))
        assert sha256(path, memory) == first
    path.write_bytes(b"CONTENT")
    os.utime(path, ns=(1, 1))
    assert sha256(path, memory) == hashlib.sha256(b"CONTENT").hexdigest()


@pytest.mark.parametrize("damage", ["not json", "[]", '{"x": 1}'])
def test_a_damaged_memory_is_made_anew(tmp_path, memory, monkeypatch, damage):
    monkeypatch.setattr(checksum, "REMEMBERED_BYTES", 4)
    path = tmp_path / "f"
    path.write_bytes(b"content")
    memory.parent.mkdir()
    memory.write_text(damage)
    assert sha256(path, memory) == hashlib.sha256(b"content").hexdigest()
    assert str(path.resolve()) in json.loads(memory.read_text())


def test_a_folder_changes_with_its_files(tmp_path, memory):
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "a").write_bytes(b"1")
    first = sha256(folder, memory)
    assert sha256(folder, memory) == first
    (folder / "b").write_bytes(b"2")
    assert sha256(folder, memory) != first


def test_a_missing_file_is_a_data_error(tmp_path, memory):
    with pytest.raises(DataError, match="cannot be read"):
        sha256(tmp_path / "missing", memory)
