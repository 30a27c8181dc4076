"""A process that is killed at its k-th change of the disk, as by ``kill -9`` or a power cut.

The process is forked, and ends without any clean-up right before the change: what it has buffered
is lost, its locks go, and whatever it has made stays as it is.
"""

import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

KILLED = 137
CHANGES = {
    "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink",
}  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR


def _changes(event: str, arguments: tuple) -> bool:
    if event == "open":
        return bool(arguments[2] & WRITING)
    return event in CHANGES


def is_killed_at(change: int, folder: Path, play: Callable[[], object]) -> bool:
    """Whether ``play`` reached that change (counted from 1) of something below ``folder``.

    It is played in a process of its own, which is killed there; otherwise it has ended well.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the tests' own threads do nothing
        child = os.fork()
    if child == 0:
        os._exit(_played(change, str(folder), play))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED), f"ended with {code}, see its output"
    return code == KILLED


def _played(change: int, folder: str, play: Callable[[], object]) -> int:
    left = change

    def watch(event: str, arguments: tuple) -> None:
        nonlocal left
        if _changes(event, arguments) and str(arguments[0]).startswith(folder):
            left -= 1
            if left == 0:
                os._exit(KILLED)

    sys.addaudithook(watch)
    try:
        play()
    except SystemExit as error:
        return int(error.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def content(folder: Path, without: tuple[str, ...] = ()) -> dict[str, bytes | None]:
    """Every file and folder below ``folder``, by its path, but for locks and ``without``."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if not path.name.endswith(".lock") and path.name not in without
    }
