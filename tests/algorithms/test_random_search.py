import numpy as np
from composed import trace
from toys import ToySpace, toy_experiment

from nasrun.algorithms.random_search import RandomSearch
from nasrun.budget import Budget


def test_every_architecture_is_equally_likely():
    space = ToySpace((2, 3, 4))
    experiment = toy_experiment(RandomSearch(), space=space)
    archs = trace(experiment, seeds=range(400), budget=Budget(evaluations=60)).archs
    counts = np.bincount(space.index(archs).ravel(), minlength=space.size)
    expected = archs.shape[0] * archs.shape[1] / space.size
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < 49.7  # the 0.001 quantile of 23 degrees of freedom, from above
