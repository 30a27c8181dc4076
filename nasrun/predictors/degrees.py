"""A Gaussian process on a graph's degrees and operations: naszilla's NASBOT."""

from dataclasses import dataclass, field

import numpy as np

from nasrun.errors import ConfigError
from nasrun.predictors.gp import GaussianProcess, Kernel, Process
from nasrun.predictors.graphs import Graphs
from nasrun.spec import Floats, Inputs, SearchSpace, Streams


@dataclass
class DegreeProcess(GaussianProcess):
    """The distance of two cells is that of their sorted degrees and of their operations' counts.

    White et al.'s naszilla (``distances.py``) stands it in for the optimal transport of Kandasamy
    et al., "Neural Architecture Search with Bayesian Optimisation and Optimal Transport" (NeurIPS
    2018): sums of absolute differences of sorted in-degrees, of sorted out-degrees, and of how
    often each operation occurs. In spaces whose edges never differ (NAS-Bench-201), naszilla adds
    Hamming's distance, which is ``predictor=gp_distance`` here.

    Raises:
        ConfigError: an encoding, which nothing would read, or a field out of its range.
    """

    name: str = "degrees"
    encodings: list[str] = field(default_factory=list[str])
    kernel: Kernel = Kernel.laplace
    variance: float = 2.25
    length: float = 3.0
    noise: float = 1e-5
    steps: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encodings:
            raise ConfigError(
                f"predictor=degrees reads graphs, not encodings such as {self.encodings[0]}: set "
                "predictor.encodings=[], or use predictor=gp_distance"
            )

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> Process:
        """A process a trial."""
        return Process(self, Degrees(space))


class Degrees:
    """Graphs as degrees and counts.

    Args:
        space: of the architectures.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._graphs = Graphs(space)

    def __call__(self, inputs: Inputs) -> Floats:
        """``(T, N, 2 V + operations)`` features."""
        trials, count, length = inputs.archs.shape
        adjacency, operations = self._graphs(inputs.archs.reshape(-1, length))
        names = np.arange(len(self._graphs.names))
        parts = [
            np.sort(adjacency.sum(axis=1), axis=1),
            np.sort(adjacency.sum(axis=2), axis=1),
            (operations[:, :, None] == names).sum(axis=1),
        ]
        return np.concatenate(parts, axis=1).reshape(trials, count, -1).astype(np.float64)
