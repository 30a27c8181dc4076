import numpy as np
from toys import toy_experiment

from nasrun.algorithms.catch import CATCH
from nasrun.pipeline import search


def weights(seeds):
    """Weights after a search, trials first: they hold what no architecture shows yet."""
    algorithm = CATCH(updates=2)
    experiment = toy_experiment(algorithm, evaluations=12)
    search(experiment.opened(), np.array(seeds), None)
    return algorithm.learnt()


def test_weights_do_not_depend_on_the_cohort():
    together = weights([100, 101, 102, 103, 104])
    for trial in range(5):
        alone = weights([100 + trial])
        for name, array in alone.items():
            np.testing.assert_array_equal(array[0], together[name][trial], err_msg=name)


def test_weights_do_not_depend_on_the_blocks(monkeypatch):
    seeds = [100, 101, 102, 103, 104]
    whole = weights(seeds)
    monkeypatch.setattr("nasrun.nets.cohort.BLOCK", 2)
    for name, array in weights(seeds).items():
        np.testing.assert_array_equal(array, whole[name], err_msg=name)
