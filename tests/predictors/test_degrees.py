import numpy as np

from nasrun.predictors.degrees import Degrees
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs
from nasrun.streams import Streams


def test_features_are_sorted_degrees_and_counts_of_operations():
    space = NB201()
    archs = space.sample(Streams(range(3)))[:, None]
    found = Degrees(space)(Inputs(archs))
    assert found.shape == (3, 1, 8 + 8 + 7)
    adjacency, operations = space.dag(archs[:, 0])
    for own, edges, ops in zip(found[:, 0], adjacency, operations, strict=True):
        assert own[:8].tolist() == sorted(sum(edges[:, v]) for v in range(8))
        assert own[8:16].tolist() == sorted(sum(edges[v]) for v in range(8))
        assert own[16:].tolist() == [np.count_nonzero(ops == number) for number in range(7)]
