"""Downloads of public benchmark files: ``python -m nasrun.benchmarks.fetch mini_nasbench201``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nasrun.benchmarks import mini_nasbench201
from nasrun.errors import ConfigError, DataError, NasrunError
from nasrun.files import cache_folder


@dataclass(frozen=True)
class Download:
    """Where a file comes from, what it must be, and where it goes below the downloads folder."""

    url: str
    sha256: str
    file: str
    licence: str


DOWNLOADS = {
    "mini_nasbench201": Download(
        mini_nasbench201.URL, mini_nasbench201.SHA256, mini_nasbench201.FILE, "MIT"
    ),
}


def fetch(name: str, folder: Path) -> Path:
    """Path of the checked file below ``folder``; downloaded only if it is not there yet.

    Raises:
        ConfigError: an unknown name.
        DataError: no connection, another content than expected, or a folder that is read-only.
    """
    import pooch
    import requests

    if name not in DOWNLOADS:
        raise ConfigError(f"nothing is known under {name!r}: choose from {', '.join(DOWNLOADS)}")
    wanted = DOWNLOADS[name]
    path = folder / wanted.file
    pooch.get_logger().setLevel("WARNING")
    try:
        with _Bar(wanted.file) as bar:
            pooch.retrieve(
                wanted.url,
                f"sha256:{wanted.sha256}",
                fname=path.name,
                path=path.parent,
                downloader=pooch.HTTPDownloader(progressbar=bar),  # pyright: ignore[reportArgumentType]
            )
    except requests.RequestException as error:
        raise DataError(
            f"cannot download {wanted.url} ({type(error).__name__}): check the connection, or get "
            f"the file elsewhere and put it at {path}"
        ) from None
    except ValueError:
        raise DataError(
            f"what {wanted.url} sent has not the expected sha256 {wanted.sha256[:12]}...: try "
            "again later, and tell nasrun's authors if it stays so"
        ) from None
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None
    return path


class _Bar:
    """A progress bar in the form that pooch asks for."""

    def __init__(self, title: str) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        self._progress = Progress(*columns, transient=True)
        self._task = self._progress.add_task(title, total=None)

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @property
    def total(self) -> int:
        """Bytes in all."""
        return int(self._progress.tasks[0].total or 0)

    @total.setter
    def total(self, value: int) -> None:
        self._progress.update(self._task, total=value)

    def update(self, amount: int) -> None:
        """Count bytes as done."""
        self._progress.advance(self._task, amount)

    def reset(self) -> None:
        """Begin anew."""
        self._progress.reset(self._task)

    def close(self) -> None:
        """Nothing to close: the context does it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code of the command; 0 if the file is in its place."""
    parser = argparse.ArgumentParser(prog="python -m nasrun.benchmarks.fetch", description=__doc__)
    parser.add_argument("name", help=", ".join(DOWNLOADS))
    parser.add_argument("--folder", type=Path, help="instead of the cache's downloads")
    options = parser.parse_args(arguments)
    try:
        path = fetch(options.name, options.folder or cache_folder() / "downloads")
    except NasrunError as error:
        print(f"nasrun: {error}", file=sys.stderr)
        return error.exit_code
    licence = DOWNLOADS[options.name].licence
    print(f"{path} ({licence} licence, sha256 checked)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
