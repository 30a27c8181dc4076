"""Downloads of public benchmark files: ``nasrun fetch mini_nasbench201``."""

from dataclasses import dataclass
from pathlib import Path

from nasrun.benchmarks import mini_nasbench201
from nasrun.benchmarks.download import retrieve
from nasrun.errors import ConfigError


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
