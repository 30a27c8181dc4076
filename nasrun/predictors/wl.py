"""NASBOWL: a Gaussian process with a Weisfeiler-Lehman kernel on pruned graphs."""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from nasrun.predictors.base import Targets, scaled
from nasrun.predictors.gaussian import Posterior, chosen, posterior
from nasrun.predictors.graphs import Graphs, Pruned, Pruning
from nasrun.ranges import require_at_least, require_positive, require_some
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
        require_some(self, "predictor", "rounds_of_labels", "noises")
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
        self._numbers: dict[bytes, int] = {}
        self._told_apart: dict[bytes, int] = {}
        self._places: dict[bytes, int] = {}  # of architectures in ``_found``
        self._found: Ints | None = None

    def __call__(self, archs: Archs) -> Ints:
        """``(T, N, rounds + 1, V)`` labels of ``archs (T, N, L)``."""
        flat = np.ascontiguousarray(archs.reshape(-1, archs.shape[-1]))
        keys, known = _bytes(flat), self._places
        new = {key: at for at, key in enumerate(keys) if key not in known}
        if new:
            found = self._of(self._pruned(*self._graphs(flat[list(new.values())])))
            known.update(zip(new, range(len(known), len(known) + len(new)), strict=True))
            self._found = found if self._found is None else np.concatenate([self._found, found])
        assert self._found is not None
        found = self._found[[known[key] for key in keys]]
        return found.reshape(*archs.shape[:2], *found.shape[1:])

    def _of(self, graphs: Pruned) -> Ints:
        """``(n, rounds + 1, V)`` labels of graphs."""
        labels, found = graphs.labels, []
        leads_here = graphs.adjacency.transpose(0, 2, 1)
        for number in range(self._rounds + 1):
            if number:
                before = np.sort(np.where(leads_here, labels[:, None], NOBODY), axis=2)
                own = np.concatenate([labels[:, :, None], before], axis=2)
            else:
                own = labels[:, :, None]
            labels = _numbered(own, self._numbers, graphs.labels, number)
            told = labels
            if self._counting is Counting.assignment:
                told = _numbered(_counted(labels), self._told_apart, graphs.labels)
            found.append(told)
        return np.stack(found, axis=1)


def _bytes(rows: Ints) -> list[bytes]:
    """Each of ``rows (n, W)``."""
    return [row.tobytes() for row in rows]


def _numbered(rows: Ints, numbers: dict[bytes, int], present: Ints, number: int = 0) -> Ints:
    """``(n, V)`` what ``rows (n, V, W)`` are called in ``numbers``, which grows.

    Args:
        rows: what is to have a number.
        numbers: those given so far.
        present: ``(n, V)``, NOBODY where no number is wanted.
        number: of the round, whose rows are no other's.
    """
    here = present != NOBODY
    own = np.pad(rows[here], ((0, 0), (1, 0)), constant_values=number)
    found = np.full(here.shape, NOBODY, np.int64)
    found[here] = [numbers.setdefault(key, len(numbers)) for key in _bytes(own)]
    return found


def _counted(labels: Ints) -> Ints:
    """``(n, V, 2)`` labels, and how many of a vertex's own stand before it."""
    same = labels[:, :, None] == labels[:, None, :]
    return np.stack([labels, np.tril(same, -1).sum(axis=2)], axis=2)


def shared(a: Ints, b: Ints) -> NDArray[np.int32]:
    """``(rounds + 1, T, N, M)`` pairs of equal labels in ``a (T, N, ...)`` and ``b (T, M, ...)``.

    Summed over the rounds up to each.
    """
    ours, theirs = _by_place(np.where(a == NOBODY, NOBODY - 1, a)), _by_place(b)
    rounds, places = ours.shape[:2]
    counts = np.uint8 if places**2 <= np.iinfo(np.uint8).max else np.int32
    total = np.zeros((rounds, len(a), a.shape[1], b.shape[1]), counts)
    for number in range(rounds):
        for own in ours[number]:
            for other in theirs[number]:
                total[number] += own[:, :, None] == other[:, None, :]
    return np.cumsum(total, axis=0, dtype=np.int32)


def _by_place(labels: Ints) -> NDArray[np.int32]:
    """``(rounds + 1, V, T, N)`` of ``labels (T, N, rounds + 1, V)``.

    In half the bits: comparing them is most of a search's time.
    """
    return np.ascontiguousarray(labels.transpose(2, 3, 0, 1), np.int32)


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
