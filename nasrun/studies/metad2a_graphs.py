"""MetaD2A's Table 4: validity, uniqueness and novelty of what its generator writes."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import nan

import numpy as np

from nasrun.algorithms.metad2a import AT_ONCE, Candidates, MetaD2A
from nasrun.errors import ConfigError
from nasrun.experiment import Opened, problem_of
from nasrun.progress import tell
from nasrun.ranges import require_at_least
from nasrun.report.compare import read_published
from nasrun.report.studied import Finding
from nasrun.spec import Archs, Mask, Phase, Streams, Task
from nasrun.studies.base import Study

PUBLISHED = "metad2a_table4"
PAPERS = 1.0  # temperature of the authors' code
NAMES = {
    Candidates.generator: "generated cells",
    Candidates.records: "cells of the records",
    Candidates.uniform: "random cells",
}


@dataclass
class GeneratedGraphs(Study):
    """``samples`` graphs for each of ``retrain.tasks``, as Table 4 of Lee et al. (ICLR 2021).

    Validity is the share of graphs that are architectures, uniqueness that of different ones among
    the valid, novelty that of the valid, repeats included, which the generator has not learnt from;
    at the temperature of the authors' code, and at that of the algorithm if it is another. Where
    the final figures come from a table, the test scores of the candidates of ``runs`` searches
    stand below, beside those of the two other kinds of candidates.

    Departure: graphs are written from codes of the task's pictures (the paper: "from the prior
    distribution", section 4.4). That novelty is a share of all valid graphs is said by the paper,
    by the D-VAE code that it follows, and by its digits: 0.3519 of 10,000 graphs are 3,519
    different ones, of which no number makes 0.6731.

    Raises:
        ConfigError: no samples or runs.
    """

    name: str = "metad2a_graphs"
    title: str = "What MetaD2A's generator writes"
    notes: list[str] = field(default_factory=list[str])
    decimals: int = 4
    samples: int = 10_000
    runs: int = 10

    def __post_init__(self) -> None:
        require_at_least(self, "study", 1, "samples", "runs")

    def measured(self, opened: Opened) -> list[Finding]:
        """Figures of the graphs, then of the candidates, task by task."""
        if not isinstance(opened.experiment.algorithm, MetaD2A):
            raise ConfigError(
                f"study={self.name} is of algorithm=metad2a, got "
                f"{opened.experiment.algorithm.name}: choose that one"
            )
        tasks = opened.experiment.final_tasks
        return [finding for task in tasks for finding in self._of(opened, task)]

    def _of(self, opened: Opened, task: Task) -> Iterator[Finding]:
        algorithm, space = started(opened, task, 0), opened.experiment.space.name
        learnt = {arch.tobytes() for arch in algorithm.recorded}
        for temperature in dict.fromkeys((PAPERS, algorithm.temperature)):
            algorithm.temperature = temperature
            for figure, value in quality(*self._written(algorithm, task), learnt).items():
                known = read_published(PUBLISHED, figure).get(("metad2a", space, space))
                method, paper = (
                    f"metad2a, temperature {temperature:g}",
                    known.mean if known else nan,
                )
                yield Finding(task.name, method, figure, self.samples, value, paper)
        if opened.judging.final_training:
            return
        for kind in Candidates:
            yield from self._scores(opened, task, kind)

    def _written(self, algorithm: MetaD2A, task: Task) -> tuple[Archs, Mask]:
        """``(n, L)`` architectures of all samples, and ``(n,)`` which are any."""
        draws = Streams([0], f"{self.name}/samples")
        codes = algorithm.codes(algorithm.sets(Streams([0])))
        parts: list[tuple[Archs, Mask]] = []
        for first in range(0, self.samples, AT_ONCE):
            parts.append(algorithm.written(codes, draws, first))
            tell(first / self.samples, lambda: f"graphs for {task.name}")
        archs, valid = (np.concatenate(part)[: self.samples] for part in zip(*parts, strict=True))
        return archs, valid

    def _scores(self, opened: Opened, task: Task, kind: Candidates) -> Iterator[Finding]:
        """Mean, median and best test score of the candidates of some searches."""
        scores: list[np.ndarray] = []
        for seed in range(self.runs):
            algorithm = started(opened, task, seed, kind)
            found = algorithm.found(algorithm.sets(Streams([seed])))
            scores.append(opened.judging.score(found, task).test_score)
        where = f"{task.name}: {opened.judging.final_metric(task).title} of candidates"
        count = sum(map(len, scores))
        figures = {
            "mean": np.mean([np.nanmean(own) for own in scores]),
            "median": np.mean([np.nanmedian(own) for own in scores]),
            "best": np.mean([np.nanmax(own) for own in scores]),
        }
        for figure, value in figures.items():
            yield Finding(where, NAMES[kind], figure, count, float(value))


def quality(archs: Archs, valid: Mask, learnt: set[bytes]) -> dict[str, float]:
    """Validity, uniqueness and novelty of ``archs (n, L)``, of which ``valid (n,)`` are any."""
    written: Sequence[bytes] = [arch.tobytes() for arch in archs[valid]]
    different = set(written)
    return {
        "validity": float(valid.mean()),
        "uniqueness": len(different) / len(written) if written else nan,
        "novelty": sum(one not in learnt for one in written) / len(written) if written else nan,
    }


def started(
    opened: Opened, task: Task, seed: int, kind: Candidates = Candidates.generator
) -> MetaD2A:
    """The algorithm, about to search on ``task`` with these candidates."""
    experiment, streams = opened.experiment, Streams([seed])
    assert isinstance(experiment.algorithm, MetaD2A)
    own = copy.copy(experiment.algorithm)
    own.candidates = kind
    is_own = task is experiment.task
    session = opened.measuring if is_own else experiment.evaluator.opened(experiment.space, task)
    problem = problem_of(experiment.space, task, session, opened.device, streams)
    own.start(problem, streams, Phase.SEARCH)
    return own
