import numpy as np
from toys import ToySpace, toy_experiment, toy_problem

from nasrun.algorithms.base import SampleBased, ranked_last
from nasrun.pipeline import search
from nasrun.spec import Measured, Phase
from nasrun.streams import Streams

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
    figures = (np.array([value]) for value in (reward, 1.0, NAN, reward))
    return Measured(archs, np.array([epochs]), *figures)


def recommended(*measurements):
    algorithm = Scripted([])
    problem = toy_problem(len, 1, ToySpace((1, 1, 9)))
    algorithm.start(problem, Streams([0]), Phase.SEARCH)
    for step, measurement in enumerate(measurements):
        algorithm.steps = step
        algorithm._remember(measurement)
    return algorithm.recommend()[0, 2]


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
    experiment = toy_experiment(algorithm, space=ToySpace((2, 2)), evaluations=3)
    outcome, history = search(experiment.opened(), np.arange(2), None)
    assert algorithm.told.epochs.tolist() == [12, 12]
    assert outcome.archs.tolist() == [[1, 0], [1, 0]]
    assert len(history) == 3
