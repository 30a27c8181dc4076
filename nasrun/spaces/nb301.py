"""NAS-Bench-301's space: DARTS's cells, as its surrogate models take them."""

from dataclasses import dataclass, field
from math import log
from typing import ClassVar

import numpy as np

from nasrun.benchmarks.boosted import VECTOR
from nasrun.nets.darts_cells import CELLS
from nasrun.spaces.darts import DARTS, Kind
from nasrun.spaces.genotype import read_genotype
from nasrun.spec import Archs, Floats, Ints, Scale

# In the order of the surrogate's inputs ([N3] representations.py).
OPERATIONS = (
    "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3",
    "dil_conv_5x5",
)  # fmt: skip
NODES = 4
INACTIVE = -1.0  # an edge that the cell does not have
DARTS_PREFIX = "NetworkSelectorDatasetInfo:darts:"


@dataclass
class NB301(DARTS):
    """The space of Zela et al., "Surrogate NAS Benchmarks" (ICLR 2022), section 3.1.

    The networks behind it have 8 cells and 32 channels at first ([N3] ``api.py``). Besides DARTS's
    notations it reads NASLib's lists of pairs ``[[(0, 4), ...], [...]]``, whose operations are
    numbered from 0 without ``none``.
    """

    name: str = "nb301"
    kind: Kind = field(init=False, default=Kind.standard)
    nodes: int = field(init=False, default=NODES)
    operations: list[str] = field(init=False, default_factory=lambda: list(OPERATIONS))

    _final: ClassVar[Scale] = Scale(channels=32, cells=8)

    def parse(self, text: str) -> Archs:
        """``(24,)`` architecture of a genotype, or of NASLib's pairs.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        cells = read_genotype(text, OPERATIONS, NODES, repeats=False, numbered=OPERATIONS)
        return self.layout.arch(cells)

    @property
    def encodings(self) -> tuple[str, ...]:
        """Those of DARTS, and the surrogate's ``configspace``."""
        return (*super().encodings, VECTOR)

    def encode(self, archs: Archs, encoding: str | None = None) -> Floats:
        """``(..., features)``; ``configspace`` has 56, in ConfigSpace's order.

        They are an operation's number for each of 28 edges (-1: the cell does not have it), that of
        the pair of sources for six nodes, and 22 constants of the training.
        """
        if self.require_encoding(encoding) != VECTOR:
            return super().encode(archs, encoding)
        flat = archs.reshape(-1, archs.shape[-1])
        vectors = np.tile(CONSTANTS, (len(flat), 1))
        sources, operations = self.layout.arrays(flat)
        pairs = flat.reshape(len(flat), len(CELLS), NODES, self.layout.width)[..., 0]
        for cell, name in enumerate(CELLS):
            options = self._by_edge(sources[:, cell], operations[:, cell])
            for edge in range(options.shape[1]):
                vectors[:, PLACES[f"{DARTS_PREFIX}edge_{name}_{edge}"]] = options[:, edge]
            for node in range(1, NODES):
                place = PLACES[f"{DARTS_PREFIX}inputs_node_{name}_{node + 2}"]
                vectors[:, place] = pairs[:, cell, node]
        return vectors.reshape(*archs.shape[:-1], -1)

    def _by_edge(self, sources: Ints, operations: Ints) -> Floats:
        """``(n, 14)`` operation of each edge of a cell, whose branches are ``(n, nodes, 2)``."""
        rows = np.arange(len(sources))
        options = np.full((len(sources), len(self.layout.edges)), INACTIVE)
        for node in range(NODES):
            first = self.layout.edge(0, node)
            for branch in range(2):
                options[rows, first + sources[:, node, branch]] = operations[:, node, branch]
        return options


def _unit(
    value: float, low: float, high: float, integer: bool = False, logs: bool = False
) -> float:
    """A number's place between its bounds; those of integers are half a step further out."""
    if integer:
        low, high = low - 0.49999, high + 0.49999
    if logs:
        value, low, high = log(value), log(low), log(high)
    return (value - low) / (high - low)


# Settings of the training, as ConfigSpace 0.4 scales them ([N3] configspace.json, api.py, utils.py
# for the wider bounds). They are the same for all that the surrogates were trained on, so that no
# tree asks for them.
FIXED = {
    "CreateImageDataLoader:batch_size": _unit(96, 64, 128, integer=True, logs=True),
    "ImageAugmentation:augment": 0.0,
    "ImageAugmentation:autoaugment": 0.0,
    "ImageAugmentation:cutout": 0.0,
    "ImageAugmentation:cutout_holes": _unit(1, 1, 3, integer=True),
    "ImageAugmentation:cutout_length": _unit(16, 1, 50, integer=True),
    "ImageAugmentation:fastautoaugment": 0.0,
    "LossModuleSelectorIndices:loss_module": 0.0,
    f"{DARTS_PREFIX}auxiliary": 0.0,
    f"{DARTS_PREFIX}drop_path_prob": 0.0,
    f"{DARTS_PREFIX}init_channels": _unit(32, 1, 10_000, integer=True),
    f"{DARTS_PREFIX}layers": _unit(8, 1, 10_000, integer=True),
    "NetworkSelectorDatasetInfo:network": 0.0,
    "OptimizerSelector:optimizer": 0.0,
    "OptimizerSelector:sgd:learning_rate": log(0.025),  # a normal one has no bounds
    "OptimizerSelector:sgd:momentum": _unit(0.9, 0.1, 0.99),
    "OptimizerSelector:sgd:weight_decay": log(0.0003),
    "SimpleLearningrateSchedulerSelector:cosine_annealing:T_max": _unit(
        100, 1, 10_000, integer=True
    ),
    "SimpleLearningrateSchedulerSelector:cosine_annealing:eta_min": _unit(1e-8, 0, 10_000),
    "SimpleLearningrateSchedulerSelector:lr_scheduler": 0.0,
    "SimpleTrainNode:batch_loss_computation_technique": 0.0,
    "SimpleTrainNode:mixup:alpha": _unit(0.2, 0.01, 0.7, logs=True),
}


def _order() -> list[str]:
    """Names of all inputs: those without a condition, then the others, each by the alphabet.

    The edges to a cell's first node are always there, as it has two sources. Whether another is
    there depends on the pair of sources.
    """
    edges = {c: [f"{DARTS_PREFIX}edge_{c}_{at}" for at in range(14)] for c in CELLS}
    always = [edge for own in edges.values() for edge in own[:2]]
    inputs = [f"{DARTS_PREFIX}inputs_node_{c}_{node}" for c in CELLS for node in (3, 4, 5)]
    others = [edge for own in edges.values() for edge in own[2:]]
    return [*sorted([*FIXED, *always, *inputs]), *sorted(others)]


NAMES = tuple(_order())
PLACES = {name: at for at, name in enumerate(NAMES)}
CONSTANTS = np.array([FIXED.get(name, INACTIVE) for name in NAMES])
