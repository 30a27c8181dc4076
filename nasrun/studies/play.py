"""A study from its opened experiment to the files of its report."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nasrun.experiment import Opened
from nasrun.files import read_csv, write_bytes
from nasrun.meta_training import adapt
from nasrun.progress import stage
from nasrun.record.recorder import Recorder
from nasrun.report.studied import StudyReport
from nasrun.studies.base import Study, TrialStudy


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
            figures = study.measured(opened)
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
