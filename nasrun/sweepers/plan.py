"""Which jobs a sweep is made of, what of it is there, and what is left to do.

A job that was begun keeps its trials: the parts that it has finished are worth more than an even
split. What no job has begun is split anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from pathlib import Path

from nasrun.errors import ConfigError
from nasrun.keys import SILENT, key_of
from nasrun.record.request import TRIALS, Found, Request, wording

Overrides = tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """One job of the command line, before it is split.

    ``seeds`` None: not a range of trials; ``composed``: hash of its config, None where unknown.
    """

    overrides: Overrides
    seeds: range | None
    composed: str | None = None


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
        ConfigError: two jobs share a trial, or trials of another config are in the way.
    """
    wanted = list(wanted)
    _refuse_overlaps(wanted)
    families: dict[Overrides, dict[Overrides, Found]] = {}
    for job in found:
        families.setdefault(job.request.family, {})[job.request.wording] = job
    plan = Plan([], [], [])
    for job in wanted:
        family = wording(job.overrides, without=TRIALS)
        _add(plan, job, families.get(family, {}), split, conf)
    return plan


def _refuse_overlaps(wanted: Iterable[Wanted]) -> None:
    families: dict[Overrides, list[Wanted]] = {}
    for job in wanted:
        families.setdefault(wording(job.overrides, without=TRIALS), []).append(job)
    for jobs in families.values():
        ranges = sorted(
            ((job.seeds.start, job.seeds.stop, job) for job in jobs if job.seeds), key=itemgetter(0)
        )
        for (_, stop, _), (start, _, job) in pairwise(ranges):
            if start < stop:
                raise ConfigError(
                    f"two jobs of this sweep would play seed {start} of the same search "
                    f"({' '.join(job.overrides)}): sweep over seeds that are trials apart"
                )


def _add(
    plan: Plan, job: Wanted, there: Mapping[Overrides, Found], split: int, conf: str | None
) -> None:
    """Put what ``job`` is made of into the plan; ``there`` holds its family by their words."""
    parts = _parts(job, [job.seeds] if job.seeds is not None else [], split)
    words = set(map(wording, parts))
    if not words <= there.keys():
        overlapping = [other for other in there.values() if _share(other.request.seeds, job.seeds)]
        if any(other.request.wording not in words for other in overlapping):
            parts, there = _around(plan, job, overlapping, split, conf), {}
    for part in parts:
        plan.jobs.append(part)
        own = there.get(wording(part))
        if not (own and own.complete and own.stands(conf, job.composed)):
            plan.launch.append(part)


def _around(
    plan: Plan, job: Wanted, others: Sequence[Found], split: int, conf: str | None
) -> list[Overrides]:
    """What is left of a job whose trials were split otherwise before: begun parts, and new ones."""
    assert job.seeds is not None
    missing, kept = [job.seeds], list[Overrides]()
    for other in others:
        if not (other.complete or other.begun):
            plan.stale.append(other.folder)
            continue
        if not other.stands(conf, job.composed):
            raise ConfigError(
                f"{other.folder} holds trials of this sweep from before its config files were "
                "changed: choose another folder with hydra.sweep.dir=..., or delete that one"
            )
        missing = [rest for seeds in missing for rest in _outside(seeds, other.request.seeds)]
        if other.complete:
            plan.jobs.append(other.request.overrides)
        else:
            kept.append(_as_begun(job.overrides, other.request))
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


def _as_begun(overrides: Overrides, request: Request) -> Overrides:
    """The overrides in the words of a job that was begun, which name the folder where it lies."""
    again = _with_trials(overrides, request.seeds)
    if wording(again) == request.wording:
        return again
    how = (text for text in overrides if key_of(text) in SILENT)
    return (*(text for text in request.overrides if key_of(text) not in SILENT), *how)


def _share(seeds: range, others: range | None) -> bool:
    return others is not None and seeds.start < others.stop and others.start < seeds.stop


def _outside(seeds: range, others: range) -> list[range]:
    """What of ``seeds`` lies before and after ``others``."""
    before = range(seeds.start, min(seeds.stop, max(seeds.start, others.start)))
    after = range(max(seeds.start, min(seeds.stop, others.stop)), seeds.stop)
    if not _share(seeds, others):
        return [seeds]
    return [rest for rest in (before, after) if rest]
