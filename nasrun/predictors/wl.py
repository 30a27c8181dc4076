"""NASBOWL: a Gaussian process with a Weisfeiler-Lehman kernel on pruned graphs."""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from nasrun.predictors.base import Targets, scaled
from nasrun.predictors.gaussian import Posterior, chosen, posterior
from nasrun.predictors.graphs import Graphs, Pruned, Pruning
from nasrun.ranges import require_at_least, require_positive
from nasrun.spec import (
    Archs,
    Floats,
    Inputs,
    Ints,
    Mask,
    Model,
    Prediction,
    Predictor,
    SearchSpace,
    Streams,
)

NOBODY = -1  # the label of a place that a smaller graph has no vertex for


class Counting(Enum):
    """How the labels of two graphs are compared."""

    product = "product"  # the sum over labels of the product of their counts (WL subtree kernel)
    assignment = "assignment"  # of the smaller count: the best assignment (WL optimal assignment)


@dataclass
class WeisfeilerLehman(Predictor):
    """A Gaussian process on graphs that are alike where their neighbourhoods are.

    Ru et al., "Interpretable Neural Architecture Search via Bayesian Optimisation with
    Weisfeiler-Lehman Kernels" (ICLR 2021), section 3; kernels of Shervashidze et al. (JMLR 2011)
    and Kriege et al. (NeurIPS 2016). Every vertex has the label of its operation; ``h`` times it
    gets a new one, of its own and those of the vertices that lead to it. The kernel counts labels
    that two graphs share, over all rounds, and is scaled to 1 of a graph with itself.

    Departures: rounds and noise are those of the highest marginal likelihood among
    ``rounds_of_labels`` and ``noises``, where the authors take 20 steps of Adam for the noise; the
    deviation predicted is the function's (theirs: with the noise).

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = "wl"
    targets: Targets = Targets.log_error
    counting: Counting = Counting.product
    rounds_of_labels: list[int] = field(default_factory=lambda: [1, 2, 3])
    noises: list[float] = field(default_factory=lambda: [1e-5, 1e-4, 1e-3, 1e-2])

    def __post_init__(self) -> None:
        require_at_least(self, "predictor", 0, "rounds_of_labels")
        require_positive(self, "predictor", "noises")

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "Kernelised":
        """A process a trial."""
        return Kernelised(self, Labels(space, max(self.rounds_of_labels), self.counting))


class Labels:
    """Labels of graphs, round by round, as numbers that all graphs of a space share.

    Args:
        space: of the architectures.
        rounds: of labels after the first ones.
        counting: ``assignment`` tells a label's first vertex from its second, so that equal numbers
            are shared counts.
    """

    def __init__(self, space: SearchSpace, rounds: int, counting: Counting) -> None:
        self._graphs, self._rounds, self._counting = Graphs(space), rounds, counting
        self._pruned = Pruning(self._graphs.names)
        self._numbers: dict[object, int] = {}
        self._by_arch: dict[bytes, Ints] = {}

    def __call__(self, archs: Archs) -> Ints:
        """``(T, N, rounds + 1, V)`` labels of ``archs (T, N, L)``."""
        flat = np.ascontiguousarray(archs.reshape(-1, archs.shape[-1]))
        keys = [arch.tobytes() for arch in flat]
        new = {key: at for at, key in enumerate(keys) if key not in self._by_arch}
        if new:
            adjacency, operations = self._graphs(flat[list(new.values())])
            for key, edges, own in zip(new, adjacency, operations, strict=True):
                self._by_arch[key] = self._of(self._pruned(edges, own), len(own))
        found = np.stack([self._by_arch[key] for key in keys])
        return found.reshape(*archs.shape[:2], *found.shape[1:])

    def _of(self, graph: Pruned, places: int) -> Ints:
        """``(rounds + 1, places)`` labels of a graph."""
        labels = graph.labels.tolist()
        before = [np.flatnonzero(column).tolist() for column in graph.adjacency.T]
        found = np.full((self._rounds + 1, places), NOBODY, np.int64)
        for number in range(self._rounds + 1):
            if number:
                around = [tuple(sorted(labels[at] for at in own)) for own in before]
                pairs = zip(labels, around, strict=True)
                labels = [self._number((number, *pair)) for pair in pairs]
            else:
                labels = [self._number((number, label)) for label in labels]
            found[number, : len(labels)] = self._told_apart(labels)
        return found

    def _told_apart(self, labels: list[int]) -> list[int]:
        if self._counting is Counting.product:
            return labels
        return [self._number((label, labels[:at].count(label))) for at, label in enumerate(labels)]

    def _number(self, key: object) -> int:
        return self._numbers.setdefault(key, len(self._numbers))


def shared(a: Ints, b: Ints) -> Ints:
    """``(rounds + 1, T, N, M)`` pairs of equal labels in ``a (T, N, ...)`` and ``b (T, M, ...)``.

    Summed over the rounds up to each.
    """
    rounds, places = a.shape[2:]
    total = np.zeros((rounds, len(a), a.shape[1], b.shape[1]), np.int32)
    for number in range(rounds):
        for i in range(places):
            own = np.where(a[:, :, number, i] == NOBODY, NOBODY - 1, a[:, :, number, i])
            for j in range(places):
                total[number] += own[:, :, None] == b[:, None, :, number, j]
    return np.cumsum(total, axis=0, dtype=np.int64)


def _with_themselves(labels: Ints) -> Ints:
    """``(rounds + 1, T, N)`` what ``shared`` gives for each graph of ``labels`` with itself."""
    same = labels[..., :, None] == labels[..., None, :]
    same &= (labels != NOBODY)[..., None]
    return np.cumsum(np.moveaxis(same.sum(axis=(3, 4)), 2, 0), axis=0)


class Kernelised(Model):
    """Gaussian processes on graphs."""

    def __init__(self, settings: WeisfeilerLehman, labels: Labels) -> None:
        self._settings, self._labels = settings, labels

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Choose rounds and noise of each trial."""
        own = self._settings
        z, self._scale = scaled(y, mask, own.targets)
        self._known = self._labels(inputs.archs)
        self._sizes = _with_themselves(self._known)
        every = shared(self._known, self._known)
        highest = np.full(len(y), -np.inf)
        self._posterior: Posterior | None = None
        self._rounds = np.zeros(len(y), np.int64)
        for rounds in own.rounds_of_labels:
            root = np.sqrt(self._sizes[rounds])
            kernel = every[rounds] / (root[:, :, None] * root[:, None, :])
            for noise in own.noises:
                found = posterior(kernel, np.full(len(y), noise), z, mask)
                better = found.log_likelihood > highest
                highest = np.where(better, found.log_likelihood, highest)
                self._rounds = np.where(better, rounds, self._rounds)
                self._posterior = chosen(better, found, self._posterior)

    def predict(self, inputs: Inputs) -> Prediction:
        """Mean and standard deviation of the function."""
        assert self._posterior is not None
        asked, trials = self._labels(inputs.archs), np.arange(len(self._rounds))
        sizes = _with_themselves(asked)[self._rounds, trials]
        known = self._sizes[self._rounds, trials]
        both = shared(self._known, asked)[self._rounds, trials]
        between = both / np.sqrt(known[:, :, None] * sizes[:, None, :])
        mean, sd = self._posterior.predict(between, np.ones(sizes.shape))
        return Prediction(self._scale.restored(mean), sd * self._scale.spread, self._scale.best)
