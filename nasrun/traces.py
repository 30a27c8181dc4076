"""What a run makes on disk before it begins, so that a run that is refused can take it back."""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Traces:
    """A run's folder as it was before the run.

    ``missing`` are the folder and those above it that were not there, the innermost first, and
    ``there`` the names of what lay in it.
    """

    folder: Path
    missing: tuple[Path, ...]
    there: frozenset[str]

    @classmethod
    def before(cls, folder: Path) -> Self:
        """What there is of ``folder`` now."""
        place = folder.absolute()
        missing = takewhile(lambda path: not path.exists(), (place, *place.parents))
        return cls(place, tuple(missing), _names(place))

    def take_back(self, names: Collection[str]) -> None:
        """Remove what has come since, if that is no more than ``names``, and folders left empty."""
        come = _names(self.folder) - self.there
        if not come <= set(names):
            return
        for name in come:
            path = self.folder / name
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        for place in self.missing:
            try:
                place.rmdir()
            except OSError:
                return  # another run has put something there meanwhile


_current: list[Traces] = []


def note(folder: Path) -> None:
    """Remember what there is of this process's run folder before the run."""
    _current.append(Traces.before(folder))


def folder() -> Path | None:
    """This process's run folder, if it plays a run."""
    return _current[-1].folder if _current else None


def take_back(names: Collection[str]) -> None:
    """Take back what this process's run has made, if that is no more than ``names``."""
    for run in _current:
        run.take_back(names)


def _names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(path.name for path in folder.iterdir())
    except OSError:
        return frozenset()
