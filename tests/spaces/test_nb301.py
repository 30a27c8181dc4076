from itertools import combinations

import numpy as np
import pytest
import torch

from nasrun.errors import ConfigError
from nasrun.nets.darts_cells import CELLS
from nasrun.spaces.nb301 import CONSTANTS, FIXED, NAMES, NB301, OPERATIONS, PLACES
from nasrun.spec import Scale, Task
from nasrun.streams import Streams

SPACE = NB301()
TASK = Task("cifar10", 10, 32, "t", "t", 1, 1)
DARTS = "NetworkSelectorDatasetInfo:darts:"
PAIRS = (
    "[[(0, 0), (1, 5), (1, 1), (0, 1), (1, 3), (0, 3), (1, 3), (3, 2)], "
    "[(1, 0), (0, 2), (1, 3), (0, 3), (3, 0), (0, 1), (2, 0), (3, 6)]]"
)


@pytest.fixture(scope="module")
def official():
    """The benchmark's ConfigSpace, with the bounds that its ConfigLoader puts in place."""
    cs = pytest.importorskip("ConfigSpace")

    def number(name, low, high, logs=False, kind=cs.UniformFloatHyperparameter):
        return kind(name, low, high, log=logs)

    def integer(*arguments):
        return number(*arguments, kind=cs.UniformIntegerHyperparameter)

    def one_of(name, *choices):
        return cs.CategoricalHyperparameter(name, choices)

    anneal = "SimpleLearningrateSchedulerSelector:cosine_annealing"
    found = [
        integer("CreateImageDataLoader:batch_size", 64, 128, True),
        one_of("ImageAugmentation:augment", True),
        one_of("ImageAugmentation:autoaugment", False, True),
        one_of("ImageAugmentation:cutout", True),
        integer("ImageAugmentation:cutout_holes", 1, 3),
        integer("ImageAugmentation:cutout_length", 1, 50),
        one_of("ImageAugmentation:fastautoaugment", False, True),
        one_of("LossModuleSelectorIndices:loss_module", "cross_entropy"),
        one_of(f"{DARTS}auxiliary", True),
        cs.Constant(f"{DARTS}drop_path_prob", 0.2),
        integer(f"{DARTS}init_channels", 1, 10_000),
        integer(f"{DARTS}layers", 1, 10_000),
        one_of("NetworkSelectorDatasetInfo:network", "darts"),
        one_of("OptimizerSelector:optimizer", "sgd"),
        number("OptimizerSelector:sgd:learning_rate", 1e-4, 1, True),  # normal, without bounds
        number("OptimizerSelector:sgd:momentum", 0.1, 0.99),
        number("OptimizerSelector:sgd:weight_decay", 1e-6, 1, True),  # normal, without bounds
        integer(f"{anneal}:T_max", 1, 10_000),
        number(f"{anneal}:eta_min", 0, 10_000),
        one_of("SimpleLearningrateSchedulerSelector:lr_scheduler", "cosine_annealing"),
        one_of("SimpleTrainNode:batch_loss_computation_technique", "mixup"),
        number("SimpleTrainNode:mixup:alpha", 0.01, 0.7, True),
    ]
    inputs = {}
    for cell in CELLS:
        found += [one_of(f"{DARTS}edge_{cell}_{edge}", *OPERATIONS) for edge in range(14)]
        for node in (3, 4, 5):
            pairs = [f"{a}_{b}" for a, b in combinations(range(node), 2)]
            inputs[cell, node] = one_of(f"{DARTS}inputs_node_{cell}_{node}", *pairs)
    space = cs.ConfigurationSpace(seed=0)
    # In another order than any: what comes out is ConfigSpace's own.
    space.add([*reversed(found), *inputs.values()])
    conditions = []
    for (cell, node), own in inputs.items():
        first = sum(range(2, node))
        for source in range(node):
            edge = space[f"{DARTS}edge_{cell}_{first + source}"]
            with_it = [pair for pair in own.choices if str(source) in pair.split("_")]
            conditions.append(cs.InCondition(edge, own, with_it))
    space.add(conditions)
    return space


def settings(arch):
    """The official names and values of a cell ([N3] representations.py)."""
    found = {}
    for name, cell in zip(CELLS, SPACE.layout.branches(arch), strict=True):
        first = 0
        for node, pair in enumerate(cell):
            for operation, source in pair:
                found[f"{DARTS}edge_{name}_{first + source}"] = OPERATIONS[operation]
            if node:
                sources = "_".join(str(source) for source in sorted(s for _, s in pair))
                found[f"{DARTS}inputs_node_{name}_{node + 2}"] = sources
            first += node + 2
    return found


TRAINING = {
    "CreateImageDataLoader:batch_size": 96,
    "ImageAugmentation:augment": True,
    "ImageAugmentation:autoaugment": False,
    "ImageAugmentation:cutout": True,
    "ImageAugmentation:cutout_holes": 1,
    "ImageAugmentation:cutout_length": 16,
    "ImageAugmentation:fastautoaugment": False,
    "LossModuleSelectorIndices:loss_module": "cross_entropy",
    f"{DARTS}auxiliary": True,
    f"{DARTS}drop_path_prob": 0.2,
    f"{DARTS}init_channels": 32,
    f"{DARTS}layers": 8,
    "NetworkSelectorDatasetInfo:network": "darts",
    "OptimizerSelector:optimizer": "sgd",
    "OptimizerSelector:sgd:learning_rate": 0.025,
    "OptimizerSelector:sgd:momentum": 0.9,
    "OptimizerSelector:sgd:weight_decay": 0.0003,
    "SimpleLearningrateSchedulerSelector:cosine_annealing:T_max": 100,
    "SimpleLearningrateSchedulerSelector:cosine_annealing:eta_min": 1e-8,
    "SimpleLearningrateSchedulerSelector:lr_scheduler": "cosine_annealing",
    "SimpleTrainNode:batch_loss_computation_technique": "mixup",
    "SimpleTrainNode:mixup:alpha": 0.2,
}


def test_the_56_inputs_stand_in_configspaces_order(official):
    assert tuple(official) == NAMES
    assert len(NAMES) == 56
    assert TRAINING.keys() == FIXED.keys()


def test_vectors_are_configspaces(official):
    """The architecture exactly; settings of the training as far as versions agree on them.

    Version 0.4, which the surrogates were trained with, puts integers half a step within their
    bounds, constants at 0, and normal numbers nowhere.
    """
    from ConfigSpace import Configuration

    archs = SPACE.sample(Streams(range(20)))
    vectors = SPACE.encode(archs, "configspace")
    assert vectors.shape == (20, 56)
    fixed = np.array([name in FIXED for name in NAMES])
    unbounded = np.array([name.endswith(("learning_rate", "weight_decay")) for name in NAMES])
    by_version = np.array([name.endswith(("holes", "drop_path_prob")) for name in NAMES])
    for arch, vector in zip(archs, vectors, strict=True):
        theirs = Configuration(official, values={**TRAINING, **settings(arch)}).get_array()
        theirs = np.where(np.isnan(theirs), -1, theirs)
        np.testing.assert_array_equal(vector[~fixed], theirs[~fixed])
        known = fixed & ~unbounded & ~by_version
        np.testing.assert_allclose(vector[known], theirs[known], atol=0.01)
    np.testing.assert_allclose(CONSTANTS[fixed & unbounded], np.log([0.025, 0.0003]))


def test_a_vector_by_hand():
    vector = SPACE.encode(SPACE.parse(PAIRS), "configspace")
    edges = [vector[PLACES[f"{DARTS}edge_normal_{edge}"]] for edge in range(14)]
    assert edges == [0, 5, 1, 1, -1, 3, 3, -1, -1, -1, 3, -1, 2, -1]
    inputs = [vector[PLACES[f"{DARTS}inputs_node_reduce_{node}"]] for node in (3, 4, 5)]
    assert inputs == [0, 2, 7]  # 0_1 of three, 0_3 of six, 2_3 of ten


def test_naslibs_pairs_count_without_none():
    text = SPACE.text(SPACE.parse(PAIRS))
    assert text.startswith("Genotype(normal=[('max_pool_3x3', 0), ('dil_conv_3x3', 1), ")
    with pytest.raises(ConfigError, match="expected an operation"):
        SPACE.parse(PAIRS.replace("(3, 6)", "(3, 7)"))


def test_ten_networks_build_count_and_learn():
    assert SPACE.build(SPACE.parse(PAIRS), TASK, Scale(cells=1)).stem[0].out_channels == 96
    for arch in SPACE.sample(Streams(range(10), "learn")):
        network = NB301(auxiliary=False).build(arch, TASK, Scale(channels=4, cells=3))
        x = torch.randn(4, 3, 16, 16)
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        for _ in range(2):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(x), torch.arange(4)).backward()
            optimizer.step()
        assert torch.isfinite(network(x)).all()


@pytest.mark.data
def test_all_published_cells_are_read(data_dir):
    import pandas as pd

    for name in ("naslib_nb301_725", "naslib_nb301_500"):
        table = pd.read_csv(data_dir / "nb301" / f"{name}.csv.gz")
        archs = np.array([SPACE.parse(text) for text in table["arch"]])
        assert SPACE.exists(archs).all()
        assert len(archs) == len(table)
