import errno

import filelock
import pytest

from nasrun import locks
from nasrun.locks import file_lock

fcntl = pytest.importorskip("fcntl")


@pytest.fixture
def no_flock(monkeypatch):
    """A file system that answers flock with an error of this number."""
    monkeypatch.setattr(locks, "_answers", {})

    def answer(number):
        def refuse(*_):
            raise OSError(number, "no locks here")

        monkeypatch.setattr(fcntl, "flock", refuse)

    return answer


@pytest.mark.parametrize("number", ["ENOLCK", "EOPNOTSUPP", "EIO", "ENOSYS"])
def test_without_flock_the_file_itself_is_the_lock(tmp_path, no_flock, number):
    no_flock(getattr(errno, number))
    with (
        file_lock(tmp_path / "x.lock"),
        pytest.raises(filelock.Timeout),
        file_lock(tmp_path / "x.lock", timeout=0),
    ):
        pass
    with file_lock(tmp_path / "x.lock", timeout=0):
        pass
    assert not list(tmp_path.iterdir())


def test_with_flock_the_system_takes_a_lock_back(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_answers", {})
    assert isinstance(file_lock(tmp_path / "x.lock"), filelock.FileLock)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing_is_left_to_the_lock(tmp_path):
    assert isinstance(file_lock(tmp_path / "no" / "x.lock"), filelock.FileLock)
