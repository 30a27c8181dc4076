"""What a tuning leaves: ``tuning.csv``, one row a configuration, and ``best_overrides.yaml``."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock
from omegaconf import OmegaConf
from optuna.trial import FrozenTrial, TrialState

from nasrun.errors import DataError
from nasrun.files import TUNING, atomic, read_csv, read_json, write_csv
from nasrun.locks import file_lock
from nasrun.record.found import found_jobs
from nasrun.record.request import wording
from nasrun.record.rows import DECIMALS
from nasrun.record.status import STATUS, read_status
from nasrun.sweepers.tuning import REPORTED, Tuning, overrides_of

TABLE = "tuning.csv"
BEST = "best_overrides.yaml"
STATES = {
    TrialState.RUNNING: "running", TrialState.COMPLETE: "complete", TrialState.FAIL: "failed",
}  # fmt: skip
COSTS = ("evaluations", "simulated_s", "meta_evaluations")


@dataclass(frozen=True)
class Result:
    """What a job of a configuration came to: its mean reward, or why it has none."""

    reward: float | None
    costs: Mapping[str, float]
    reason: str = ""


def set_aside(folder: Path, asked: Iterable[Sequence[str]]) -> None:
    """Move reported jobs that the tuning no longer asks for below ``tuning/``, where none counts.

    They are there when a tuning goes on with more configurations or other reported trials.
    """
    wanted = {wording(job) for job in asked}
    for found in list(found_jobs(folder / REPORTED)):
        if found.request.wording not in wanted:
            place = folder / TUNING / "outdated" / f"{found.folder.name}-{time.time_ns()}"
            place.parent.mkdir(parents=True, exist_ok=True)
            found.folder.replace(place)


def read_result(folder: Path) -> Result:
    """The result of the job in a folder."""
    status = read_status(folder) if (folder / STATUS).exists() else {"state": "missing"}
    if status["state"] != "complete":
        return Result(None, {}, str(status.get("reason", status["state"])))
    rows = read_csv(folder / "trials.csv")
    rewards = [float(row["reward"]) for row in rows if row["reward"]]
    meta = read_json(folder / "provenance.json").get("meta") or {}
    costs = {key: sum(float(row[key] or "nan") for row in rows) for key in COSTS[:2]}
    costs[COSTS[2]] = float(meta.get("evaluations", 0))
    if len(rewards) < len(rows):
        return Result(None, costs, f"{len(rows) - len(rewards)} trials without a reward")
    return Result(sum(rewards) / len(rewards), costs)


def objective(results: Iterable[Result]) -> float | None:
    """The mean reward over the tasks; None if a task has none."""
    rewards = [result.reward for result in results]
    known = [reward for reward in rewards if reward is not None]
    return sum(known) / len(known) if known and len(known) == len(rewards) else None


def is_being_written(folders: Iterable[Path]) -> bool:
    """Whether some process is at work in one of these job folders."""
    for folder in folders:
        try:
            with file_lock(folder / ".lock", timeout=0):
                pass
        except filelock.Timeout:
            return True
    return False


def write_table(tuning: Tuning, configurations: Sequence[FrozenTrial]) -> None:
    """Write ``tuning.csv``: values, each task's mean reward, objective, state and costs.

    ``evaluations`` and ``simulated_s`` are sums over the trials of all tasks;
    ``meta_evaluations`` are those of meta-training, which the others do not include.
    """
    tasks = tuning.settings.tasks
    columns = (
        "configuration", *tuning.dimensions, *(f"reward_{task}" for task in tasks), "objective",
        "state", *COSTS, "reason",
    )  # fmt: skip
    write_csv(tuning.folder / TABLE, columns, (_row(tuning, each) for each in configurations))


def _row(tuning: Tuning, configuration: FrozenTrial) -> list[object]:
    results = [read_result(folder) for folder in tuning.places(configuration.number).values()]
    finished = configuration.state.is_finished()
    reasons = dict.fromkeys(result.reason for result in results if result.reason and finished)
    return [
        configuration.number,
        *(configuration.params[key] for key in tuning.dimensions),
        *(_cell(result.reward) for result in results),
        _cell(configuration.value),
        STATES[configuration.state],
        *(_cell(sum(result.costs.get(key, 0.0) for result in results)) for key in COSTS),
        "; ".join(reasons),
    ]


def _cell(figure: float | None) -> float | int | None:
    if figure is None or figure != figure:
        return None
    return int(figure) if figure == int(figure) else round(figure, DECIMALS)


def cannot_start(results: Iterable[Result]) -> DataError:
    """The refusal of a command whose default fails, as all that is tuned would."""
    reasons = dict.fromkeys(result.reason for result in results if result.reason)
    return DataError(
        f"what is to be tuned fails with its default values, so nothing was tried: "
        f"{'; '.join(reasons)}"
    )


def best_of(configurations: Sequence[FrozenTrial], folder: Path) -> FrozenTrial:
    """The configuration with the highest objective, the first among equals.

    Raises:
        DataError: none has one.
    """
    objectives = {each.number: each.value for each in configurations if each.value is not None}
    if not objectives:
        raise DataError(
            f"not one configuration could be played; {folder / TABLE} says why in each case"
        )
    return configurations[max(objectives, key=objectives.__getitem__)]


def verdict(tuning: Tuning, configurations: Sequence[FrozenTrial], best: FrozenTrial) -> str:
    """One sentence on what was found."""
    tasks = " and ".join(tuning.settings.tasks)
    default = configurations[0].value if tuning.first is not None else None
    beside = "" if default is None else f", the default {default:.3f}"
    return (
        f"best of {len(configurations)} configurations of {tuning.algorithm} on {tasks}: number "
        f"{best.number}, {' '.join(overrides_of(best.params))}, mean reward {best.value:.3f}"
        f"{beside}"
    )


def write_best(tuning: Tuning, configurations: Sequence[FrozenTrial], best: FrozenTrial) -> None:
    """Write the best values as a list of overrides, as Hydra writes its own."""
    overrides = overrides_of(best.params)
    with atomic(tuning.folder / BEST) as stream:
        stream.write(f"# {verdict(tuning, configurations, best)}\n")
        stream.write(f"# nasrun algorithm={tuning.choice} {' '.join(overrides)}\n")
        stream.write(OmegaConf.to_yaml(OmegaConf.create(overrides)))
