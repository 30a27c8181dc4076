"""Downloads of public benchmark files: ``python -m nasrun.benchmarks.fetch mini_nasbench201``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nasrun.benchmarks import mini_nasbench201
from nasrun.benchmarks.download import retrieve
from nasrun.errors import ConfigError, NasrunError
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
    if name not in DOWNLOADS:
        raise ConfigError(f"nothing is known under {name!r}: choose from {', '.join(DOWNLOADS)}")
    wanted = DOWNLOADS[name]
    return retrieve(wanted.url, f"sha256:{wanted.sha256}", folder / wanted.file)


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
