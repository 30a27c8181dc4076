"""Names for the jobs of a parameter sweep: ``rea[population=5]`` beside ``rea[population=10]``."""

from collections.abc import Mapping
from pathlib import Path

from omegaconf import OmegaConf

from nasrun.record.request import SILENT
from nasrun.record.summary import Row

JobRows = Mapping[Path, list[dict[str, str]]]

# What a row says in a column of its own, or what does not tell two trials apart.
SPOKEN = {"seed", "trials", "space", "task", "algorithm", *SILENT}


def told_apart(by_job: JobRows) -> JobRows:
    """The same rows, with the settings in which jobs of one algorithm differ after its name."""
    overrides = {job: _overrides(job) for job in by_job}
    named: dict[Path, list[dict[str, str]]] = {}
    for job, rows in by_job.items():
        peers = [overrides[other] for other, found in by_job.items() if _alike(rows, found)]
        own = {text for text in overrides[job] if not all(text in peer for peer in peers)}
        label = ",".join(sorted(own))
        suffix = f"[{label}]" if label else ""
        named[job] = [{**row, "algorithm": row["algorithm"] + suffix} for row in rows]
    return named


def _alike(rows: list[dict[str, str]], others: list[dict[str, str]]) -> bool:
    return bool(rows and others) and _problem(rows[0]) == _problem(others[0])


def _problem(row: Row) -> tuple[str, ...]:
    return row["space"], row["search_task"], row["algorithm"]


def _overrides(job: Path) -> set[str]:
    """``key=value`` of a job's own settings, keys without the group they stand in."""
    path = job / ".hydra" / "overrides.yaml"
    texts = [str(text) for text in OmegaConf.load(path)] if path.exists() else []
    pairs = [text.lstrip("+~").partition("=") for text in texts]
    return {
        f"{key.rpartition('.')[2]}={value}"
        for key, _, value in pairs
        if key not in SPOKEN and not key.startswith("hydra")
    }
