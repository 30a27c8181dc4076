"""Tuning: a sweep that looks for good values of an algorithm's hyper-parameters.

Hydra scans this module at every start, so it imports nothing beyond Hydra itself.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nasrun import sweep
from nasrun.errors import UnsupportedError
from nasrun.sweepers.base import FolderSweeper, succeeded

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from nasrun.sweepers.study import SharedStudy
    from nasrun.sweepers.tuning import Tuning

log = logging.getLogger(__name__)

POLL_S = 2.0  # between two looks at what other processes are still playing


class OptunaSweeper(FolderSweeper):
    """Tunes on some tasks by Optuna's TPE, then reports default and tuned values on another.

    Every configuration is played on every tuning task with the same seeds; its objective is the
    mean reward over the tasks. The first configuration is the default, so the best one found is
    never worse than that on the tuning tasks. Then the default and the best are played on the
    reported tasks with the command's own ``seed`` and ``trials``, and their rows are the sweep's.

    Several processes that start the same command with the same ``hydra.sweep.dir`` share the work.
    Started again, it goes on: a configuration that was cut off keeps its number and the trials that
    it has.

    Args:
        max_batch_size: of the default sweeper, whose config lies below an experiment's; ignored, as
            are its ``points`` and ``leave_out``.
        settings: see ``conf/hydra/sweeper/tune.yaml`` and ``Settings``, their schema.
    """

    def __init__(
        self,
        max_batch_size: int | None = None,
        points: Sequence[Sequence[str]] = (),
        leave_out: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__()
        self._settings = settings

    def sweep(self, arguments: list[str]) -> Any:
        """Tune, write what was found, and play the reported runs; returns their results.

        Raises:
            UnsupportedError: Optuna is not installed.
            ConfigError: the settings are out of range, or the reported figures would not be free of
                what was tuned on.
            DataError: the default, or not one configuration, could be played.
            NasrunError: the launcher gave up before its jobs ended.
        """
        if find_spec("optuna") is None:
            raise UnsupportedError(
                'tuning needs Optuna, which is not installed: pip install "nasrun[tuning]"'
            )
        from nasrun.jobs import numbered
        from nasrun.sweepers.tuning import make_tuning

        folder = self._folder()
        tuning = make_tuning(folder, self._settings, arguments, self._compose)
        study = tuning.study()
        self._save_config(folder)
        reports = len(tuning.report_jobs({}))
        whole = tuning.settings.configurations * len(tuning.settings.tasks) + reports
        told = [each for each in study.configurations() if each.state.is_finished()]
        done = len(told) * len(tuning.settings.tasks)
        with numbered(folder, whole, done):
            return self._tune_and_report(tuning, study)

    def _tune_and_report(self, tuning: "Tuning", study: "SharedStudy") -> Sequence[Any]:
        from nasrun.sweepers.tuning_files import best_of, verdict, write_best, write_table

        self._tune(tuning, study)
        with study.held():
            write_table(tuning, tried := study.configurations())
        if len(tried) < (limit := tuning.settings.configurations):
            log.info(
                "all %d possible configurations were tried, of %d asked for", len(tried), limit
            )
        best = best_of(tried, tuning.folder)
        write_best(tuning, tried, best)
        log.info("%s", verdict(tuning, tried, best))
        return self._report(tuning, best.params)

    def _tune(self, tuning: "Tuning", study: "SharedStudy") -> None:
        """Play configurations until all are done, whoever played them."""
        limit, parallel = tuning.settings.configurations, tuning.settings.parallel
        while True:
            if asked := study.ask(parallel, limit):
                self._play(tuning, study, asked)
            elif study.open():
                log.info("waiting for configurations that other processes are playing")
                time.sleep(POLL_S)
            else:
                return

    def _play(self, tuning: "Tuning", study: "SharedStudy", asked: "Sequence[FrozenTrial]") -> None:
        """Play configurations on all tasks, side by side if the launcher can."""
        from nasrun.sweepers.tuning_files import (
            cannot_start,
            is_being_written,
            objective,
            read_result,
            write_table,
        )

        log.info("playing configurations %s", ", ".join(str(each.number) for each in asked))
        self._launch(
            [job for each in asked for job in tuning.tuning_jobs(each.number, each.params)]
        )
        for each in asked:
            places = tuning.places(each.number).values()
            results = [read_result(place) for place in places]
            worth = objective(results)
            if worth is None and is_being_written(places):
                study.leave(each.number)  # by jobs that outlived the process that launched them
                time.sleep(POLL_S)
            elif worth is None and each.number == 0 and tuning.first is not None:
                raise cannot_start(results)
            else:
                study.tell(each.number, worth)
        with study.held():
            write_table(tuning, study.configurations())

    def _report(self, tuning: "Tuning", best: Mapping[str, Any]) -> Sequence[Any]:
        """Play default and tuned values on the reported tasks; one process at a time does."""
        from nasrun.locks import file_lock
        from nasrun.sweepers.tuning_files import set_aside

        jobs = tuning.report_jobs(best)
        asked = [[text for text in job if not text.startswith("hydra.")] for job in jobs]
        sweep.expect(asked)
        with file_lock(tuning.folder / ".report.lock"):
            set_aside(tuning.folder, asked)
            returns = self._launch(jobs)
        for job, returned in zip(asked, returns, strict=True):
            if not succeeded(returned):
                sweep.refuse(job)  # its folder may hold the figures of other values
        return returns
