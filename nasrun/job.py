"""One Hydra job: from a composed config to a run folder, and what a person sees of it."""

import math
import os
import sys
import traceback
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from nasrun import config as configs
from nasrun import traces
from nasrun.console import show_job, show_run, show_study, show_study_job
from nasrun.errors import ConfigError, DataError, NasrunError
from nasrun.files import atomic, csv_rows, write_json
from nasrun.identity import identity
from nasrun.jobs import Job, this_job
from nasrun.keys import of_experiment, of_option
from nasrun.live import announce, live, reading
from nasrun.locks import file_lock
from nasrun.machine import end_as_worker
from nasrun.pipeline import run
from nasrun.record.earlier_data import require_earlier_data
from nasrun.record.provenance import config_hash, provenance
from nasrun.record.recorder import Recorder
from nasrun.record.request import Request, composed_hash, conf_hash
from nasrun.record.status import LOCK, STATUS, read_status
from nasrun.report.studied import PAGE
from nasrun.resume import RUN, SWEEP
from nasrun.screen import prepare
from nasrun.studies.base import TrialStudy
from nasrun.studies.play import play_study
from nasrun.unused import say, unused

OWN_FILES = (LOCK, STATUS, ".hydra", "nasrun.log")  # of a run that has not begun


def play_job(config: DictConfig) -> float | None:
    """Play the run that ``config`` describes in Hydra's output folder; returns the mean reward.

    That is NaN where no reward is known, and None where the job of a sweep failed. A failure is one
    sentence. It ends a single run with its exit code; in a sweep it is noted in the job's
    ``status.json`` and the other jobs go on, because Hydra 1.3 would stop at some
    launchers, keep the log empty and skip the end-of-sweep callback.
    """
    prepare()  # a launcher's process has a screen of its own
    end_as_worker()
    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    sweep = settings.mode is RunMode.MULTIRUN
    try:
        begun = any((folder / name).exists() for name in (STATUS, RUN))
        if config.resume is not None and not sweep and not begun:
            raise ConfigError(f"resume={config.resume} holds no run: leave resume out, or add -m")
        if not sweep:
            _require_no_sweep(folder)
        return _play(config, settings, folder, sweep)
    except Exception as error:
        if not sweep and not isinstance(error, NasrunError) and config.debug is True:
            raise
        reason = explain(error, folder)
        if sweep:
            job = _job_of(settings)
            reason = job.excuse(reason)
            job.ended()
        print(f"nasrun: {reason}", file=sys.stderr)
        if config.debug is True:  # it may be anything that a user wrote
            traceback.print_exc()
        _note_failure(folder, error, settings.overrides.task if sweep else None)
        if sweep:
            return None
        sys.exit(exit_code(error))


def _play(config: DictConfig, settings: HydraConf, folder: Path, sweep: bool) -> float:
    sources = [source for source in settings.runtime.config_sources if source.schema == "file"]
    try:
        experiment = configs.check(config, [Path(source.path) / "task" for source in sources])
    except configs.UnknownKeyError as error:
        choices = settings.runtime.choices
        sentence = of_experiment(
            error.key, choices.get("experiment"), settings.overrides.task
        ) or of_option(error.key, [Path(source.path) for source in sources], choices)
        raise (error if sentence is None else ConfigError(sentence)) from None
    study = configs.study_of(config)
    if study is not None and sweep and not isinstance(study, TrialStudy):
        raise ConfigError(f"study={study.name} is a run by itself, no job of a sweep: leave -m out")
    job = _job_of(settings) if sweep else None
    for sentence in unused(config, experiment, settings.overrides.task, sweep):
        say(sentence)
    with reading(experiment, job):
        opened = experiment.opened()
        files = {**opened.files, **({} if study is None else study.inputs)}
    whole = identity(config, files)
    digest = config_hash(whole)
    request = _request(whole, settings)
    save = partial(_save_config, folder, config, settings)
    if study is not None:
        trials = isinstance(study, TrialStudy)
        kept = {"request": request, "wait": sweep, "rows": study.file} if trials else {}
        with Recorder(folder, digest, prepare=save, **kept) as recorder:
            if not recorder.complete:
                with live(experiment, 0, job=job, metric=opened.metric):
                    found = play_study(study, opened, recorder, lambda: provenance(digest, files))
                if not sweep:
                    show_study(found)
        if job is not None:
            show_study_job(study.label, experiment.task.name, experiment.seeds, job)
        else:
            print(f"report: {folder / PAGE}")
        return math.nan
    with Recorder(folder, digest, request, wait=sweep, prepare=save) as recorder:
        if not recorder.complete:
            if sweep:
                require_earlier_data(Path(settings.sweep.dir), request, files)
            announce(opened, job)
            kept = len(recorder.finished())
            with live(
                experiment, kept, job=job, metric=opened.metric,
                trained_after=bool(opened.judging.final_training),
            ) as watch:  # fmt: skip
                run(opened, recorder, lambda: provenance(digest, files), watch)
    if job is not None:
        show_job(folder, job)
    else:
        show_run(folder)
    texts = (row["reward"] for row in csv_rows(folder / "trials.csv"))
    rewards = array("d", (float(text) for text in texts if text))
    return sum(rewards) / len(rewards) if rewards else math.nan


def _require_no_sweep(folder: Path) -> None:
    """Refuse a sweep's folder for a single run, whose rows would replace the joined ones.

    Raises:
        DataError: it is one.
    """
    if (folder / SWEEP).is_file():
        raise DataError(
            f"{folder} holds a sweep, whose files this run would replace: choose another folder "
            "with hydra.run.dir=..., or delete this one"
        )


def _job_of(settings: HydraConf) -> Job:
    return this_job(Path(settings.sweep.dir), settings.job.num, settings.overrides.task)


def _request(identity: Mapping[str, Any], settings: HydraConf) -> Request:
    """What this job was asked for: a sweep that is started again finds it by that."""
    return Request(
        overrides=tuple(settings.overrides.task),
        conf=conf_hash((source.schema, source.path) for source in settings.runtime.config_sources),
        composed=composed_hash(identity),
        data=config_hash(identity["data"]),
        seed=identity["seed"],
        trials=identity["trials"],
    )


def _save_config(folder: Path, config: DictConfig, settings: HydraConf) -> None:
    """Write ``.hydra/`` as Hydra would.

    Hydra itself writes it before nasrun can see that the folder holds another run, and would
    replace that run's config by the one that is about to be refused.
    """
    content = {
        "config.yaml": OmegaConf.to_yaml(config),
        "overrides.yaml": OmegaConf.to_yaml(settings.overrides.task),
        # Last, because ``resume`` reads it.
        RUN.name: OmegaConf.to_yaml(OmegaConf.create({"hydra": settings})),
    }
    for name, text in content.items():
        with atomic(folder / ".hydra" / name) as stream:
            stream.write(text)


def explain(error: Exception, folder: Path) -> str:
    """One sentence on any failure."""
    if isinstance(error, NasrunError):
        return str(error)
    if isinstance(error, MemoryError):
        reason = " ".join(str(error).split()) or "out of memory"
        return f"the run does not fit into memory ({reason}): lower cohort, or what is as large"
    return (
        f"this should not happen: {type(error).__name__}: {error}; the traceback is in "
        f"{folder / STATUS}, and debug=true prints it"
    )


def exit_code(error: Exception) -> int:
    """Exit code of a failure: what a refusal says, and 1 for anything else."""
    return error.exit_code if isinstance(error, NasrunError) else NasrunError.exit_code


def _note_failure(folder: Path, error: Exception, job: Sequence[str] | None) -> None:
    """Leave a trace in a sweep, and nothing at all of a run that was refused before it began.

    ``job``: the overrides of a sweep's job; None outside of sweeps.
    """
    status = folder / STATUS
    if job is None and isinstance(error, NasrunError):
        _take_back(folder)
    elif not status.exists():  # it may be the recorder's, or of the run that owns the folder
        trace = "".join(traceback.format_exception(error))
        reason = explain(error, folder)
        write_json(
            status,
            {
                "state": "failed",
                "config_hash": None,
                "reason": reason,
                "exit_code": exit_code(error),
                "overrides": None if job is None else list(job),
                "error": trace,
            },
        )


def _take_back(folder: Path) -> None:
    """Remove what a refused run has made in its folder, unless another process plays there."""
    if not _is_refusal(folder / STATUS):
        return
    # A run that begins in the same folder meanwhile holds the lock; then all of it may be its.
    with suppress(OSError), file_lock(folder / LOCK, timeout=0):  # Timeout is an OSError
        if _is_refusal(folder / STATUS):
            traces.take_back(OWN_FILES)


def _is_refusal(status: Path) -> bool:
    """Whether there is no run, or this process's, which asked for what cannot be."""
    if not status.exists():
        return True
    try:
        content = read_status(status.parent)
    except DataError:
        return False  # damaged, which is most likely what the refusal says
    refused = content.get("exit_code") == ConfigError.exit_code
    return refused and content.get("pid") == os.getpid()
