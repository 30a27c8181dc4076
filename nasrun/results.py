"""Finished runs and sweeps in Python: ``nasrun.load(DIR)``.

    results = nasrun.load("outputs/nb201/cifar10/rea/2026-01-01_12-00-00-000000-1")
    results.trials                      # a data frame, a row per trial and scored task
    results.best.text                   # the architecture of the highest reward
    results.best.network()              # torch.nn.Module with its trained weights

Data frames are read when they are asked for, and networks are built then.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from nasrun.benchmarks.trainings import COLUMNS as TRAINING_COLUMNS
from nasrun.benchmarks.trainings import TrainedEpoch
from nasrun.errors import ConfigError, DataError
from nasrun.files import read_csv
from nasrun.found import Found, job_config, job_experiment, trains
from nasrun.measurements import evaluation_rows, evaluations_file, with_spent
from nasrun.names import command_for
from nasrun.record.collect import job_folders, require_whole_below
from nasrun.record.rows import EVALUATION_COLUMNS, PARETO_COLUMNS, TrialRow
from nasrun.record.status import STATUS, TRIALS, read_status, rows_of

if TYPE_CHECKING:
    from pandas import DataFrame

# Cells that stay texts, whatever they look like: run 777 is a name.
TEXTS = (
    {field.name for row in (TrialRow, TrainedEpoch) for field in fields(row) if field.type is str}
    | {"phase", "test_metric", "figure", "job"}
)  # fmt: skip


class Results:
    """A folder with one finished run, or with the finished jobs of a sweep.

    Args:
        folder: of the run or the sweep.
        jobs: folders of its finished runs; a run is its own only job.
    """

    def __init__(self, folder: Path, jobs: Sequence[Path]) -> None:
        self.folder, self.jobs = folder, tuple(jobs)

    @classmethod
    def of(cls, folder: "str | PathLike[str]") -> Self:
        """What stands in a folder.

        Raises:
            DataError: no folder, no run in it, or none that is finished.
        """
        place = Path(folder)
        if not place.is_dir():
            raise DataError(f"{place} is no folder: expected that of a run or a sweep")
        found = sorted(job_folders(place))
        if not found:
            raise DataError(
                f"{place} holds no run: expected a folder with {STATUS}, or with such folders in it"
            )
        statuses = {job: read_status(job) for job in found}
        done = [job for job in found if statuses[job]["state"] == "complete"]
        if not done:
            raise DataError(
                f"{place} holds no finished run: {command_for(place)} goes on with what it holds"
            )
        require_whole_below(place)
        searches = [job for job in done if rows_of(statuses[job]) == TRIALS]
        return cls(place, searches or done)  # studies beside them have figures of their own

    def __repr__(self) -> str:
        return f"Results({str(self.folder)!r}, {len(self.jobs)} finished)"

    @property
    def is_run(self) -> bool:
        """Whether the folder is that of one run."""
        return self.jobs == (self.folder,)

    @cached_property
    def trials(self) -> "DataFrame":
        """``trials.csv``: a row per trial and scored task."""
        return self._joined("trials.csv")

    @cached_property
    def summary(self) -> "DataFrame":
        """``summary.csv``: a row per figure of each search, with its statistics."""
        return self._joined("summary.csv")

    @cached_property
    def pareto(self) -> "DataFrame":
        """``pareto.csv``: the trials' best compromises; without rows where no device was set."""
        if not (self.folder / "pareto.csv").exists():
            return _typed(_empty(PARETO_COLUMNS))
        return self._joined("pareto.csv")

    @cached_property
    def evaluations(self) -> "DataFrame":
        """``evaluations.csv`` of all jobs: a row per measurement, in ``job`` the job's folder.

        A sweep's rows have ``space``, ``search_task`` and ``algorithm`` of their job, too.
        """
        import pandas as pd

        frames: list[DataFrame] = []
        for job in self.jobs:
            first = read_csv(job / "trials.csv")[0]
            name = job.relative_to(self.folder).as_posix()
            search = {key: first[key] for key in ("space", "search_task", "algorithm")}
            measured = with_spent(_read(evaluations_file(job)), job)
            frames.append(measured.assign(**search, job=name))
        columns = ["job", "space", "search_task", "algorithm", *EVALUATION_COLUMNS]
        return pd.concat(frames, ignore_index=True).loc[:, columns]

    @cached_property
    def trainings(self) -> "DataFrame":
        """The epochs of the networks that were trained, from the record that all runs share.

        Rows of ``cache_dir/trainings/trainings.csv`` with the space, the tasks, the architectures,
        the recipe and the scale of a job; none where nothing was trained, or the record is gone.
        """
        import pandas as pd

        frames = [frame for job in self.jobs if len(frame := _job_trainings(job))]
        return pd.concat(frames, ignore_index=True) if frames else _empty(TRAINING_COLUMNS)

    @property
    def best(self) -> "Found":
        """What the trial with the highest reward found.

        Raises:
            ConfigError: searches on several tasks, whose rewards do not compare: use ``found``.
            DataError: no trial has a reward.
        """
        return self.found()

    def found(
        self,
        search_task: str | None = None,
        algorithm: str | None = None,
        seed: int | None = None,
        space: str | None = None,
    ) -> "Found":
        """What was found by the trial with the highest reward among those asked for.

        Among equals the first seed wins, as in ``best.json``.

        Raises:
            ConfigError: there is no such trial, or there are some of several search tasks.
            DataError: none of them has a reward.
        """
        asked = {"search_task": search_task, "algorithm": algorithm, "seed": seed, "space": space}
        wanted = {key: str(value) for key, value in asked.items() if value is not None}
        rows = [
            (job, row)
            for job, row in self._rows()
            if all(row[key] == value for key, value in wanted.items())
        ]
        words = ", ".join(f"{key}={value}" for key, value in wanted.items())
        if not rows:
            raise ConfigError(f"{self.folder} has no trial with {words}")
        tasks = list(dict.fromkeys(row["search_task"] for _, row in rows))
        if len(tasks) > 1:
            raise ConfigError(
                f"{self.folder} holds searches on {', '.join(tasks)}, whose rewards do not "
                "compare: choose one with found(search_task=...)"
            )
        rewarded = [(job, row) for job, row in rows if row["reward"]]
        if not rewarded:
            raise DataError(f"{self.folder}: no trial has a reward, so that nothing was found")
        job, row = max(rewarded, key=lambda one: (float(one[1]["reward"]), -int(one[1]["seed"])))
        return Found(job, row)

    @property
    def search_tasks(self) -> list[str]:
        """The tasks that were searched on."""
        return list(dict.fromkeys(row["search_task"] for _, row in self._rows()))

    @property
    def searches(self) -> list[tuple[str, str]]:
        """The spaces and tasks that were searched on."""
        return list(dict.fromkeys((row["space"], row["search_task"]) for _, row in self._rows()))

    def _rows(self) -> Iterator[tuple[Path, dict[str, str]]]:
        for job in self.jobs:
            for row in read_csv(job / "trials.csv"):
                yield job, row

    def _joined(self, name: str) -> "DataFrame":
        path = self.folder / name
        if not path.exists():
            raise DataError(
                f"{path} is not there: the sweep was cut off before its jobs were joined; "
                f"{command_for(self.folder)} goes on"
            )
        return _read(path)


def _read(path: Path) -> "DataFrame":
    import pandas as pd

    dtype: Any = dict.fromkeys(TEXTS, str)
    try:
        return pd.read_csv(path, dtype=dtype, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:  # pandas' ParserError is a ValueError
        raise DataError(f"{path}: cannot be read ({error})") from None


def _empty(columns: Sequence[str]) -> "DataFrame":
    import pandas as pd

    return pd.DataFrame(columns=list(columns))


def _typed(frame: "DataFrame") -> "DataFrame":
    """Texts as texts and all others as numbers, in a frame without rows."""
    return frame.astype({name: "str" if name in TEXTS else "float64" for name in frame.columns})


def _job_trainings(job: Path) -> "DataFrame":
    """Rows of the shared record that belong to a run."""
    from nasrun.nets.recipe import recipe_id
    from nasrun.nets.representatives import representatives

    experiment = job_experiment(job_config(job), job)
    parts = [experiment.evaluator, *([experiment.scorer] if experiment.scorer else [])]
    trained = [own for part in parts if (own := trains(part)) is not None]
    frames: list[DataFrame] = []
    for training in trained:
        path = Path(training.cache_dir) / "trainings" / "trainings.csv"
        if not path.exists():
            continue
        frame, space = _read(path), experiment.space
        stands_for = representatives(space)
        texts = {row["arch"] for row in read_csv(job / "trials.csv")}
        texts |= {row["arch"] for row in evaluation_rows(job)}
        archs = {space.text(stands_for(space.parse(text))) for text in texts}
        tasks = {each.name for each in (experiment.task, *experiment.final_tasks)}
        frames.append(
            frame.loc[
                (frame["space"] == space.name)
                & frame["task"].isin(sorted(tasks))
                & frame["arch"].isin(sorted(archs))
                & (frame["recipe"] == recipe_id(training.recipe))
                & (frame["channels"].fillna("") == str(training.channels or ""))
                & (frame["cells"].fillna("") == str(training.cells or ""))
            ]
        )
    import pandas as pd

    return pd.concat(frames).drop_duplicates() if frames else _empty(TRAINING_COLUMNS)
