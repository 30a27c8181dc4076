"""Which jobs a sweep is made of, what of it is there, and what is left to do.

A job that was begun keeps its trials: the parts that it has finished are worth more than an even
split. What no job has begun is split anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from nasrun.errors import ConfigError
from nasrun.record.request import TRIALS, Found, key_of, wording

Overrides = tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """One job of the command line, before it is split; ``seeds`` None: not a range of trials."""

    overrides: Overrides
    seeds: range | None


@dataclass(frozen=True)
class Plan:
    """All jobs of a sweep, those of them that are still to be launched, and folders in the way."""

    jobs: list[Overrides]
    launch: list[Overrides]
    stale: list[Path]


def make_plan(
    wanted: Iterable[Wanted], found: Iterable[Found], split: int, conf: str | None
) -> Plan:
    """What is left of a sweep.

    Args:
        wanted: the jobs of the command line.
        found: the jobs in the sweep's folder.
        split: number of jobs that each wanted job is split into.
        conf: hash of the YAML files as they are now.

    Raises:
        ConfigError: two jobs share a trial, or trials of other YAML files were split otherwise.
    """
    families: dict[Overrides, list[Found]] = {}
    for job in found:
        families.setdefault(job.request.family, []).append(job)
    plan = Plan([], [], [])
    claimed: dict[Overrides, list[range]] = {}
    for job in wanted:
        family = wording(job.overrides, without=TRIALS)
        if job.seeds is not None:
            _claim(claimed.setdefault(family, []), job)
        _add(plan, job, families.get(family, []), split, conf)
    return plan


def _claim(ranges: list[range], job: Wanted) -> None:
    """Refuse a trial that two jobs would play."""
    assert job.seeds is not None
    ranges.append(job.seeds)
    for first, second in pairwise(sorted(ranges, key=lambda seeds: seeds.start)):
        if second.start < first.stop:
            raise ConfigError(
                f"two jobs of this sweep would play seed {second.start} of the same search "
                f"({' '.join(job.overrides)}): sweep over seeds that are trials apart"
            )


def _add(plan: Plan, job: Wanted, relatives: Sequence[Found], split: int, conf: str | None) -> None:
    """Put what ``job`` is made of into the plan."""
    parts = _parts(job, [job.seeds] if job.seeds is not None else [], split)
    same = {part: _same(part, relatives) for part in map(wording, parts)}
    others = [
        other for other in relatives
        if other.request.wording not in same and _share(other.request.seeds, job.seeds)
    ]  # fmt: skip
    if others:
        parts = _around(plan, job, others, split, conf)
    for part in parts:
        plan.jobs.append(part)
        there = same.get(wording(part))
        if not (there and there.complete and conf is not None and there.request.conf == conf):
            plan.launch.append(part)


def _around(
    plan: Plan, job: Wanted, others: Sequence[Found], split: int, conf: str | None
) -> list[Overrides]:
    """The parts of a job of which trials are there that were split otherwise."""
    assert job.seeds is not None
    missing, kept = [job.seeds], list[Overrides]()
    for other in others:
        if not (other.complete or other.begun):
            plan.stale.append(other.folder)
            continue
        if conf is None or other.request.conf != conf:
            raise ConfigError(
                f"{other.folder} holds trials of this sweep that were split otherwise, by other "
                "config files: start it as it was split, or choose another folder with "
                "hydra.sweep.dir=..."
            )
        missing = [rest for seeds in missing for rest in _outside(seeds, other.request.seeds)]
        if other.complete:
            plan.jobs.append(other.request.overrides)
        else:
            kept.append(_with_trials(job.overrides, other.request.seeds))
    return [*kept, *_parts(job, missing, split)]


def _parts(job: Wanted, seeds: Sequence[range], split: int) -> list[Overrides]:
    """A job as ``split`` jobs that share its trials evenly; the job itself where that is one."""
    if job.seeds is None or (split == 1 and seeds == [job.seeds]):
        return [job.overrides]
    return [_with_trials(job.overrides, part) for part in even(seeds, split)]


def even(seeds: Sequence[range], parts: int) -> list[range]:
    """Ranges of trials cut so that each of ``parts`` shares gets as many, give or take one.

    A share that falls on two ranges is two jobs, for a job's trials are without a gap.
    """
    total = sum(map(len, seeds))
    cuts = {total * part // parts for part in range(1, parts)}
    pieces, done = list[range](), 0
    for piece in seeds:
        at = sorted({cut - done for cut in cuts if done < cut < done + len(piece)})
        edges = [0, *at, len(piece)]
        pieces += [piece[low:high] for low, high in pairwise(edges) if low < high]
        done += len(piece)
    return pieces


def _with_trials(overrides: Overrides, seeds: range) -> Overrides:
    rest = [text for text in overrides if key_of(text) not in TRIALS]
    return (*rest, f"seed={seeds.start}", f"trials={len(seeds)}")


def _same(words: Overrides, relatives: Iterable[Found]) -> Found | None:
    return next((job for job in relatives if job.request.wording == words), None)


def _share(seeds: range, others: range | None) -> bool:
    return others is not None and seeds.start < others.stop and others.start < seeds.stop


def _outside(seeds: range, others: range) -> list[range]:
    """What of ``seeds`` lies before and after ``others``."""
    before = range(seeds.start, min(seeds.stop, max(seeds.start, others.start)))
    after = range(max(seeds.start, min(seeds.stop, others.stop)), seeds.stop)
    if not _share(seeds, others):
        return [seeds]
    return [rest for rest in (before, after) if rest]
