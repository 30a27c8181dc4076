from collections import Counter

import numpy as np
import pytest
from toys import ToySpace

from nasrun.errors import ConfigError
from nasrun.predictors.graphs import Graphs, Pruning
from nasrun.predictors.wl import Counting, Labels, WeisfeilerLehman, _with_themselves, shared
from nasrun.spaces.mobilenet_v3 import MobileNetV3
from nasrun.spaces.nb201 import NB201
from nasrun.spaces.nlp import NLP
from nasrun.spaces.rnn_cell import RNNCell
from nasrun.spec import Inputs
from nasrun.streams import Streams

SPACE = NB201()
NAMES = SPACE.dag_operations
CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_3x3~2|"


def pruned(text):
    graph = Pruning(NAMES)(*SPACE.dag(SPACE.parse(text)[None])).alone(0)
    words = [NAMES[label] for label in graph.labels]
    return words, {(int(a), int(b)) for a, b in np.argwhere(graph.adjacency)}


def test_a_pruned_cell_has_neither_zeros_nor_skips():
    words, edges = pruned(CELL)
    assert words == [
        "input", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3", "nor_conv_3x3", "output"
    ]  # fmt: skip
    # The first convolution's sum goes into the pooling, and by the skip into the last convolution.
    assert edges == {(0, 1), (0, 2), (1, 3), (1, 4), (2, 5), (3, 5), (4, 5)}


def test_what_leads_nowhere_is_pruned():
    words, edges = pruned(CELL.replace("avg_pool_3x3~1", "none~1").replace("skip_connect", "none"))
    assert words == ["input", "nor_conv_1x1", "output"]
    assert edges == {(0, 1), (1, 2)}
    words, edges = pruned("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    assert (words, edges) == (["input", "output"], {(0, 1)})
    words, edges = pruned("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    assert (words, edges) == (["input", "output"], set())


def test_nothing_is_pruned_from_recurrent_cells():
    for space in (NLP(), RNNCell()):  # states are inputs, and gates make identities layers
        archs = space.sample(Streams(range(20), "cells"))
        names = space.dag_operations
        adjacency, operations = space.dag(archs)
        found = Pruning(names)(adjacency, operations)
        assert (found.labels == operations).all()
        assert (found.adjacency == adjacency).all()


def by_hand(text, rounds):
    """Counts of the labels as nested texts, round by round."""
    words, edges = pruned(text)
    found = [Counter(words)]
    for _ in range(rounds):
        before = [sorted(words[a] for a, b in edges if b == at) for at in range(len(words))]
        words = [f"{own}<{','.join(others)}>" for own, others in zip(words, before, strict=True)]
        found.append(Counter(words))
    return found


@pytest.mark.parametrize("counting", Counting)
def test_the_kernel_is_the_one_of_counted_texts(counting):
    streams = Streams(range(2), "cells")
    archs = np.stack([SPACE.sample(streams) for _ in range(6)], axis=1)
    labels = Labels(SPACE, 2, counting)(archs)
    found = shared(labels, labels)
    for trial in range(2):
        counts = [by_hand(SPACE.text(arch), 2) for arch in archs[trial]]
        for i, a in enumerate(counts):
            for j, b in enumerate(counts):
                by_round = [
                    sum(
                        own[label] * other[label]
                        if counting is Counting.product
                        else min(own[label], other[label])
                        for label in own
                    )
                    for own, other in zip(a, b, strict=True)
                ]
                assert found[:, trial, i, j].tolist() == np.cumsum(by_round).tolist()
            assert (found[:, trial, i, i] == _with_themselves(labels)[:, trial, i]).all()


def test_cells_that_compute_the_same_are_told_apart_by_nothing():
    same = [CELL, CELL.replace("|none~0|skip_connect~1|", "|skip_connect~0|none~1|")]
    streams = Streams([0])
    archs = np.stack([SPACE.sample(streams) for _ in range(12)], axis=1)
    model = WeisfeilerLehman(noises=[1e-5]).opened(SPACE, Streams([0]))
    y = 60.0 + archs.sum(axis=2)
    model.fit(Inputs(archs), y, np.ones(y.shape, bool))
    known = model.predict(Inputs(archs))
    np.testing.assert_allclose(known.mean[0], -np.log(100 - y[0]), atol=0.01)
    # In the second cell the input itself reaches the last convolution: another graph.
    found = model.predict(Inputs(np.stack([SPACE.parse(text) for text in same])[None]))
    assert found.mean[0, 0] != found.mean[0, 1]


@pytest.mark.parametrize("field", ["rounds_of_labels", "noises"])
def test_an_empty_list_is_refused(field):
    with pytest.raises(ConfigError, match=rf"predictor\.{field} must hold at least one number"):
        WeisfeilerLehman(**{field: []})


def test_graphs_that_leave_a_decision_out_are_not_taken():
    space = MobileNetV3()
    archs = space.sample(Streams(range(2), "networks"))
    archs[1] = archs[0]
    archs[:, -1] = [0, 24]  # the resolution
    graphs = Graphs(space)
    first, second = graphs(archs).operations
    assert [graphs.names[at] for at in first[first != second]] == ["45:r128"]
    assert Graphs(MobileNetV3(resolutions=[])).cells


def test_a_space_without_cells_is_a_line_of_decisions():
    space = ToySpace((2, 3, 4, 2, 3))
    archs = space.sample(Streams(range(3)))
    adjacency, operations = Graphs(space)(archs)
    assert [tuple(pair) for pair in np.argwhere(adjacency[0])] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    names = Graphs(space).names
    wanted = [f"{at}:{space.decisions[at][option]}" for at, option in enumerate(archs[1])]
    assert [names[number] for number in operations[1]] == wanted
