"""Where a task's files may be, and what is said when they are not there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nasrun.benchmarks.checksum import sha256
from nasrun.errors import DataError
from nasrun.files import cache_folder


@dataclass(frozen=True)
class Places:
    """Folders of a task, in the order of preference.

    ``data_dir`` and its ``images/`` come first, then what was downloaded; in each of them, the
    files lie in one of ``folders``. An absolute path among those is a place of its own.
    """

    task: str
    data_dir: str | None
    cache_dir: str | None
    folders: Sequence[str]
    download: bool

    @property
    def cache(self) -> Path:
        """Folder of what can be made again."""
        return Path(self.cache_dir) if self.cache_dir else cache_folder()

    @property
    def downloads(self) -> Path:
        """Folder of downloaded files."""
        return self.cache / "downloads" / "images"

    def roots(self) -> list[Path]:
        """Folders that ``folders`` lie in."""
        data = [Path(self.data_dir).expanduser()] if self.data_dir else []
        return [*data, *(root / "images" for root in data), self.downloads]

    def find(self, names: Sequence[str]) -> Path | None:
        """The first of these files that exists."""
        for folder in self.folders:
            for root in self.roots():
                for name in names:
                    if (path := root / folder / name).exists():
                        return path
        return None

    def below_data(self, name: str | None) -> Path | None:
        """A file that may lie below ``data_dir``; None where it does not."""
        paths = [root / name for root in self.roots()] if name else []
        return next((path for path in paths if path.is_file()), None)

    def require(self, names: Sequence[str], cure: str, fetch: Callable[[], None] | None) -> Path:
        """The first of these files, downloaded if that was asked for.

        Args:
            names: the files to look for.
            cure: what to put where they are looked for.
            fetch: downloads them; None where nobody offers them.

        Raises:
            DataError: none is there; says where it was looked for, and ``cure``.
        """
        path = self.find(names)
        if path is None and self.download and fetch is not None:
            fetch()
            path = self.find(names)
        if path is None:
            roots = " or ".join(str(root) for root in self.roots())
            flag = " or set task.download=true" if fetch and not self.download else ""
            wanted = " or ".join(str(Path(self.folders[0]) / name) for name in names)
            raise DataError(
                f"task={self.task} finds no {wanted} in {roots}: put {cure} into one of them{flag}"
            )
        return path

    def hashes(self, paths: Mapping[str, Path]) -> dict[str, str]:
        """``TASK/NAME`` and sha256 of files and folders by name; that of big ones is remembered.

        Raises:
            DataError: one that cannot be read.
        """
        memory = self.cache / "images" / "sha256.json"
        return {f"{self.task}/{name}": sha256(path, memory) for name, path in paths.items()}


def by_name(paths: Sequence[Path]) -> dict[str, Path]:
    """Files under their own names."""
    return {path.name: path for path in paths}
