"""Where the rows of a report come from: what the jobs' ``provenance.json`` agree and differ on."""

from collections.abc import Mapping, Sequence
from typing import Any

from nasrun.files import read_json
from nasrun.report.jobs import Job


def origins(jobs: Sequence[Job]) -> list[tuple[str, list[str]]]:
    """Facts and their values, one value where all jobs agree; none without jobs.

    Raises:
        DataError: a ``provenance.json`` cannot be read.
    """
    if not jobs:
        return []
    found = [read_json(job.folder / "provenance.json") for job in jobs]
    return [("finished jobs", [str(len(jobs))]), *_facts(found)]


def _facts(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    facts = [
        ("nasrun", [_version(job) for job in found]),
        ("Python", [str(job.get("python", "")) for job in found]),
        ("packages", [_pairs(job.get("packages")) for job in found]),
        ("machine", [_machine(job) for job in found]),
        ("command", [" ".join(job.get("command") or ()) for job in found]),
        ("data", [f"{name} {digest}" for job in found for name, digest in _items(job.get("data"))]),
    ]
    distinct = [(name, [v for v in dict.fromkeys(values) if v]) for name, values in facts]
    return [(name, values) for name, values in distinct if values]


def _version(job: Mapping[str, Any]) -> str:
    commit = f", commit {job['commit']}" if job.get("commit") else ""
    dirty = ", with uncommitted changes" if job.get("dirty") else ""
    return f"{job.get('nasrun', '')}{commit}{dirty}"


def _machine(job: Mapping[str, Any]) -> str:
    cpus = f"{job['cpus']} CPUs" if job.get("cpus") else ""
    parts = [job.get("platform"), job.get("device"), cpus]
    return ", ".join(str(part) for part in parts if part)


def _pairs(values: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in _items(values) if value)


def _items(values: Any) -> list[tuple[str, Any]]:
    return list(values.items()) if isinstance(values, dict) else []
