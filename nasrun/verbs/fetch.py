"""Download a public benchmark file, checked by its sha256."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from nasrun.files import cache_folder


def add_arguments(parser: ArgumentParser) -> None:
    """What is fetched, and where to."""
    from nasrun.benchmarks.fetch import DOWNLOADS

    parser.add_argument("name", metavar="NAME", help=", ".join(DOWNLOADS))
    parser.add_argument("--folder", type=Path, metavar="DIR", help="default: the cache's downloads")


def run(options: Namespace) -> int:
    """Fetch, unless the file is there."""
    from nasrun.benchmarks.fetch import DOWNLOADS, fetch

    path = fetch(options.name, options.folder or cache_folder() / "downloads")
    print(f"{path} ({DOWNLOADS[options.name].licence} licence, sha256 checked)")
    return 0
