"""How long searches take."""

import copy
import statistics
import tempfile
from collections.abc import Iterator

import numpy as np
from omegaconf import OmegaConf

from nasrun.__main__ import CONF
from nasrun.errors import ConfigError
from nasrun.experiment import Opened
from nasrun.meta_training import adapt, meta_epochs
from nasrun.pipeline import search
from nasrun.spec import MetaPool
from speed.stopwatch import Line, Size, experiment, median_s, seconds_of, spawn

SINGLES = 5  # searches of one trial that stand for all of them
GROWING = 10  # trials of the searches whose evaluations grow
COHORTS = (1, 10, 100, 500, 2000)


def _search_s(algorithm: str, trials: int, size: Size) -> float:
    """Seconds of ``trials`` searches at once, table loaded, nothing written."""
    made = experiment(
        [f"algorithm={algorithm}", "task=cifar100", f"budget.evaluations={size.evaluations}"]
    ).opened()
    return median_s(lambda: search(made, np.arange(trials), None), size.repeats)


def _algorithm_lines(algorithm: str, target_s: float, peers: str, size: Size) -> Iterator[Line]:
    what = f"{algorithm}, {size.trials} trials x {size.evaluations} evaluations at once"
    seconds = _search_s(algorithm, size.trials, size)
    yield Line(what, seconds, "s", target_s if size.official else None, peers=peers)


def rea(size: Size) -> Iterator[Line]:
    """Regularised evolution over a cohort."""
    peers = "AutoDL-Projects 1, Syne Tune 60, NASLib 5,000; bare numpy 0.08"
    return _algorithm_lines("rea", 0.2, peers, size)


def points() -> list[list[str]]:
    """Space and task of each table of ``+experiment=suite``, as overrides."""
    experiment = OmegaConf.load(CONF / "experiment" / "suite.yaml")
    return [list(point) for point in experiment.hydra.sweeper.points]


def tables(size: Size) -> Iterator[Line]:
    """Regularised evolution over a cohort on each table of ``+experiment=suite`` at hand."""
    budget = f"budget.evaluations={size.evaluations}"
    for point in points():
        try:
            made = experiment(["algorithm=rea", *point, budget]).opened()
        except ConfigError:  # its file is not there
            continue
        trials = np.arange(size.trials)
        seconds = median_s(lambda made=made, own=trials: search(made, own, None), size.repeats)
        what = f"rea, {size.trials} trials x {size.evaluations} evaluations, {' '.join(point)}"
        yield Line(what, seconds, "s", 0.1 if size.official else None)


def reinforce(size: Size) -> Iterator[Line]:
    """REINFORCE over a cohort."""
    return _algorithm_lines("reinforce", 0.5, "AutoDL-Projects 15; bare numpy 0.06", size)


def cohorts(size: Size) -> Iterator[Line]:
    """What a trial costs as the cohort grows."""
    for trials in COHORTS:
        seconds = _search_s("rea", trials, size)
        yield Line(f"rea, per trial of {trials} at once", 1e3 * seconds / trials, "ms")


def growth(size: Size) -> Iterator[Line]:
    """What a search costs as its evaluations grow: linear methods double with each line."""
    for algorithm, factor in (("random", 20), ("bohb", 20), ("catch_sfs", 5)):
        for doubling in range(4):
            longer = Size(GROWING, factor * size.evaluations << doubling, 1)
            seconds = _search_s(algorithm, GROWING, longer)
            what = f"{algorithm}, {GROWING} trials x {longer.evaluations} evaluations at once"
            yield Line(what, seconds, "s")


def _catch_s(made: Opened, trials: int) -> float:
    """Seconds of ``trials`` searches at once; once only, for they are long."""
    return seconds_of(lambda: search(made, np.arange(trials), None))


def _meta_trained(size: Size) -> Opened:
    """CATCH on the table, ready to adapt, after a small unmeasured search."""
    made = experiment(
        ["algorithm=catch", "task=cifar100", f"budget.evaluations={size.evaluations}"]
    ).opened()
    adapt(made)
    search(made, np.arange(1), None)
    return made


def catch(size: Size) -> Iterator[Line]:
    """CATCH's adaptation and search over a cohort, and against one trial at a time."""
    made = _meta_trained(size)
    singles = [
        seconds_of(lambda at=at: search(made, np.array([at]), None)) for at in range(SINGLES)
    ]
    seconds = _catch_s(made, size.trials)
    what = f"catch, {size.trials} trials x {size.evaluations} evaluations at once"
    yield Line(what, seconds, "s", 40.0 if size.official else None)
    ratio = size.trials * statistics.median(singles) / seconds
    what = f"catch, {size.trials} searches of one trial ({SINGLES} measured) to one cohort"
    yield Line(what, ratio, "times", 20.0 if size.official else None, more=True)


def predictors(size: Size) -> Iterator[Line]:
    """Searches by predictors over a cohort, and against one trial at a time."""
    for algorithm, target_s in (
        ("gp_bo", 90.0),
        ("nasbowl", 90.0),
        ("bananas", 60.0),
        ("npenas", 240.0),
    ):
        made = experiment(
            [f"algorithm={algorithm}", "task=cifar100", f"budget.evaluations={size.evaluations}"]
        ).opened()
        singles = [
            seconds_of(lambda at=at, made=made: search(made, np.array([at]), None))
            for at in range(1 + SINGLES)
        ]
        seconds = seconds_of(lambda made=made: search(made, np.arange(size.trials), None))
        what = f"{algorithm}, {size.trials} trials x {size.evaluations} evaluations at once"
        yield Line(what, seconds, "s", target_s if size.official else None)
        ratio = size.trials * statistics.median(singles[1:]) / seconds
        what = (
            f"{algorithm}, {size.trials} searches of one trial ({SINGLES} measured) to one cohort"
        )
        yield Line(what, ratio, "times", 10.0 if size.official else None, more=True)


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
        milliseconds = 1e3 * _catch_s(made, trials) / trials
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
