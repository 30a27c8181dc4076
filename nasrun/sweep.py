"""The end of a sweep: join the jobs' rows, make the experiment's report, say what is missing.

Hydra 1.3 does not call ``on_multirun_end`` when a job fails, so the callback only notes where the
sweep is, and the command's entry point calls ``close`` whatever happened.
"""

import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nasrun import traces
from nasrun.errors import ConfigError, DataError, NasrunError
from nasrun.names import command_for, verb_for
from nasrun.record.request import wording
from nasrun.resume import RUN, shown

if TYPE_CHECKING:
    from nasrun.report.experiment import Written
    from nasrun.studies.base import TrialStudy

# Where our sweepers are, for Hydra 1.3 and 1.4. A plug-in has an OptunaSweeper, too, so that the
# name of a class would not tell.
OURS = ("hydra_plugins.nasrun.", "nasrun.")


UNASKED = 200_000  # rows up to which a report that nobody asked for is made: a few seconds


@dataclass
class _Sweep:
    """This process's sweep: its folder, its report node (None: no report), and its jobs.

    ``ours``: whether by a sweeper of this package, which heeds ``sweep.split`` and names its jobs.
    """

    folder: Path
    report: dict[str, Any] | None
    ours: bool
    study: "TrialStudy | None" = None  # that its jobs share
    jobs: set[tuple[str, ...]] = field(default_factory=set[tuple[str, ...]])
    refused: set[tuple[str, ...]] = field(default_factory=set[tuple[str, ...]])


_current: list[_Sweep] = []


class SweepCallback(Callback):
    """Notes where a sweep or a run writes when it starts."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Remember what there is of the run's folder, which Hydra is about to make."""
        # Hydra refuses such a folder itself, and would make a warning of it here as well.
        with suppress(OmegaConfBaseException, OSError):
            traces.note(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Remember the sweep's folder and its report.

        Raises:
            SystemExit: the folder is a run's, the sweeper would ignore ``sweep.split``, or the
                report is not to be had. Hydra would make a warning of any other error here, and go
                on.
        """
        try:
            _require_no_run(Path(config.hydra.sweep.dir))
            if (refusal := _ignored_split(config)) is not None:
                raise refusal
            report, study = _report_node(config), _study(config)
        except NasrunError as error:  # before the first job, not after the last
            print(f"nasrun: {error}", file=sys.stderr)
            sys.exit(error.exit_code)
        _current.append(_Sweep(Path(config.hydra.sweep.dir), report, _is_by_ours(config), study))


def _require_no_run(folder: Path) -> None:
    """Refuse a run's folder: the sweep's rows would replace the run's, and be joined to themselves.

    Raises:
        DataError: it is one.
    """
    from nasrun.record.status import STATUS

    if any((folder / name).is_file() for name in (STATUS, RUN)):
        raise DataError(
            f"{folder} holds a run, whose files this sweep would replace: choose another folder "
            "with hydra.sweep.dir=..., or delete this one"
        )


def _report_node(config: DictConfig) -> dict[str, Any] | None:
    """The checked report node; None where ``report=null`` wants none.

    Raises:
        ConfigError: it is no node of a report, or a wrong one.
        DataError: a file of published figures that is not there, or cannot be read.
    """
    from nasrun.report.schema import parse_report

    node = config.get("report")
    if node is None:
        return None
    if not isinstance(node, DictConfig):
        raise ConfigError(f"report must be a group of keys and values, or null, got {node!r}")
    try:
        content = OmegaConf.to_container(node, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"report: {str(error).splitlines()[0]}") from None
    found = {str(key): value for key, value in dict(content or {}).items()}  # pyright: ignore[reportArgumentType, reportCallIssue]
    report = parse_report(found)
    for key in ("published", "published_ranks"):
        from nasrun.report.compare import read_published

        if name := getattr(report, key):
            read_published(name, str(report.figure), f"report.{key}")
    return found


def _study(config: DictConfig) -> "TrialStudy | None":
    """The study that all jobs share; None where they search."""
    if not config.get("study"):
        return None
    from nasrun.config import study_of
    from nasrun.studies.base import TrialStudy

    study = study_of(config)
    return study if isinstance(study, TrialStudy) else None


def _ignored_split(config: DictConfig) -> ConfigError | None:
    """Why a split cannot be had; None where none is asked for, or the sweeper knows the setting."""
    split = OmegaConf.select(config, "sweep.split", default=1)
    if split == 1 or _is_by_ours(config):
        return None
    choice = OmegaConf.select(config, "hydra.runtime.choices.hydra/sweeper")
    return ConfigError(
        f"sweep.split={split} would be ignored by hydra/sweeper={choice}: leave one of the two out "
        "(nasrun's own sweeper, the default, splits)"
    )


def _is_by_ours(config: DictConfig) -> bool:
    return str(config.hydra.sweeper._target_).startswith(OURS)


def folder() -> Path | None:
    """Where this process's sweep lies, if it plays one."""
    return _current[-1].folder if _current else None


def way_on() -> str:
    """How to go on with this process's sweep, in words."""
    if (place := folder()) is None:
        return "start the same command again to go on"
    return f"go on with: {command_for(shown(place))}"


def expect(jobs: Iterable[Iterable[str]]) -> None:
    """Say by their overrides which jobs this sweep has, so that ``close`` notices missing ones."""
    for current in _current:
        current.jobs.update(wording(job) for job in jobs)


def refuse(job: Iterable[str]) -> None:
    """Say that a job has failed, whatever its folder may hold of other runs."""
    for current in _current:
        current.refused.add(wording(job))


def withdraw() -> None:
    """Forget this process's sweep if it was refused before its jobs were named.

    Nothing is collected then: the folder holds what it held before the command. What a sweeper of
    others may have played, which names no jobs, is collected all the same.
    """
    if _current and _current[-1].ours and not _current[-1].jobs:
        _current.pop()


def close() -> int:
    """Collect the sweep of this process, if it was one; returns the exit code.

    0: every job of the command is done. 1: some failed, or are not done, be it that they were cut
    off or that another process is playing them. 2: there is nothing but mistakes in the config.
    """
    if not _current:
        return 0
    sweep = _current.pop()
    if not sweep.folder.is_dir():
        return 0  # Hydra could not make it, which has been said
    try:
        return _close(sweep)
    except NasrunError as error:
        print(f"nasrun: {error}", file=sys.stderr)
        return error.exit_code


def _close(sweep: _Sweep) -> int:
    from nasrun.console import show_sweep
    from nasrun.record.collect import collect

    folder = sweep.folder
    collected = collect(folder)
    if sweep.study is not None and collected.rows:
        _report_study(folder, sweep.study)
    trials = collected.rows and sweep.study is None
    written = _reported(folder, sweep.report, collected.rows) if trials else None
    # A report that somebody asked for is the table to show; else the sweep's own says more.
    asked = written is not None and sweep.report is not None and sweep.report.get("title")
    show_sweep(folder, collected, [written.table] if written and asked else [])
    if written:
        print(f"report: {written.page}")
    done = {request.wording for request in collected.requests} - sweep.refused
    left = len(sweep.jobs - done)
    # A job of an earlier command that was mended since is shown, but is none of this sweep.
    failed = {job for job in collected.failed if _is_ours(sweep, collected.asked.get(job))}
    if (cut := left - len(failed)) > 0:
        what = f"{cut} of {len(sweep.jobs)} jobs are not done"
        print(f"nasrun: {what}; go on with: {command_for(shown(folder))}", file=sys.stderr)
    if failed and failed <= collected.mistakes and not collected.complete:
        return ConfigError.exit_code
    return NasrunError.exit_code if failed or left else 0


def _report_study(folder: Path, study: "TrialStudy") -> None:
    """Write and print the report of all jobs' rows."""
    from nasrun.console import show_study
    from nasrun.files import read_csv
    from nasrun.report.studied import PAGE
    from nasrun.studies.play import write_study

    found = study.reported(read_csv(folder / study.file, study.columns))
    write_study(found, folder)
    show_study(found)
    print(f"report: {folder / PAGE}")


def _reported(folder: Path, node: dict[str, Any] | None, rows: int) -> "Written | None":
    """The report of a sweep, or one sentence on why there is none: its results are there anyway."""
    if node is None:
        return None
    if rows > UNASKED and not node.get("title"):
        print(f"no report of {rows:,} rows unasked: {verb_for('report', folder)} makes it")
        return None
    from nasrun.cells import job_edges
    from nasrun.report.experiment import write_report

    try:
        return write_report(folder, node, edges=job_edges)
    except NasrunError as error:
        reason = str(error)
    except Exception as error:
        reason = f"this should not happen: {type(error).__name__}: {error}"
    print(f"nasrun: the results are in {folder}, but no report: {reason}", file=sys.stderr)
    return None


def _is_ours(sweep: _Sweep, job: tuple[str, ...] | None) -> bool:
    return job is None or not sweep.jobs or job in sweep.jobs
