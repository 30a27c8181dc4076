"""A measured figure, and how to time a call or a process."""

import os
import resource
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose, initialize_config_dir

from nasrun import config as configs
from nasrun.__main__ import CONF
from nasrun.experiment import Experiment

MB = 1e6
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, KiB on Linux


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
    return statistics.median(seconds_of(work) for _ in range(repeats))


def seconds_of(work: Callable[[], object]) -> float:
    """Seconds of ``work``, once."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def spawn(arguments: Sequence[str]) -> tuple[float, float]:
    """Seconds and peak memory in MB of one ``nasrun`` process."""
    return timed([script(), *arguments])


def script() -> str:
    """The installed command."""
    script = shutil.which("nasrun", path=str(Path(sys.executable).parent)) or shutil.which("nasrun")
    if script is None:
        raise SystemExit("benchmark: no nasrun command here: pip install -e . first")
    return script


def resident_mb() -> float:
    """Memory of this process at this moment, in MB; its peak where the system says no more."""
    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT / MB


def timed(command: Sequence[str], cpu: bool = False) -> tuple[float, float]:
    """Seconds and peak memory in MB of one process; ``cpu``: seconds that it computed."""
    silence = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    began = time.perf_counter()
    process = os.posix_spawn(command[0], list(command), os.environ, file_actions=silence)
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - began
    if code := os.waitstatus_to_exitcode(status):
        raise SystemExit(f"benchmark: {' '.join(command)} ended with exit code {code}")
    return usage.ru_utime + usage.ru_stime if cpu else seconds, usage.ru_maxrss * RSS_UNIT / MB
