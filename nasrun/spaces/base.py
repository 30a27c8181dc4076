"""What all spaces of independent categorical decisions share."""

import math
from dataclasses import fields, is_dataclass
from functools import cached_property

import numpy as np

from nasrun.errors import ConfigError
from nasrun.spaces.dags import DAG_ENCODINGS
from nasrun.spec import Archs, CountableSpace, Floats, Ints, Mask, SearchSpace, Streams

INT64 = 2**63


def misplaced(what: str, text: str, place: int, why: str) -> ConfigError:
    """The error that shows where in ``text`` an architecture of ``what`` goes wrong."""
    return ConfigError(
        f"not {what} architecture: {why} at character {place + 1}: "
        f"{text[:place]!r} >>> {text[place:]!r}"
    )


def settings(space: SearchSpace) -> dict[str, object]:
    """The fields of a space by name, but for its own name."""
    own = fields(space) if is_dataclass(space) else ()
    return {field.name: getattr(space, field.name) for field in own if field.name != "name"}


class CategoricalSpace(CountableSpace):
    """A product of independent decisions: every combination of options is an architecture."""

    @cached_property
    def _radix(self) -> Ints:
        weights = [math.prod(self.arity[at + 1 :].tolist()) for at in range(len(self.arity))]
        return np.array(weights, np.int64 if self.size < INT64 else object)

    @property
    def size(self) -> int:
        """Number of architectures."""
        return math.prod(self.arity.tolist())

    def index(self, archs: Archs) -> Ints:
        """``(...,)`` mixed-radix number of each architecture; the first decision weighs most.

        In a space that is too large for 64 bits the numbers are Python's own, in an object array.
        """
        return np.asarray(archs) @ self._radix

    def at(self, index: Ints) -> Archs:
        """``(..., L)`` architectures with these numbers."""
        return (np.asarray(index)[..., None] // self._radix % self.arity).astype(np.int64)

    def sample(self, streams: Streams) -> Archs:
        """``(T, L)`` architectures, every decision uniform."""
        return streams.integers(self.arity, len(self.arity))

    def mutate(self, archs: Archs, streams: Streams) -> Archs:
        """``(T, L)`` copies; one decision, picked uniformly among those with a choice, differs."""
        return self.changed(archs, streams)

    def changed(self, archs: Archs, streams: Streams, trials: Ints | None = None) -> Archs:
        """``(n, L)`` copies in which one decision differs, whether they exist or not.

        Drawn from the streams of ``trials (n,)``, by default all.
        """
        free = np.flatnonzero(self.arity > 1)
        if not len(free):
            return archs.copy()  # the space is a single architecture
        decision = free[streams.integers(len(free), rows=trials)[:, 0]]
        return self._change(archs, decision, streams, trials)

    def _change(
        self, archs: Archs, decision: Ints, streams: Streams, trials: Ints | None = None
    ) -> Archs:
        """Give ``decision (n,)`` of each architecture another option, uniformly."""
        rows = np.arange(len(archs))
        step = 1 + streams.integers(self.arity[decision][:, None] - 1, rows=trials)[:, 0]
        changed = archs.copy()
        changed[rows, decision] = (archs[rows, decision] + step) % self.arity[decision]
        return changed

    def neighbours(self, arch: Archs) -> Archs:
        """``(n, L)`` all architectures one decision away, in order of decision and option."""
        changes = [
            (decision, option)
            for decision, options in enumerate(self.decisions)
            for option in range(len(options))
            if option != arch[decision]
        ]
        result = np.repeat(np.asarray(arch)[None], len(changes), axis=0)
        for row, (decision, option) in enumerate(changes):
            result[row, decision] = option
        return result

    def legal(self, prefix: Archs) -> Mask:
        """``(n, options)``: all options, whatever the prefix, because decisions are independent."""
        n, position = prefix.shape
        return np.ones((n, len(self.decisions[position])), dtype=np.bool_)

    def exists(self, archs: Archs) -> Mask:
        """``(n,)`` whether all options are there: every combination is an architecture."""
        return np.all((archs >= 0) & (archs < self.arity), axis=1)

    def crossover(self, a: Archs, b: Archs, streams: Streams) -> Archs:
        """``(T, L)`` children: each decision from ``a`` or ``b (T, L)``, at even odds."""
        return np.where(streams.uniform(a.shape[1]) < 0.5, a, b)

    @property
    def encodings(self) -> tuple[str, ...]:
        """``onehot``, and where architectures are graphs those of graphs."""
        is_graph = type(self).dag is not SearchSpace.dag
        return ("onehot", *DAG_ENCODINGS) if is_graph else ("onehot",)

    def encode(self, archs: Archs, encoding: str | None = None) -> Floats:
        """``(..., features)`` one-hot blocks by decision, or edges and operations of the graph."""
        of_graphs = DAG_ENCODINGS.get(self.require_encoding(encoding))
        if of_graphs is None:
            return self.onehot(archs)
        flat = self.dag(archs.reshape(-1, archs.shape[-1]))
        features = of_graphs(flat, len(self.dag_operations))
        return features.reshape(*archs.shape[:-1], -1)

    def onehot(self, archs: Archs) -> Floats:
        """``(..., sum of options)`` one-hot blocks, one per decision."""
        blocks = [np.eye(n)[archs[..., i]] for i, n in enumerate(self.arity)]
        return np.concatenate(blocks, axis=-1)

    def canonical(self, arch: Archs) -> str:
        """The text itself: no two encodings are known to be the same network."""
        return self.text(arch)
