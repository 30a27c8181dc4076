"""Locks between processes, on file systems without ``flock`` too."""

import errno
import tempfile
from pathlib import Path

import filelock

# What flock answers on file systems that have none: NFS without a lock daemon, some FUSE mounts.
NO_FLOCK = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EIO, errno.ENOSYS}
_answers: dict[int, bool] = {}  # by device, so that each is asked once


def file_lock(path: Path, timeout: float = -1) -> filelock.BaseFileLock:
    """A lock held by one process at a time, which the system takes back from one that dies.

    Where the file system knows no ``flock``, the lock is the existence of the file, with its
    owner's process id inside.

    Args:
        path: of the lock file; its folder should be there.
        timeout: seconds to wait for another process, -1 for as long as it takes.
    """
    kind = filelock.FileLock if _has_flock(path.parent) else filelock.SoftFileLock
    return kind(path, timeout=timeout)


def _has_flock(folder: Path) -> bool:
    try:
        device = folder.stat().st_dev
        if device not in _answers:
            _answers[device] = _flock_works(folder)
        return _answers[device]
    except OSError:
        return True  # no such folder, or not to be written: the lock will say so itself


def _flock_works(folder: Path) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows, whose locks are of another kind
        return True
    with tempfile.TemporaryFile(dir=folder) as probe:
        try:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in NO_FLOCK
    return True
