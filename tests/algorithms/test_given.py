import numpy as np
import pytest
from toys import ToySpace, toy_experiment

from nasrun.algorithms.given import Given
from nasrun.errors import ConfigError
from nasrun.pipeline import search
from nasrun.spaces.nb201 import NB201

SPACE = ToySpace()


def outcome(arch, **changes):
    experiment = toy_experiment(algorithm=Given(arch=arch), **changes)
    return search(experiment.opened(), np.arange(3), None)[0]


def test_one_measurement_of_the_named_architecture():
    arch = SPACE.at(np.array(5))
    found = outcome(SPACE.text(arch))
    np.testing.assert_array_equal(found.archs, [arch] * 3)
    assert found.evaluations.tolist() == [1, 1, 1]
    assert not np.isnan(found.reward).any()


def test_none_and_a_wrong_one_are_refused():
    with pytest.raises(ConfigError, match=r"needs algorithm\.arch, an architecture of space=toy "):
        outcome(None)
    with pytest.raises(ConfigError, match="at character 1"):
        outcome("nonsense", space=NB201())
