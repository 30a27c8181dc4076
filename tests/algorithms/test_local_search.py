import numpy as np
import pytest
from composed import trace
from toys import ToyEvaluator, ToySpace, toy_experiment

from nasrun.algorithms.local_search import LocalSearch, QueryUntil
from nasrun.budget import Budget
from nasrun.streams import Streams


class Rugged(ToyEvaluator):
    """Accuracies without order, so that there are local optima."""

    def evaluate(self, archs, *, epochs, streams, parents=None):
        measured = super().evaluate(archs, epochs=epochs, streams=streams)
        measured.score[:] = landscape(self.space, archs)
        return measured


def landscape(space, archs):
    return np.random.default_rng(3).random(space.size)[space.index(archs)] * 100


def scalar_local_search(space, seed, query_until, evaluations):
    """The climb of one trial with plain loops: what it measures, in order."""
    streams = Streams([seed])
    measured = []
    worth = lambda arch: float(landscape(space, np.array([arch]))[0])  # noqa: E731

    def measure(arch):
        measured.append(tuple(arch))
        return worth(arch)

    spare = None  # the random architecture that is drawn at every step, used or not
    while len(measured) < evaluations:
        centre = space.sample(streams)[0] if spare is None else spare
        best, spare = measure(centre), None
        climbing = True
        while climbing and len(measured) < evaluations:
            around = [n for n in space.neighbours(centre) if tuple(n) not in set(measured)]
            order = np.argsort(streams.uniform(len(around))[0], kind="stable")
            climbing, top = False, best
            for neighbour in [around[i] for i in order[::-1]]:
                if len(measured) == evaluations:
                    break
                space.sample(streams)
                if measure(neighbour) > top:
                    top, better, climbing = worth(neighbour), neighbour, True
                    if query_until is QueryUntil.improvement:
                        break
            if climbing:
                centre, best = better, top
    return measured


@pytest.mark.parametrize("query_until", QueryUntil)
@pytest.mark.parametrize("arity", [(4, 3, 4, 2), (2, 2), (1,)], ids=str)
def test_a_cohort_is_what_plain_loops_give(query_until, arity):
    space = ToySpace(arity)
    algorithm = LocalSearch(query_until=query_until)
    experiment = toy_experiment(algorithm, space=space, evaluator=Rugged())
    archs = trace(experiment, seeds=range(6), budget=Budget(evaluations=70)).archs
    for trial in range(6):
        found = [tuple(arch) for arch in archs[:, trial].tolist()]
        expected = scalar_local_search(space, trial, query_until, 70)
        assert found == [tuple(map(int, arch)) for arch in expected]


def test_neighbours_that_were_measured_are_not_measured_again():
    space = ToySpace((4, 3, 4, 2))
    experiment = toy_experiment(LocalSearch(), space=space, evaluator=Rugged())
    archs = trace(experiment, seeds=range(10), budget=Budget(evaluations=60)).archs
    for trial in range(10):
        seen, starts = set(), 0
        for arch in archs[:, trial].tolist():
            starts += tuple(arch) in seen
            seen.add(tuple(arch))
        assert starts <= 5  # a restart may meet an architecture again, a neighbour never


def test_a_single_peak_is_found_in_one_climb():
    space = ToySpace((5, 5, 5))
    experiment = toy_experiment(LocalSearch(), space=space)
    outcome = trace(experiment, seeds=range(8), budget=Budget(evaluations=60)).outcome
    assert (outcome.archs == 4).all()
