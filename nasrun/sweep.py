"""The end of a sweep: join the jobs' rows, make the experiment's report, say what is missing.

Hydra 1.3 does not call ``on_multirun_end`` when a job fails, so the callback only notes where the
sweep is, and the command's entry point calls ``close`` whatever happened.
"""

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from nasrun.errors import NasrunError

_current: list[tuple[Path, Any]] = []  # folder and report node of this process's sweep


class SweepCallback(Callback):
    """Notes where a sweep writes when it starts."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Remember the sweep's folder and its report."""
        report = config.get("report")
        _current.append(
            (
                Path(config.hydra.sweep.dir),
                None if report is None else OmegaConf.to_container(report, resolve=True),
            )
        )


def close() -> int:
    """Collect the sweep of this process, if it was one; returns the exit code."""
    if not _current:
        return 0
    folder, report = _current.pop()
    if not folder.is_dir():
        return 0  # Hydra could not make it, which has been said
    try:
        return _close(folder, report)
    except NasrunError as error:
        print(f"nasrun: {error}", file=sys.stderr)
        return error.exit_code


def _close(folder: Path, report: Any) -> int:
    from nasrun.console import show_sweep
    from nasrun.record.collect import collect

    collected = collect(folder)
    tables = []
    if report is not None and collected.rows:
        from nasrun.cells import job_edges
        from nasrun.report.experiment import write_report

        tables = [write_report(folder, report, edges=job_edges).table]
    show_sweep(folder, collected, tables)
    return 1 if collected.failed else 0
