"""What a job was asked for, in words: by it a sweep that is started again finds its finished jobs.

A run's ``config_hash`` says for sure whether two runs are the same, but needs the composed config
and the data. The words of the command line and the text of the YAML files say it within a
microsecond; only where they differ is the hash asked.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nasrun.keys import is_silent, key_of
from nasrun.record.provenance import config_hash

TRIALS = ("seed", "trials")
KEPT = "record.evaluations"  # which changes what is kept, and no figure
HYDRA_OWN = ("pkg://hydra.conf", "structured://")


def wording(overrides: Iterable[str], without: Sequence[str] = ()) -> tuple[str, ...]:
    """The overrides that can change a figure, in order; those of the keys ``without`` left out."""
    keys = ((text, key_of(text)) for text in overrides)
    return tuple(sorted(text for text, key in keys if not is_silent(key) and key not in without))


def conf_hash(sources: Iterable[tuple[str, str]]) -> str | None:
    """Twelve hex digits of all YAML files that a config may have been composed from.

    Args:
        sources: schema and path of each config source.

    Returns:
        The digits; None where a source is no folder, so that nobody can tell.
    """
    digest = hashlib.sha256()
    for schema, path in sources:
        if f"{schema}://{path}" in HYDRA_OWN:
            continue
        if schema != "file":
            return None
        for file in sorted(Path(path).rglob("*.yaml")):
            digest.update(file.relative_to(path).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def composed_hash(identity: Mapping[str, Any]) -> str:
    """Twelve hex digits of a run's identity without its trials and its data files."""
    return config_hash({k: v for k, v in identity.items() if k not in (*TRIALS, "data")})


@dataclass(frozen=True)
class Request:
    """What a job was asked for, as its ``status.json`` keeps it.

    ``conf``: hash of the YAML files; ``composed``: hash of what they come to, without the trials;
    ``data``: hash of the data files that were read.
    """

    overrides: tuple[str, ...]
    conf: str | None
    composed: str
    data: str
    seed: int
    trials: int

    @property
    def wording(self) -> tuple[str, ...]:
        """The overrides that can change a figure."""
        return wording(self.overrides)

    @property
    def family(self) -> tuple[str, ...]:
        """What this job shares with those that differ from it in their trials alone."""
        return wording(self.overrides, without=TRIALS)

    def is_one_search_with(self, other: "Request") -> bool:
        """Whether trials of both may be told as those of one search.

        What was asked for in other words may come to the same, and a value that follows the seed
        makes another config of each trial. How measurements are kept changes no figure.
        """
        one, two = (wording(own.overrides, without=(*TRIALS, KEPT)) for own in (self, other))
        return one == two or self.composed == other.composed

    def is_of_same_files_as(self, other: "Request") -> bool:
        """Whether the YAML files are the same, or come to the same, as far as one can tell.

        Other files may be those of another version of nasrun, and come to more keys.
        """
        unknown = self.conf is None or other.conf is None
        return unknown or self.conf == other.conf or self.composed == other.composed

    @property
    def search(self) -> str:
        """What jobs share that are parts of one search."""
        return " ".join((*self.family, self.composed))

    @property
    def seeds(self) -> range:
        """The trials."""
        return range(self.seed, self.seed + self.trials)

    def as_status(self) -> dict[str, Any]:
        """The entry of ``status.json``."""
        return {**asdict(self), "overrides": list(self.overrides)}


@dataclass(frozen=True)
class Found:
    """A job that stands in the sweep's folder.

    ``complete``: it holds all its trials; ``begun``: it is being played, or has kept some trials.
    """

    folder: Path
    request: Request
    complete: bool
    begun: bool

    def stands(self, conf: str | None, composed: str | None) -> bool:
        """Whether it was played with these YAML files, or with others that come to the same."""
        known = conf is not None and self.request.conf == conf
        return known or self.request.composed == composed


def asked_for(status: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The overrides that can change a figure, as a ``status.json`` has them; None: it says none."""
    request = request_of(status)
    if request is not None:
        return request.wording
    overrides: Any = status.get("overrides")
    return None if overrides is None else wording(map(str, overrides))


def request_of(status: Mapping[str, Any]) -> Request | None:
    """The request in a ``status.json``; None where there is none, or not a whole one."""
    entry: Any = status.get("request")
    try:
        values = [entry[field.name] for field in fields(Request)]
        return Request(tuple(values[0]), *values[1:])
    except (TypeError, KeyError):
        return None
