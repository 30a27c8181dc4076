"""Genuine NATS-Bench records as ground truth for footprints."""

import bz2
from collections import OrderedDict

import numpy as np
import pytest

from nasrun.benchmarks.unpickle import load_restricted
from nasrun.spec import Task

PLAIN = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "scalar"): np._core.multiarray.scalar,
}
CLASSES_AND_PX = {
    "cifar10-valid": (10, 32),
    "cifar10": (10, 32),
    "cifar100": (100, 32),
    "ImageNet16-120": (120, 16),
}


def task_of(dataset):
    classes, image_px = CLASSES_AND_PX[dataset]
    return Task(dataset, classes, image_px, dataset, dataset, 1, 1)


def assert_official_footprint(space, file):
    """Params and FLOPs of every run in a record, at all the digits it holds."""
    record = load_restricted(bz2.decompress(file.read_bytes()), PLAIN, file)
    datasets = set()
    for trained in record.values():
        arch = space.parse(trained["arch_str"])
        for (dataset, _), run in trained["all_results"].items():
            params_m, flops_m = space.footprint(arch[None], task_of(dataset))
            assert params_m[0] == pytest.approx(run["params"], abs=1e-12)
            assert flops_m[0] == pytest.approx(run["flop"], abs=1e-12)
            datasets.add(dataset)
    assert datasets == set(CLASSES_AND_PX)
