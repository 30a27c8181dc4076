"""What MetaD2A's networks find: Tables 1, 3 and 4 of its paper from the same searches.

``python scripts/metad2a_tables.py cifar10 cifar100_part runs=10 samples=10000``: for each task and
each kind of candidates (generated, uniform, from the records) ``runs`` searches, each of which ends
in every way: the predictor's first, any one, the best of 30 by validation, the best of 30 by test,
with the predictor's ranking and without; with the share of the searches that end at the table's
best test score. Then a control that learns nothing: all cells of the records, ranked by another
data set's table (ImageNet16-120). Then whether the predictor's first is better than any candidate
(Mann-Whitney's test, one-sided). Then Table 4: validity, uniqueness and novelty of ``samples``
graphs. Other settings (``key=value``) are passed on to the config. Prints Markdown tables; scores
are means with 95 % t-intervals over the runs. Table 5 is ``metad2a_encoders.py``.
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
from nasrun.spec import Archs, CountableSpace, Floats, Library, Phase, Streams

OWN = {"runs": 10, "samples": 10_000}
KEPT = 30
SOURCE = "imagenet16_120"  # whose table ranks the cells of the records
HEADER = (
    "| candidates | ranking | pick | test score | found the best | mean of all |\n"
    "|---|---|---|---|---|---|"
)
Ends = dict[tuple[str, str], list[float]]  # test scores by ranking and pick


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
        best = _best(opened)
        print(HEADER)
        ends = {kind: _tell_searches(opened, kind, own["runs"], best) for kind in Candidates}
        _tell_source_ranked(opened, best)
        _tell_tests(ends)
        if own["samples"]:
            _tell_samples(opened, own["samples"])


def _opened(task: str, more: list[str]) -> Opened:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        own = ["algorithm=metad2a", f"task={task}", f"retrain.tasks=[{task},{SOURCE}]"]
        config = compose("config", overrides=[*own, *more])
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


def _best(opened: Opened) -> float:
    """The best test score of the table."""
    space = opened.experiment.space
    assert isinstance(space, CountableSpace)
    return float(np.nanmax(_scores(opened, space.at(np.arange(space.size)))[1]))


def _tell_searches(opened: Opened, kind: Candidates, runs: int, best: float) -> Ends:
    """A row for each way in which the searches may end; their scores."""
    ends: Ends = {}
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
            for pick, score in _picked(opened, order).items():
                ends.setdefault((ranking, pick), []).append(score)
        opened.experiment.algorithm._seen = algorithm._seen  # pyright: ignore[reportAttributeAccessIssue]
    for (ranking, pick), scores in ends.items():
        share = f"{sum(score >= best for score in scores)} of {runs}"
        row = (kind.value, ranking, pick, _interval(scores), share, _interval(means))
        print(f"| {' | '.join(row)} |", flush=True)
    print(f"{kind.value}: {np.median(seconds):.1f} CPU s a search (median)", file=sys.stderr)
    return ends


def _picked(opened: Opened, order: Archs) -> dict[str, float]:
    """Test score of what each pick takes from the candidates, best first."""
    val, test = _scores(opened, order[:KEPT])
    at = {"first": 0, "validation": int(np.nanargmax(val)), "oracle": int(np.nanargmax(test))}
    return {pick: float(test[row]) for pick, row in at.items()}


def _tell_source_ranked(opened: Opened, best: float) -> None:
    """The same of all cells of the records, ranked by their test scores on another data set."""
    assert isinstance(opened.pool, Library)
    cells = np.unique(opened.pool.records().archs, axis=0)
    source = opened.experiment.final_tasks[1]
    ranked = cells[np.argsort(-opened.judging.score(cells, source).test_score, kind="stable")]
    for pick, score in _picked(opened, ranked).items():
        found = "yes" if score >= best else "no"
        print(f"| {len(cells)} of the records | {SOURCE} | {pick} | {score:.2f} | {found} | |")


def _tell_tests(ends: dict[Candidates, Ends]) -> None:
    """Whether the predictor's first is better than any candidate, and than any cell at all."""
    first = ends[Candidates.generator]["predictor", "first"]
    print()
    for kind in (Candidates.generator, Candidates.uniform):
        other = ends[kind]["none", "first"]
        p = stats.mannwhitneyu(first, other, alternative="greater").pvalue
        print(f"the predictor's first above any of the candidates ({kind.value}): p = {p:.4f}")


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
