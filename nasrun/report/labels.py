"""Names for the jobs of a parameter sweep: ``rea[population=5]`` beside ``rea[population=10]``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from nasrun.keys import is_silent

Row = Mapping[str, str]
JobRows = Mapping[Path, list[dict[str, str]]]

# What stands in a column of its own, or does not tell two trials apart.
IN_COLUMNS = {"seed", "trials", "space", "task", "algorithm"}


@dataclass(frozen=True)
class Labels:
    """What each job's rows have after the name of their algorithm."""

    suffixes: Mapping[Path, str]

    def applied(self, by_job: JobRows) -> JobRows:
        """The rows with the labels."""
        return {
            job: [{**row, "algorithm": row["algorithm"] + self.suffixes[job]} for row in rows]
            for job, rows in by_job.items()
        }


def told_apart(by_job: JobRows) -> Labels:
    """Labels with the settings in which jobs of one algorithm differ."""
    overrides = {job: _overrides(job) for job in by_job}
    problems = {job: _problem(rows[0]) for job, rows in by_job.items() if rows}
    shared: dict[tuple[str, ...], set[str]] = {}
    for job, problem in problems.items():
        shared[problem] = shared.get(problem, overrides[job]) & overrides[job]
    suffixes = dict.fromkeys(by_job, "")
    for job, problem in problems.items():
        if own := sorted(overrides[job] - shared[problem]):
            suffixes[job] = f"[{','.join(own)}]"
    return Labels(suffixes)


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
        if (key not in IN_COLUMNS or value.startswith("{"))
        and not is_silent(key)
        and not key.startswith("hydra")
    }
