"""A study from its opened experiment to the files of its report."""

import time
from collections.abc import Callable
from typing import Any

from nasrun.experiment import Opened
from nasrun.files import write_bytes
from nasrun.meta_training import adapt
from nasrun.progress import stage
from nasrun.record.recorder import Recorder
from nasrun.report.studied import StudyReport
from nasrun.studies.base import Study


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
        figures = study.measured(opened)
    notes = [f"meta: {opened.meta_label}", *study.notes]
    found = StudyReport(study.name, study.title, figures, notes, study.decimals)
    for name, data in found.files().items():
        write_bytes(recorder.folder / name, data)
    about = {"meta": learnt or None, "images": opened.images or None}
    recorder.conclude({**provenance(), **about}, time.perf_counter() - began)
    return found
