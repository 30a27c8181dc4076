"""The sweeper behind ``nasrun -m``: it splits trials over jobs and skips what is done."""

import logging
import math
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.core.utils import JobReturn, configure_log
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nasrun import sweep
from nasrun.errors import ConfigError
from nasrun.jobs import numbered
from nasrun.keys import key_of
from nasrun.record.request import TRIALS, Found, composed_hash, conf_hash, wording
from nasrun.sweepers.base import MULTIRUN, FolderSweeper, succeeded
from nasrun.sweepers.plan import Overrides, Plan, Wanted, make_plan
from nasrun.sweepers.points import chosen

log = logging.getLogger(__name__)
SPLIT = "sweep.split"
MOST_JOBS = 100_000
HERE = (".BasicLauncher", ".JoblibLauncher")  # launchers whose jobs see the files that we see


class SplitSweeper(FolderSweeper):
    """Splits each job's trials over ``sweep.split`` jobs and launches those that are not done.

    What differs from Hydra's own sweeper: jobs that differ in their trials alone are composed once
    to see whether they are sound, where Hydra composes every job; a job that is done costs nothing;
    and a job that fails does not hide how the others ended.

    Args:
        params: swept keys and their values, as on the command line.
        max_batch_size: jobs that the launcher gets at once; None: all.
        points: overrides that go together, as spaces and their tasks do: every job has those of one
            point. A key on the command line that a point has chooses the points of its values; a
            setting with a value that none has (``algorithm.population=7``) holds in all of them.
        leave_out: leave out jobs whose files are missing, and say so, where else they fail.
    """

    def __init__(
        self,
        params: Mapping[str, str] | None = None,
        max_batch_size: int | None = None,
        points: Sequence[Sequence[str]] = (),
        leave_out: bool = False,
    ) -> None:
        super().__init__()
        self.params = params or {}
        self.max_batch_size = max_batch_size
        self.points, self.leave_out = points, leave_out
        self._examples: dict[Overrides, DictConfig] = {}  # a config of each family of jobs

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Launch what is left to do; returns what the launched jobs returned, by batch.

        Raises:
            ConfigError: ``resume`` names no sweep, there is nothing to play, two jobs share a
                trial, or jobs of one search would each measure a target of their own.
            NasrunError: the launcher gave up before its jobs ended, or no job can read its files.
        """
        # Late: Hydra imports this module in every program.
        from nasrun.record.earlier_data import note_earlier_data
        from nasrun.record.found import found_jobs
        from nasrun.sweepers.claims import claimed, planning, requests, with_claims

        assert self.config is not None
        split = OmegaConf.select(self.config, SPLIT)
        folder = self._folder()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        conf = conf_hash((s.schema, s.path) for s in self.config.hydra.runtime.config_sources)
        before = list(found_jobs(folder))
        wanted = list(self._wanted(arguments, _known(before, conf) if split == 1 else {}))
        wanted = self._with_files(wanted) if self.leave_out else wanted
        make_plan(wanted, [], split, conf)  # refuses what cannot be before there is a folder
        plan = make_plan(wanted, before, split, conf)
        self._require_common_targets(plan)
        said = self._said_before(plan)
        with ExitStack() as claims:
            with planning(folder):
                found = with_claims(folder, found_jobs(folder))
                plan = make_plan(wanted, found, split, conf)
                self._save_config(folder)
                for stale in plan.stale:
                    shutil.rmtree(stale, ignore_errors=True)
                if plan.launch:
                    note_earlier_data(folder, found)
                    jobs = requests(plan.launch, wanted, conf)
                    self._tell_launcher(claims.enter_context(claimed(folder, jobs)))
            sweep.expect(plan.jobs)
            return self._launch_all(plan, said)

    def _require_common_targets(self, plan: Plan) -> None:
        """Refuse to split a search whose rewards weigh by what each job measures for itself.

        Raises:
            ConfigError: there is one, of which a job is still to be played.
        """
        jobs = Counter(wording(job, without=TRIALS) for job in plan.jobs)
        for family in dict.fromkeys(wording(job, without=TRIALS) for job in plan.launch):
            if jobs[family] < 2 or family not in self._examples:
                continue
            from nasrun.sweepers.inputs import has_target_of_process

            if has_target_of_process(self._examples[family]):
                raise ConfigError(
                    f"each of the {jobs[family]} jobs that share the trials of a search would "
                    "measure a target of its own, so that their rewards do not compare: set "
                    "hardware.target_ms=... (a run without it names the target that it measures), "
                    f"or play all trials in one job, without {SPLIT} and swept seeds"
                )

    def _said_before(self, plan: Plan) -> list[str]:
        """Say which jobs cannot read what they need; returns the sentences.

        Raises:
            NasrunError: none of them can. Nothing is played, and nothing left behind.
        """
        families = [wording(job, without=TRIALS) for job in plan.launch]
        return list(self._refusals(families, "cannot be played").values())

    def _with_files(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """The jobs that can read what they need; says which others are left out.

        Raises:
            NasrunError: none of them can.
        """
        families = [wording(job.overrides, without=TRIALS) for job in wanted]
        without = self._refusals(families, "are left out")
        pairs = zip(families, wanted, strict=True)
        return [job for family, job in pairs if family not in without]

    def _refusals(self, families: Sequence[Overrides], what: str) -> dict[Overrides, str]:
        """Which jobs cannot read what they need, and why; says it, with ``what`` becomes of them.

        Raises:
            NasrunError: none of them can.
        """
        assert self.config is not None
        if len(families) < 2 or not str(self.config.hydra.launcher._target_).endswith(HERE):
            return {}  # another machine may have other files
        from nasrun.sweepers.inputs import unreadable

        known = {family: self._examples[family] for family in families if family in self._examples}
        refusals = unreadable(known)
        if refusals and all(family in refusals for family in families):
            raise next(iter(refusals.values()))
        counts = Counter(str(refusals[family]) for family in families if family in refusals)
        for sentence, jobs in counts.items():
            print(f"nasrun: {jobs} of {len(families)} jobs {what}: {sentence}", file=sys.stderr)
        return {family: str(refusal) for family, refusal in refusals.items()}

    def _wanted(self, arguments: Sequence[str], known: dict[Overrides, range]) -> Iterator[Wanted]:
        """The jobs of the command line, each composed unless its like is known to be sound."""
        examples: dict[Overrides, Wanted] = {}
        for job in self._jobs(arguments):
            if (words := wording(job)) in known:
                yield Wanted(job, known[words])
                continue
            own = {key_of(text): _whole(text) for text in job if _whole(text) is not None}
            shape = tuple(text for text in job if key_of(text) not in own)
            if shape not in examples or examples[shape].seeds is None:
                examples[shape] = self._composed(job)
            example = examples[shape]
            seeds = None if example.seeds is None else _adjusted(example.seeds, own)
            yield Wanted(job, seeds, example.composed)

    def _jobs(self, arguments: Sequence[str]) -> list[Overrides]:
        """The product of points and all swept values, as Hydra's own sweeper makes it.

        Raises:
            ConfigError: nothing to sweep over, or too much, or no such point.
        """
        # Late: Hydra runs that module anew while it looks for plug-ins.
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        params = [f"{key}={value}" for key, value in self.params.items()]
        overrides = parser.parse_overrides([*params, *arguments])
        if any(each.get_key_element() == SPLIT and each.is_sweep_override() for each in overrides):
            raise ConfigError(f"{SPLIT} cannot be swept over: give one number of jobs")
        points = chosen(self.points, parser.parse_overrides(list(arguments)))
        of_points = {key_of(text) for point in points for text in point}
        others = [each for each in overrides if each.get_key_element() not in of_points]
        _require_jobs(others, len(points))
        (jobs,) = BasicSweeper.split_arguments(others, None)
        own = [tuple(text for text in job if key_of(text) != SPLIT) for job in jobs]
        return [(*point, *job) for point in points for job in own]

    def _composed(self, overrides: Overrides) -> Wanted:
        """A job with its trials; what they cannot be, the job itself will refuse."""
        config = self._compose([*overrides, MULTIRUN])
        self._examples[wording(overrides, without=TRIALS)] = config
        return Wanted(overrides, trials_of(config), _hash_of(config))

    def _launch_all(self, plan: Plan, said: Sequence[str] = ()) -> list[Sequence[JobReturn]]:
        """Hand the jobs that are left to the launcher, a batch at a time."""
        done = len(plan.jobs) - len(plan.launch)
        log.info("%d jobs, %d of them done", len(plan.jobs), done)
        with numbered(self._folder(), len(plan.jobs), done, plan.jobs, said):
            return self._launch_batches(plan)

    def _launch_batches(self, plan: Plan) -> list[Sequence[JobReturn]]:
        size = self.max_batch_size or max(1, len(plan.launch))
        returns: list[Sequence[JobReturn]] = []
        for first in range(0, len(plan.launch), size):
            batch = plan.launch[first : first + size]
            returns.append(self._launch(batch))
            for job, returned in zip(batch, returns[-1], strict=True):
                if not succeeded(returned):
                    sweep.refuse(job)
        return returns


def _require_jobs(overrides: Sequence[Override], points: int) -> None:
    """Refuse a sweep of nothing, which would end well, and one without an end.

    Raises:
        ConfigError: says which key has no value, or too many.
    """
    jobs = float(points)
    for each in overrides:
        if not each.is_sweep_override():
            continue
        if each.is_interval_sweep():
            raise ConfigError(
                f"{each.input_line} has no list of values: give them, or range(...), or look for "
                "good ones with hydra/sweeper=tune"
            )
        count = _values(each)
        if count == 0:
            raise ConfigError(
                f"{each.input_line} stands for no value at all: give the values that are meant"
            )
        jobs *= count
        if not jobs <= MOST_JOBS:
            raise ConfigError(
                f"{each.input_line} makes a sweep of more than {MOST_JOBS:,} jobs: give fewer "
                "values (trials=1000 plays 1000 seeds in one job)"
            )


def _values(override: Override) -> float:
    """How many values a sweep has; inf where it has no end."""
    swept = override.value()
    if isinstance(swept, RangeSweep):
        start, stop, step = (float(one or 0.0) for one in (swept.start, swept.stop, swept.step))
        if not all(map(math.isfinite, (start, stop))) or step == 0 or math.isnan(step):
            return math.inf
        return max(0, math.ceil((stop - start) / step))
    return len(list(override.sweep_string_iterator()))


def _known(found: Sequence[Found], conf: str | None) -> dict[Overrides, range]:
    """Trials of the jobs that were composed of these very words and files before."""
    if conf is None:
        return {}
    return {job.request.wording: job.request.seeds for job in found if job.request.conf == conf}


def _whole(override: str) -> int | None:
    """The number of ``seed=5`` or ``trials=5``; None for any other override."""
    key, _, value = override.partition("=")
    return int(value) if key in TRIALS and value.isascii() and value.isdigit() else None


def _adjusted(example: range, own: Mapping[str, int | None]) -> range | None:
    """The trials of a job that says its own seed or number, and has the other from ``example``."""
    seed, trials = own.get("seed", example.start), own.get("trials", len(example))
    assert seed is not None
    assert trials is not None
    return range(seed, seed + trials) if trials else None


def _hash_of(config: DictConfig) -> str | None:
    """Hash of a composed config, as the job will have it; None where it cannot be resolved."""
    from nasrun.identity import identity

    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    try:
        return composed_hash(identity(own, {}))
    except (OmegaConfBaseException, TypeError, AssertionError):
        return None  # the job will say what is wrong


def trials_of(config: DictConfig) -> range | None:
    """The trials that a composed config asks for; None where seed and trials give no range."""
    values: list[Any] = [OmegaConf.select(config, key) for key in TRIALS]
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return None
    seed, trials = values
    return range(seed, seed + trials) if seed >= 0 and trials >= 1 else None
