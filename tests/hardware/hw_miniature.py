"""A small file in HW-NAS-Bench's format: three cells, and every operation of FBNet's networks."""

import numpy as np

from nasrun.benchmarks.hw_nas_bench import _keys
from nasrun.spaces.nb201 import NB201

SPACE = NB201()
TEXTS = [SPACE.text(SPACE.at(np.array(number))) for number in (15_000, 0, 7)]


def official():
    cells = {}
    for at, dataset in enumerate(("cifar10", "cifar100", "ImageNet16-120")):
        cells[dataset] = {
            "config": [{"name": "infer.tiny", "C": 16, "N": 5, "arch_str": text} for text in TEXTS],
            "edgegpu_latency": [50.0 * at + own for own in (1.0, 2.0, 3.0)],
            "fpga_latency": np.array([11.0, 12.0, 13.0]),
            "texts": TEXTS,
        }
    operations = {}
    for px, classes in ((32, 100), (224, 1000)):
        shared, layers = _keys(px, classes)
        for key in [*shared, *(key for row in layers for key in row)]:
            operations.setdefault(key, (1 + len(operations)) / 8)
    return {"nasbench201": cells, "fbnet": {"edgegpu_latency": operations}}
