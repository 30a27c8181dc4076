"""What MetaD2A's networks find: Tables 1, 3 and 4 of its paper from the same searches.

``python scripts/metad2a_tables.py cifar10 cifar100_part runs=10 samples=10000``: for each task and
each kind of candidates (generated, uniform, from the records) ``runs`` searches, each of which ends
in every way: the predictor's first, any one, the best of 30 by validation, the best of 30 by test,
with the predictor's ranking and without. Then validity, uniqueness and novelty of ``samples``
graphs. Other settings (``key=value``) are passed on to the config. Prints a Markdown table; scores
are means with 95 % t-intervals over the runs.
"""

import sys
import time
from dataclasses import replace

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from scipy import stats

from nasrun.__main__ import CONF
from nasrun.algorithms.metad2a import Candidates, MetaD2A
from nasrun.algorithms.metad2a_generator import PAIRS
from nasrun.config import check
from nasrun.experiment import Opened, problem_of
from nasrun.meta_training import adapt
from nasrun.spec import Archs, Floats, Phase, Streams

OWN = {"runs": 10, "samples": 10_000}
KEPT = 30


def main(arguments: list[str]) -> None:
    """Search, and print what was found."""
    tasks = [text for text in arguments if "=" not in text]
    given = dict(text.split("=", 1) for text in arguments if "=" in text)
    own = {key: int(given.pop(key, value)) for key, value in OWN.items()}
    more = [f"{key}={value}" for key, value in given.items()]
    for task in tasks:
        opened = _opened(task, more)
        adapt(opened)
        print(f"\n{task}, {own['runs']} runs\n", flush=True)
        print("| candidates | ranking | pick | test score | mean of all |\n|---|---|---|---|---|")
        for kind in Candidates:
            _tell_searches(opened, kind, own["runs"])
        if own["samples"]:
            _tell_samples(opened, own["samples"])


def _opened(task: str, more: list[str]) -> Opened:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=["algorithm=metad2a", f"task={task}", *more])
    return check(config, [CONF / "task"]).opened()


def _started(opened: Opened, kind: Candidates, seed: int) -> MetaD2A:
    """The algorithm, about to search with these candidates."""
    experiment = opened.experiment
    algorithm = experiment.algorithm
    assert isinstance(algorithm, MetaD2A)
    own = replace(algorithm, candidates=kind)
    own.load_learnt(algorithm.learnt())
    own._seen = algorithm._seen  # the features of the target's pictures
    streams = Streams([seed])
    problem = problem_of(
        experiment.space, experiment.task, opened.measuring, opened.device, streams
    )
    own.start(problem, streams, Phase.SEARCH)
    return own


def _tell_searches(opened: Opened, kind: Candidates, runs: int) -> None:
    """A row for each way in which the searches may end."""
    ends: dict[tuple[str, str], list[float]] = {}
    means: list[float] = []
    seconds: list[float] = []
    for seed in range(runs):
        algorithm = _started(opened, kind, seed)
        began = time.process_time()
        sets = algorithm.sets(algorithm._problem, algorithm._streams)
        found = algorithm.found(sets)
        ranked = algorithm._order(found, sets)
        seconds.append(time.process_time() - began)
        means.append(float(np.nanmean(_scores(opened, found)[1])))
        for ranking, order in (("predictor", ranked), ("none", found)):
            val, test = _scores(opened, order[:KEPT])
            for pick, at in (("first", 0), ("validation", val.argmax()), ("oracle", test.argmax())):
                ends.setdefault((ranking, pick), []).append(float(test[at]))
        opened.experiment.algorithm._seen = algorithm._seen  # pyright: ignore[reportAttributeAccessIssue]
    for (ranking, pick), scores in ends.items():
        print(f"| {kind.value} | {ranking} | {pick} | {_interval(scores)} | {_interval(means)} |")
    print(f"\n{kind.value}: {np.median(seconds):.1f} CPU seconds a search (median)\n", flush=True)


def _scores(opened: Opened, archs: Archs) -> tuple[Floats, Floats]:
    """Validation and test scores."""
    scored = opened.judging.score(archs, opened.experiment.task)
    return scored.val_score, scored.test_score


def _interval(scores: list[float]) -> str:
    """Mean and half the width of the 95 % t-interval."""
    values = np.array(scores)
    if len(values) < 2:
        return f"{values.mean():.2f}"
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.2f} ± {half:.2f}"


def _tell_samples(opened: Opened, samples: int) -> None:
    """Validity, uniqueness and novelty of graphs that are written for the target."""
    algorithm = _started(opened, Candidates.generator, 0)
    sets = algorithm.sets(algorithm._problem, algorithm._streams)
    codes, uniform = algorithm._writer.codes(*sets), torch.Generator().manual_seed(0)
    own = codes[torch.arange(samples) % len(codes)]
    archs, valid = algorithm._writer.write(own, lambda n: torch.rand(samples, n, generator=uniform))
    learnt = {
        arch.tobytes() for arch in np.asarray(algorithm._arrays("generator")[PAIRS], np.int64)
    }
    written = [arch.tobytes() for arch in archs[valid]]
    unique = set(written)
    print(
        f"of {samples} graphs: validity {valid.mean():.4f}, uniqueness "
        f"{len(unique) / max(1, len(written)):.4f}, novelty "
        f"{len(unique - learnt) / max(1, len(unique)):.4f}",
        flush=True,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
