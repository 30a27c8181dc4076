import numpy as np
import pytest
from scipy.optimize import linprog

from nasrun.errors import ConfigError
from nasrun.predictors.gaussian import posterior
from nasrun.predictors.graphs import Graphs, Pruned, Pruning
from nasrun.predictors.otmann import Distances, Layers, distance, mislabel, path_lengths
from nasrun.predictors.transport import TransportProcess, clipped
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Inputs
from nasrun.streams import Streams

NAMES = ("input", "output", "conv3x3", "conv1x1", "maxpool", "avgpool")


def graph(labels, *edges):
    adjacency = np.zeros((len(labels), len(labels)), bool)
    adjacency[tuple(zip(*edges, strict=True))] = True
    return Layers.of(Pruned(adjacency, np.array([NAMES.index(name) for name in labels])), NAMES)


def test_labels_differ_as_in_the_paper():
    assert mislabel("conv3x3", "conv3x3") == 0
    assert mislabel("conv3x3", "conv1x1") == pytest.approx(0.2)  # √2/10 · √2
    assert mislabel("conv3x3", "conv5x5") == mislabel("conv3x3", "conv1x1")
    # The place of a decision, which its option's name begins with, is no kernel.
    assert mislabel("1:sep_conv_7x7", "2:conv_1x1") == mislabel("conv7x7", "conv1x1")
    assert mislabel("maxpool", "avgpool") == 0.5
    assert mislabel("conv3x3", "maxpool") == np.inf


def test_lengths_of_shortest_longest_and_random_ways():
    edges = np.zeros((4, 4), bool)  # 0 -> 1 -> 2 -> 3, 0 -> 3
    edges[[0, 1, 2, 0], [1, 2, 3, 3]] = True
    assert path_lengths(edges).tolist() == [[0, 0, 0], [1, 1, 1], [2, 2, 2], [1, 3, 2]]


def test_distances_that_are_computed_by_hand():
    one = graph(["input", "conv3x3", "output"], (0, 1), (1, 2))
    assert one.masses.tolist() == [0.1, 1.0, 0.1]
    assert one.lengths.tolist() == [[0] * 3 + [2] * 3, [1] * 6, [2] * 3 + [0] * 3]
    assert distance(one, one, 0.5) == pytest.approx(0.0)
    other = graph(["input", "conv1x1", "output"], (0, 1), (1, 2))
    assert distance(one, other, 0.5) == pytest.approx(0.2)
    # A pooling has nothing to do with a convolution: both are left out.
    pool = graph(["input", "maxpool", "output"], (0, 1), (1, 2))
    assert distance(one, pool, 0.5) == pytest.approx(2.0)
    # A second convolution in line: 1 is left out. The other is one layer farther from one end
    # (half a layer on average), and both ends, of which 0.1 remains over, from each other.
    two = graph(["input", "conv3x3", "conv3x3", "output"], (0, 1), (1, 2), (2, 3))
    moved = 0.5 * 0.5
    assert distance(one, two, 0.5) == pytest.approx(moved + 1.0 + 2 * (0.1 * moved + 0.1))


def test_states_weigh_as_inputs_do():
    names = ("input", "state", "output", "linear2")
    adjacency = np.zeros((4, 4), bool)
    adjacency[[0, 1, 2], [2, 2, 3]] = True
    layers = Layers.of(Pruned(adjacency, np.array([0, 1, 3, 2])), names)
    assert layers.masses.tolist() == [0.05, 0.05, 1.0, 0.1]


def test_it_is_the_optimum_of_the_linear_programme():
    space = NB201()
    graphs = Graphs(space)
    archs = space.sample(Streams(range(12), "cells"))
    pruned = Pruning(graphs.names)(*graphs(archs))
    layers = [Layers.of(pruned.alone(at), graphs.names) for at in range(len(archs))]
    for a, b in zip(layers[::2], layers[1::2], strict=True):
        label = np.array([[min(mislabel(i, j), 1e3) for j in b.names] for i in a.names])
        cost = label + 0.61 * np.abs(a.lengths[:, None] - b.lengths[None]).mean(axis=2)
        cost = np.pad(cost, ((0, 1), (0, 1)), constant_values=1.0)
        cost[-1, -1] = 0.0
        supply, demand = np.append(a.masses, b.masses.sum()), np.append(b.masses, a.masses.sum())
        n, m = cost.shape
        equal = np.concatenate([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
        wanted = linprog(cost.ravel(), A_eq=equal, b_eq=np.append(supply, demand)).fun
        assert distance(a, b, 0.61) == pytest.approx(wanted, abs=1e-8)
        assert distance(b, a, 0.61) == pytest.approx(wanted, abs=1e-8)


def test_negative_eigenvalues_become_zero():
    kernel = np.array([[[1.0, 2.0], [2.0, 1.0]]])  # 3 along (1, 1), -1 across
    np.testing.assert_allclose(clipped(kernel), 1.5 * np.ones((1, 2, 2)))


def test_the_process_is_that_of_the_lengths_and_noise_of_the_highest_likelihood():
    space, streams = NB201(), Streams([4], "records")
    archs = np.stack([space.sample(streams) for _ in range(9)], axis=1)
    y = 60.0 + archs.sum(axis=2) + streams.normal(9)
    settings = {"structural": [0.1, 1.5], "lengths": [1.0, 8.0], "normalised": [0.1, 0.5]}
    model = TransportProcess(**settings, noises=[1e-3, 1e-1]).opened(space, streams)
    known = np.arange(9)[None] < 7
    model.fit(Inputs(archs), y, known)
    found = model.predict(Inputs(archs))

    apart, mass = Distances(space, [0.1, 1.5])(archs, archs)
    own = y[0, :7]
    z, candidates = (own - own.mean()) / own.std(), []
    for length in (1.0, 8.0):
        for normalised in (0.1, 0.5):
            first, second = apart.mean(axis=0)[0], ((apart / mass) ** 2).mean(axis=0)[0]
            kernel = (np.exp(-first / length) + np.exp(-second / normalised**2)) / 2
            values, vectors = np.linalg.eigh(kernel[:7, :7])
            clipped = vectors @ np.diag(values.clip(0.0)) @ vectors.T
            for noise in (1e-3, 1e-1):
                says = posterior(clipped[None], np.array([noise]), z[None], known[:, :7])
                candidates.append((says.log_likelihood[0], says, kernel))
    _, says, kernel = max(candidates, key=lambda one: one[0])
    mean, sd = says.predict(kernel[None, :7], np.ones((1, 9)))
    np.testing.assert_allclose(found.mean, own.mean() + own.std() * mean)
    np.testing.assert_allclose(found.sd, own.std() * sd)


@pytest.mark.parametrize("field", ["structural", "lengths", "normalised", "noises"])
def test_an_empty_list_is_refused(field):
    with pytest.raises(ConfigError, match=rf"predictor\.{field} must hold at least one number"):
        TransportProcess(**{field: []})
