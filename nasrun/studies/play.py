"""A study from its opened experiment to the files of its report."""

import time
from collections.abc import Callable, Mapping
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from nasrun.experiment import Opened
from nasrun.files import read_csv, write_bytes
from nasrun.meta_training import adapt
from nasrun.progress import stage
from nasrun.record.recorder import Recorder
from nasrun.report.studied import Finding, StudyReport
from nasrun.studies.base import Study, TrialStudy

FIGURES = tuple(field.name for field in fields(Finding))  # columns of what a stopped study keeps


def play_study(
    study: Study, opened: Opened, recorder: Recorder, provenance: Callable[[], dict[str, Any]]
) -> StudyReport:
    """Measure, and write the report into the recorder's folder.

    Raises:
        NasrunError: as ``Study.measured``; a file that cannot be written.
    """
    began = time.perf_counter()
    learnt = adapt(opened)
    with stage(study.name):
        if isinstance(study, TrialStudy):
            found = _played(study, opened, recorder)
        else:
            notes = [f"meta: {opened.meta_label}", *study.notes]
            figures = _measured(study, opened, recorder)
            found = StudyReport(study.name, study.title, figures, notes, study.decimals)
    write_study(found, recorder.folder)
    about = {"meta": learnt or None, "images": opened.images or None}
    recorder.conclude({**provenance(), **about}, time.perf_counter() - began)
    return found


def write_study(found: StudyReport, folder: Path) -> None:
    """Write the files of a study's report."""
    for name, data in found.files().items():
        write_bytes(folder / name, data)


def _played(study: TrialStudy, opened: Opened, recorder: Recorder) -> StudyReport:
    """Play the trials that are not on record; the report of all of them."""
    seeds, kept = opened.experiment.seeds, recorder.finished()
    missing = [seed for seed in seeds if seed not in kept]
    for first in range(0, len(missing), study.at_once):
        own = missing[first : first + study.at_once]
        recorder.keep_rows(own[0], study.columns, study.rows(opened, own))
    recorder.join_rows(seeds)
    return study.reported(read_csv(recorder.folder / study.file, study.columns))


def _measured(study: Study, opened: Opened, recorder: Recorder) -> list[Finding]:
    """The figures of all parts; those of a part that is on disk are not measured again."""
    found: list[Finding] = []
    for place, part in enumerate(study.parts(opened)):
        if (kept := recorder.kept_rows(place, FIGURES)) is None:
            own = list(part())
            recorder.keep_rows(place, FIGURES, [astuple(finding) for finding in own])
        else:
            own = list(map(_read, kept))
        found += own
    return found


def _read(row: Mapping[str, str]) -> Finding:
    numbers = (float(row[name] or "nan") for name in FIGURES[4:])
    return Finding(row["task"], row["method"], row["figure"], int(row["n"]), *numbers)
