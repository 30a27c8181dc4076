"""Files and folders that are being made, by names that say which process makes them.

So the next process that writes in their folder can remove what a killed one left behind.
"""

import os
import platform
import re
import shutil
import time
from pathlib import Path
from typing import TypedDict

SUFFIX = ".draft"
OWNED = re.compile(r"\..+\.(?P<host>[^.]+)\.(?P<pid>\d+)\.[^.]+\.draft")
PATIENCE_S = 86400.0  # for drafts of other machines, whose processes cannot be asked
_tidied: set[tuple[int, Path]] = set()  # a process looks at a folder once


class Affixes(TypedDict):
    """What ``tempfile`` puts around the name that it draws."""

    prefix: str
    suffix: str


def draft_of(name: str) -> Affixes:
    """How a draft of ``name`` by this process is called."""
    return {"prefix": f".{name}.{_host()}.{os.getpid()}.", "suffix": SUFFIX}


def remove_abandoned(folder: Path) -> None:
    """Remove the drafts in ``folder`` whose process is gone; done once by each process."""
    if (os.getpid(), folder) in _tidied:
        return
    _tidied.add((os.getpid(), folder))
    for path in folder.iterdir():
        if (found := OWNED.fullmatch(path.name)) and _is_abandoned(path, found):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _host() -> str:
    return platform.node().replace(".", "-") or "-"


def _is_abandoned(path: Path, owner: re.Match[str]) -> bool:
    if owner["host"] == _host():
        return not is_alive(int(owner["pid"]))
    try:
        return time.time() - path.stat().st_mtime > PATIENCE_S
    except OSError:
        return False  # it has just been given its name, or removed


def is_alive(pid: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
