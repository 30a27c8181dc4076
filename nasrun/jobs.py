"""Which job of a sweep this is: its number, how many there are, and when the last will be done.

The process that launches the jobs says so in an environment variable, which whatever plays them
inherits; a launcher that does not pass it on (Ray's) leaves its jobs without a number. Each job
that ends leaves a line in a file of the sweep's folder, because jobs may run side by side, and in
any order.
"""

import json
import os
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nasrun.keys import key_of
from nasrun.record.request import TRIALS

VARIABLE = "NASRUN_JOBS"
ENDED = ".ended"  # in the sweep's folder, while it is played
OWN_WORDS = ("algorithm", "task", *TRIALS)  # said of a job in any case


@dataclass(frozen=True)
class Jobs:
    """The jobs that a process launches.

    ``before`` of ``total`` were done when it began, at ``began`` seconds since the epoch;
    ``swept``: the keys in which they differ; ``said``: reasons to fail that were said before.
    """

    total: int
    before: int
    began: float
    pid: int
    swept: tuple[str, ...]
    said: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """A job of a sweep; ``number`` counts from 1, and is 0 where the launcher hides it."""

    folder: Path  # of the sweep
    number: int
    overrides: tuple[str, ...]
    jobs: Jobs | None

    @property
    def text(self) -> str:
        """Such as ``job 3 of 12``."""
        return "job" if self.jobs is None else f"job {self.number} of {self.jobs.total}"

    def excuse(self, reason: str) -> str:
        """What to say when it failed for this reason: not again what was said before."""
        known = self.jobs is not None and reason in self.jobs.said
        return f"{self.text} cannot be played, as said above" if known else f"{self.text}: {reason}"

    @property
    def alone(self) -> bool:
        """Whether it is played by the process that shows the sweep, and so no other one beside."""
        return self.jobs is not None and self.jobs.pid == os.getpid()

    def settings(self, algorithm: str) -> str:
        """What sets it apart besides algorithm, task and seeds, such as ``[population=5]``.

        What the algorithm's own label says, such as ``metad2a[pick=oracle]``, is not said again.
        """
        swept = [] if self.jobs is None else [k for k in self.jobs.swept if k not in OWN_WORDS]
        own = {key_of(text): text.partition("=")[2] for text in self.overrides}
        said = [f"{key.removeprefix('algorithm.')}={own[key]}" for key in swept if key in own]
        named = algorithm.partition("[")[2].rstrip("]").split(",")
        new = [words for words in said if words not in named]
        return f"[{','.join(new)}]" if new else ""

    def ended(self) -> float | None:
        """Take note that it has ended; returns the seconds until all will have (None: unknown)."""
        if self.jobs is None:
            return None
        path, mark = self.folder / ENDED, f"{self.jobs.pid} {self.jobs.began}\n"
        with suppress(OSError):
            with path.open("a", encoding="ascii") as stream:
                stream.write(mark)
            done = path.read_text(encoding="ascii").count(mark)
            left = self.jobs.total - self.jobs.before - done
            return (time.time() - self.jobs.began) * left / done
        return None


@contextmanager
def numbered(
    folder: Path,
    total: int,
    before: int,
    jobs: Sequence[Sequence[str]] = (),
    said: Sequence[str] = (),
) -> Generator[None]:
    """Number the jobs that are launched inside the block.

    Args:
        folder: of the sweep.
        total: number of jobs of the sweep.
        before: those of them that are done.
        jobs: overrides of all of them.
        said: reasons for which some will fail, of which the person knows.
    """
    own = Jobs(total, before, time.time(), os.getpid(), _swept(jobs), tuple(said))
    os.environ[VARIABLE] = json.dumps(asdict(own))
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        (folder / ENDED).unlink(missing_ok=True)


def _swept(jobs: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The keys in which jobs differ, in the order of their first words."""
    values: dict[str, set[str | None]] = {}
    found = [{key_of(text): text for text in job} for job in jobs]
    for key in dict.fromkeys(key for own in found for key in own):
        values[key] = {own.get(key) for own in found}
    return tuple(key for key, different in values.items() if len(different) > 1)


def this_job(folder: Path, number: int, overrides: Sequence[str]) -> Job:
    """The job of a sweep's folder that Hydra has given this ``number``, counted from 0."""
    text = os.environ.get(VARIABLE)
    jobs = None if text is None else _parsed(json.loads(text))
    return Job(folder, number + 1 + (jobs.before if jobs else 0), tuple(overrides), jobs)


def _parsed(content: Mapping[str, Any]) -> Jobs:
    return Jobs(**{**content, **{key: tuple(content[key]) for key in ("swept", "said")}})
