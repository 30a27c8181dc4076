import numpy as np
from toys import ToySpace, toy_experiment

from nasrun.algorithms.base import SampleBased, ranked_last
from nasrun.budget import Budget
from nasrun.pipeline import search
from nasrun.spec import Measured

NAN = np.nan


class Scripted(SampleBased):
    """Measures 0, 1, 2, ... for given lengths."""

    name = "scripted"

    def __init__(self, lengths):
        self.lengths = lengths

    def ask(self):
        number = np.full(self.problem.trials, self.steps)
        return self.problem.space.at(number)

    def tell(self, measured):
        self.told = measured

    def epochs(self):
        return self.lengths[self.steps]


def measured(number, epochs, reward):
    archs = np.array([[0, 0, number]])
    return Measured(
        archs, np.array([epochs]), *(np.array([value]) for value in (reward, 1.0, NAN, reward))
    )


def recommended(*measurements):
    algorithm = Scripted([])
    experiment = toy_experiment(algorithm, trials=1, space=ToySpace((1, 1, 9)))
    search_problem(algorithm, experiment)
    for step, measurement in enumerate(measurements):
        algorithm.steps = step
        algorithm._remember(measurement)
    return algorithm.recommend()[0, 2]


def search_problem(algorithm, experiment):
    """Start an algorithm as the pipeline does."""
    from nasrun.pipeline import _problem
    from nasrun.spec import Phase
    from nasrun.streams import Streams

    streams = Streams([0])
    algorithm.start(_problem(experiment, streams), streams, Phase.SEARCH)


def test_the_longest_training_counts():
    assert recommended(measured(1, 4, 99.0), measured(2, 12, 5.0), measured(3, 4, 100.0)) == 2


def test_among_equally_long_ones_the_best_counts_and_the_first_of_equals():
    assert recommended(measured(1, 4, 5.0), measured(2, 4, 7.0), measured(3, 4, 7.0)) == 2


def test_a_failed_measurement_never_counts_however_long():
    assert recommended(measured(1, 4, 5.0), measured(2, 12, NAN)) == 1
    assert recommended(measured(1, 12, NAN), measured(2, 4, 5.0)) == 2


def test_if_all_fail_the_first_one_stands():
    assert recommended(measured(7, 4, NAN), measured(2, 12, NAN)) == 7


def test_failures_rank_last():
    assert ranked_last(np.array([1.0, NAN, -5.0])).tolist() == [1.0, -np.inf, -5.0]


def test_a_step_asks_evaluates_and_tells():
    algorithm = Scripted([1, 4, 12])
    experiment = toy_experiment(algorithm, space=ToySpace((2, 2)))
    outcome, history = search(
        type(experiment)(**{**vars(experiment), "budget": Budget(evaluations=3)}),
        np.arange(2),
        None,
    )
    assert algorithm.told.epochs.tolist() == [12, 12]
    assert outcome.archs.tolist() == [[1, 0], [1, 0]]
    assert len(history) == 3
