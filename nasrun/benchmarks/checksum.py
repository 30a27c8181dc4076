"""sha256 of files and folders; that of big ones is remembered as long as they do not change."""

import contextlib
import hashlib
import json
import os
from pathlib import Path

from nasrun.errors import DataError
from nasrun.files import write_whole
from nasrun.input_files import require_file

REMEMBERED_BYTES = 64 * 2**20  # files from this size on are hashed once, not at every start


def sha256(path: Path, memory: Path) -> str:
    """The sha256 of a file, or of the list of a folder's files and theirs.

    Args:
        path: file or folder.
        memory: JSON file that remembers what was expensive, by path, sizes and times of change.

    Raises:
        DataError: it cannot be read, or is a pipe or a device.
    """
    try:
        if not path.is_dir():
            require_file(path)
        state = _state(path)
        if path.is_file() and state["bytes"] < REMEMBERED_BYTES:
            return _hash(path)
        return _remembered(path, state, memory)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _state(path: Path) -> dict[str, int]:
    """What changes when the content does, cheap to look up."""
    parts = sorted(path.iterdir()) if path.is_dir() else [path]
    stats = [part.stat() if part.exists() else part.lstat() for part in parts]  # links to nowhere
    names = b"\n".join(
        os.fsencode(f"{p.name} {s.st_size} {s.st_mtime_ns}")
        for p, s in zip(parts, stats, strict=True)
    )
    return {
        "bytes": sum(stat.st_size for stat in stats),
        "listing": int.from_bytes(hashlib.sha256(names).digest()[:6]),
    }


def _remembered(path: Path, state: dict[str, int], memory: Path) -> str:
    key = str(path.resolve())
    known = _read(memory)
    entry = known.get(key)
    if entry is not None and entry.get("state") == state:
        return entry["sha256"]
    found = _hash_folder(path) if path.is_dir() else _hash(path)
    known[key] = {"state": state, "sha256": found}
    with contextlib.suppress(OSError):  # then it is hashed again next time
        write_whole(memory, json.dumps(known, indent=1).encode())
    return found


def _read(memory: Path) -> dict[str, dict]:
    try:
        known = json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _hash_folder(path: Path) -> str:
    lines = [f"{part.name} {_hash(part)}" for part in sorted(path.iterdir()) if part.is_file()]
    return hashlib.sha256(os.fsencode("\n".join(lines))).hexdigest()
