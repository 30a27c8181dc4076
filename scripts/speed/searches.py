"""How long searches take."""

import copy
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
from omegaconf import OmegaConf

from nasrun.__main__ import CONF
from nasrun.errors import ConfigError
from nasrun.experiment import Opened
from nasrun.meta_training import adapt, meta_epochs
from nasrun.pipeline import search
from nasrun.spec import Ints, MetaPool
from speed.stopwatch import Line, Size, experiment, median_s, seconds_of, spawn

SINGLES = 5  # searches of one trial that stand for all of them
GROWING = 10  # trials of the searches whose evaluations grow
COHORTS = (1, 10, 100, 500, 2000)


def _opened(size: Size, algorithm: str, point: Sequence[str] = ("task=cifar100",)) -> Opened:
    """A search of the table of a ``point`` (space and task, as overrides)."""
    budget = f"budget.evaluations={size.evaluations}"
    return experiment([f"algorithm={algorithm}", *point, budget]).opened()


def _search_s(made: Opened, trials: int, repeats: int) -> float:
    """Seconds of ``trials`` searches at once, table loaded, nothing written."""
    return median_s(lambda: search(made, np.arange(trials), None), repeats)


def _algorithm_lines(algorithm: str, target_s: float, peers: str, size: Size) -> Iterator[Line]:
    what = f"{algorithm}, {size.trials} trials x {size.evaluations} evaluations at once"
    seconds = _search_s(_opened(size, algorithm), size.trials, size.repeats)
    yield Line(what, seconds, "s", target_s if size.official else None, peers=peers)


def rea(size: Size) -> Iterator[Line]:
    """Regularised evolution over a cohort."""
    peers = "AutoDL-Projects 1, Syne Tune 60, NASLib 5,000; bare numpy 0.08"
    return _algorithm_lines("rea", 0.2, peers, size)


def points() -> list[list[str]]:
    """Space and task of each table of ``+experiment=suite``, as overrides."""
    suite = OmegaConf.load(CONF / "experiment" / "suite.yaml")
    return [list(point) for point in suite.hydra.sweeper.points]


def tables(size: Size) -> Iterator[Line]:
    """Regularised evolution over a cohort on each table of ``+experiment=suite`` at hand."""
    for point in points():
        try:
            made = _opened(size, "rea", point)
        except ConfigError as error:  # its file is not there
            print(f"benchmark: {' '.join(point)} is left out: {error}", file=sys.stderr)
            continue
        seconds = _search_s(made, size.trials, size.repeats)
        what = f"rea, {size.trials} trials x {size.evaluations} evaluations, {' '.join(point)}"
        yield Line(what, seconds, "s", 0.1 if size.official else None)


def reinforce(size: Size) -> Iterator[Line]:
    """REINFORCE over a cohort."""
    return _algorithm_lines("reinforce", 0.5, "AutoDL-Projects 15; bare numpy 0.06", size)


def cohorts(size: Size) -> Iterator[Line]:
    """What a trial costs as the cohort grows."""
    for trials in COHORTS:
        seconds = _search_s(_opened(size, "rea"), trials, size.repeats)
        yield Line(f"rea, per trial of {trials} at once", 1e3 * seconds / trials, "ms")


def growth(size: Size) -> Iterator[Line]:
    """What a search costs as its evaluations grow: linear methods double with each line."""
    for algorithm, factor in (("random", 20), ("bohb", 20), ("catch_sfs", 5)):
        for doubling in range(4):
            longer = Size(GROWING, factor * size.evaluations << doubling, 1)
            seconds = _search_s(_opened(longer, algorithm), GROWING, longer.repeats)
            what = f"{algorithm}, {GROWING} trials x {longer.evaluations} evaluations at once"
            yield Line(what, seconds, "s")


def _once_s(made: Opened, trials: Ints) -> float:
    """Seconds of the ``trials (T,)`` at once; once only, for they are long."""
    return seconds_of(lambda: search(made, trials, None))


def _cohort_lines(
    made: Opened, name: str, targets: tuple[float, float], size: Size
) -> Iterator[Line]:
    """Seconds of a cohort, and how many times as long single trials take; both have a target."""
    target_s, target_times = targets if size.official else (None, None)
    single_s = statistics.median(_once_s(made, np.array([at])) for at in range(SINGLES))
    seconds = _once_s(made, np.arange(size.trials))
    what = f"{name}, {size.trials} trials x {size.evaluations} evaluations at once"
    yield Line(what, seconds, "s", target_s)
    what = f"{name}, {size.trials} searches of one trial ({SINGLES} measured) to one cohort"
    yield Line(what, size.trials * single_s / seconds, "times", target_times, more=True)


def _meta_trained(size: Size) -> Opened:
    """CATCH on the table, ready to adapt, after a small unmeasured search."""
    made = _opened(size, "catch")
    adapt(made)
    search(made, np.arange(1), None)
    return made


def catch(size: Size) -> Iterator[Line]:
    """CATCH's adaptation and search over a cohort, and against one trial at a time."""
    return _cohort_lines(_meta_trained(size), "catch", (40.0, 20.0), size)


def predictors(size: Size) -> Iterator[Line]:
    """Searches by predictors over a cohort, and against one trial at a time."""
    for algorithm, target_s in (
        ("gp_bo", 90.0),
        ("nasbowl", 90.0),
        ("bananas", 60.0),
        ("npenas", 240.0),
    ):
        made = _opened(size, algorithm)
        search(made, np.arange(1), None)  # imports and first reads, which are not measured
        yield from _cohort_lines(made, algorithm, (target_s, 10.0), size)


def catch_runs(size: Size) -> Iterator[Line]:
    """The same as whole commands, meta-training at hand: trials=500 against 500 of trials=1."""
    with tempfile.TemporaryDirectory() as folder:

        def run(seed: int, trials: int) -> float:
            return spawn(
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
        milliseconds = 1e3 * _once_s(made, np.arange(trials)) / trials
        yield Line(f"catch, per trial of {trials} at once", milliseconds, "ms")


def catch_meta(size: Size) -> Iterator[Line]:
    """CATCH's meta-training of all agents, as ``conf/meta/leave_one_out.yaml`` has it."""
    made = experiment(["algorithm=catch", "task=cifar100"])
    assert made.meta is not None
    opened, pool = made.opened(), made.meta.pool
    assert isinstance(pool, MetaPool)
    seconds = seconds_of(lambda: list(meta_epochs(opened, copy.deepcopy(made.algorithm))))
    what = f"catch, meta-training {pool.epochs} x {pool.networks} of {pool.agents} agents"
    yield Line(what, seconds, "s", 15.0)
