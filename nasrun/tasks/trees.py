"""Files below a folder or inside a zip file, found and read alike."""

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath

from nasrun.errors import DataError
from nasrun.input_files import BROKEN, read_bytes, read_member, require_file, shown

# A member that is encrypted, or packed in a way that Python does not know.
UNREADABLE = (*BROKEN, KeyError, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class Member:
    """A file inside a zip file, which other processes can be told of."""

    archive: Path
    name: str

    def __str__(self) -> str:
        """Where it is, for errors."""
        return f"{shown(self.archive)}: {self.name}"

    def read(self, limit: int | None = None) -> bytes:
        """Its content.

        Raises:
            DataError: no such member, a damaged one, or one larger than ``limit`` (None:
                ``input_files.UNPACKED``) bytes.
        """
        try:
            return read_member(_archive(self.archive), self.name, limit)
        except UNREADABLE as error:
            raise DataError(
                f"{self}: cannot be read ({_words(error)}); get the file again"
            ) from None


TreeFile = Path | Member


@dataclass(frozen=True)
class Tree:
    """A folder or a zip file. Names of files are relative to it, with slashes.

    Raises:
        DataError: it is neither.
    """

    root: Path

    def __post_init__(self) -> None:
        if self.zipped:
            _archive(self.root)

    @property
    def zipped(self) -> bool:
        """Whether it is a zip file."""
        return not self.root.is_dir()

    def file(self, name: str) -> TreeFile | None:
        """The file of a name; None where there is none, or the name leads out of the tree."""
        if not _is_inside(name):
            return None
        if self.zipped:
            return Member(self.root, name) if name in self._members else None
        path = self.root / name
        return path if path.is_file() else None

    def named(self, suffix: str, folders: Sequence[str]) -> list[str]:
        """Sorted names of files that end so and lie in one of the ``folders`` themselves."""
        if self.zipped:
            found = [name for name in self._members if str(PurePosixPath(name).parent) in folders]
        else:
            places = [self.root / folder for folder in folders if (self.root / folder).is_dir()]
            paths = [path for place in places for path in place.iterdir()]
            found = [path.relative_to(self.root).as_posix() for path in paths]
        return sorted(name for name in found if name.endswith(suffix))

    def below(self, folder: str) -> list[str]:
        """Sorted names of all files below a folder that are not hidden, nor in hidden folders."""
        if self.zipped:
            found = [name for name in self._members if name.startswith(f"{folder}/")]
        else:
            paths = (path for path in (self.root / folder).rglob("*") if path.is_file())
            found = [path.relative_to(self.root).as_posix() for path in paths]
        return sorted(name for name in found if "/." not in f"/{name}")

    @cached_property
    def _members(self) -> frozenset[str]:
        members = _archive(self.root).infolist()
        return frozenset(member.filename for member in members if not member.is_dir())

    def __getstate__(self) -> dict[str, Path]:
        """Another process lists the members itself."""
        return {"root": self.root}


def file_name(file: TreeFile) -> str:
    """Where a file is, as any output can take it."""
    return str(file) if isinstance(file, Member) else shown(file)


def file_state(file: TreeFile) -> bytes:
    """What changes when a file's content may have changed, as far as the system tells."""
    inside = f" {file.name}" if isinstance(file, Member) else ""
    path = file.archive if isinstance(file, Member) else file
    state = path.stat()
    return os.fsencode(f"{path.resolve()} {state.st_size} {state.st_mtime_ns}{inside}")


def read_file(file: TreeFile, limit: int) -> bytes:
    """The content of a file of at most ``limit`` bytes.

    Raises:
        DataError: it is larger, damaged, or no plain file.
    """
    return file.read(limit) if isinstance(file, Member) else read_bytes(file, limit)


def _archive(path: Path) -> zipfile.ZipFile:
    """An open zip file."""
    require_file(path)
    return _opened(path, path.stat().st_mtime_ns, os.getpid())


@lru_cache(maxsize=4)
def _opened(path: Path, changed: int, process: int) -> zipfile.ZipFile:
    """Listed once for each state of the file; a process that was forked opens its own."""
    del changed, process
    try:
        return zipfile.ZipFile(path)
    except UNREADABLE as error:
        raise DataError(
            f"{shown(path)}: expected a folder or a zip file ({_words(error)}); get it again"
        ) from None


def _is_inside(name: str) -> bool:
    pure = PurePosixPath(name)
    return bool(name) and "\0" not in name and not pure.is_absolute() and ".." not in pure.parts


def _words(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
