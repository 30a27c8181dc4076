"""What a search space is: architectures as sequences of decisions."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.spec.network import Controllers, Scale, Supernet
from nasrun.spec.task import Task
from nasrun.streams import Floats, Ints, Streams

if TYPE_CHECKING:
    from torch import nn

    from nasrun.programs.interpreter import Memory
    from nasrun.programs.program import Program

Archs = NDArray[np.int64]
Mask = NDArray[np.bool_]
Edges = list[tuple[str, str, str]]


class Dag(NamedTuple):
    """``n`` cells as directed acyclic graphs with operations on their vertices.

    ``adjacency (n, V, V)`` has True where an edge leads from row to column, always to a later
    vertex; ``operations (n, V)`` number the operation of each vertex among the space's
    ``dag_operations``, -1 where a graph has fewer than ``V`` vertices.
    """

    adjacency: Mask
    operations: Ints


class Differences(NamedTuple):
    """Of ``n`` genomes from another one, ``(n,)`` each.

    ``unmatched``: genes that only one of the two has; ``weight``: mean difference of the weights of
    genes that both have, 0 if they share none; ``genes`` of the larger one.
    """

    unmatched: Ints
    weight: Floats
    genes: Ints


class Anchors(NamedTuple):
    """Which layer each decision belongs to, and which options mean an earlier layer.

    ``layer (L,)`` counts layers from 1 and never falls. ``points (L, options)`` has the number of
    the layer that an option refers to, below the decision's own; 0 is the input, -1 is no layer.
    Recurrent controllers take decisions that point by attention over the layers before.
    """

    layer: Ints
    points: Ints


class SearchSpace(ABC):
    """A set of architectures, as sequences of ``L`` decisions.

    Not every sequence need be an architecture: ``exists`` says which are. A decision that does not
    exist after those before it has one legal option, 0. What ``sample``, ``mutate``, ``crossover``
    and ``neighbours`` return exists.
    """

    name: str

    @property
    @abstractmethod
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """Option names per decision, ``L`` of them."""

    @cached_property
    def arity(self) -> Ints:
        """``(L,)`` number of options per decision."""
        return np.array([len(options) for options in self.decisions], np.int64)

    @abstractmethod
    def sample(self, streams: Streams) -> Archs:
        """``(T, L)`` architectures, uniform over the decisions in their order."""

    @abstractmethod
    def mutate(self, archs: Archs, streams: Streams) -> Archs:
        """``(T, L)`` copies in which one live decision differs, and what depends on it."""

    @abstractmethod
    def crossover(self, a: Archs, b: Archs, streams: Streams) -> Archs:
        """``(T, L)`` children that take each decision from ``a`` or ``b (T, L)``."""

    @abstractmethod
    def neighbours(self, arch: Archs) -> Archs:
        """``(n, L)`` architectures that differ from ``arch (L,)`` in one live decision.

        Decisions that depend on it are mended, with the first legal option where they must change.
        """

    @abstractmethod
    def legal(self, prefix: Archs) -> Mask:
        """``(n, options)`` options allowed next after ``prefix (n, l)``, ``l < L``.

        What exists is made of legal options. The reverse need not hold in a space that can judge
        whole architectures only (``spaces/constrained.py``): what is drawn by this is asked
        whether it ``exists``.
        """

    def state(self, prefix: Archs) -> Ints:
        """``(n,)`` what the worth of an option depends on after ``prefix (n, l)``, by a number.

        For methods that learn a table of values for each number of decisions before. By default
        the last option, 0 where there is none.
        """
        return prefix[:, -1] if prefix.shape[1] else np.zeros(len(prefix), np.int64)

    @property
    def anchors(self) -> Anchors | None:
        """How decisions refer to layers before them; None: none does."""
        return None

    @abstractmethod
    def exists(self, archs: Archs) -> Mask:
        """``(n,)`` whether each of ``archs (n, L)`` is an architecture of the space."""

    @property
    def limits(self) -> Mapping[str, object]:
        """Settings that decide, besides ``decisions``, which encodings exist."""
        return {}

    @abstractmethod
    def canonical(self, arch: Archs) -> str:
        """Key of ``arch (L,)`` that all encodings of the same network share."""

    def canonical_keys(self, archs: Archs) -> NDArray[Any]:
        """``(n,)`` sortable keys that two of ``archs (n, L)`` share if ``canonical`` is the same.

        Numbers in spaces that compute them for all at once, which tables of many rows are kept by.
        """
        return np.array([self.canonical(arch) for arch in archs])

    @property
    def networks(self) -> int | None:
        """How many different networks the space has; None where nobody has counted them."""
        return None

    @property
    @abstractmethod
    def encodings(self) -> tuple[str, ...]:
        """Names of the numeric encodings; the first one is the default."""

    @property
    def cost_encoding(self) -> str:
        """The encoding in which parameters, FLOPs and latencies are closest to linear."""
        return self.encodings[0]

    @abstractmethod
    def encode(self, archs: Archs, encoding: str | None = None) -> Floats:
        """``(..., features)`` numeric encoding for predictors and policies.

        Raises:
            ConfigError: the space has no such encoding.
        """

    @abstractmethod
    def text(self, arch: Archs) -> str:
        """The published notation of ``arch (L,)``."""

    @abstractmethod
    def parse(self, text: str) -> Archs:
        """``(L,)`` architecture of a text; ConfigError shows where a bad text goes wrong."""

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` parameters in millions and FLOPs in millions; NaN where no formula is known."""
        unknown = np.full(len(archs), np.nan)
        return unknown, unknown

    def graph(self, arch: Archs) -> Edges:
        """Edges ``(from, to, operation)`` of the cell, for drawings."""
        raise UnsupportedError(f"space={self.name} has no cell to draw")

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """Names of what stands on the vertices of ``dag``: input, output, operations."""
        raise UnsupportedError(f"space={self.name} has no cells to take as graphs")

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, L)`` as graphs: the one input of graph kernels and graph networks."""
        raise UnsupportedError(f"space={self.name} has no cells to take as graphs")

    @property
    def dag_says_all(self) -> bool:
        """Whether different networks have different graphs: else predictors take no graphs."""
        return True

    def of_vertices(self, operations: Ints) -> Archs:
        """``(n, L)`` the architectures that have ``operations (n, V)`` on the vertices of ``dag``.

        For methods that write graphs, in spaces where the operations decide. Where no architecture
        has them, any: whoever asks compares its graph.
        """
        raise UnsupportedError(f"space={self.name} cannot take graphs for architectures")

    def differences(self, archs: Archs, other: Archs) -> Differences:
        """How ``archs (n, L)`` differ from ``other (L,)`` by genes, for methods with species."""
        raise UnsupportedError(
            f"space={self.name} has no genes with historical markings: use space=genome"
        )

    def controllers(self, archs: Archs) -> Controllers:
        """Networks of ``archs (n, L)`` that answer inputs step by step, for control tasks."""
        raise UnsupportedError(f"space={self.name} has no controllers: use space=genome")

    def programs(self, archs: Archs) -> "list[Program]":
        """The programs that ``archs (n, L)`` are, for tasks of vectors."""
        raise UnsupportedError(f"space={self.name} has no programs: use space=program")

    @property
    def program_memory(self) -> "Memory":
        """How many scalars, vectors and matrices they have."""
        raise UnsupportedError(f"space={self.name} has no programs: use space=program")

    def forget(self, archs: Archs) -> None:  # noqa: B027 - most spaces keep nothing
        """``archs (n, L)`` will not be asked about again: drop what is kept of them."""

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The network of ``arch (L,)`` for a task: ``(B, C, H, W)`` images to its output."""
        raise UnsupportedError(f"space={self.name} has no network: use evaluator=tabular")

    def supernet(self, task: Task, scale: Scale, *, share: int = 1, track: bool = True) -> Supernet:
        """One network of all architectures, for methods that share weights.

        One channel in ``share`` goes through the operations, the others bypass them. ``track``:
        whether batch normalisation keeps running statistics to judge by.
        """
        raise UnsupportedError(f"space={self.name} has no supernet: use a sample-based algorithm")

    def morph(self, parent: Archs, child: Archs, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Weights of ``child (L,)`` made of those of ``parent (L,)``: a network morphism."""
        raise UnsupportedError(f"space={self.name} cannot hand weights on: use evaluator=training")

    def require_encoding(self, encoding: str | None) -> str:
        """The encoding asked for, or the default one.

        Raises:
            ConfigError: the space has no such encoding.
        """
        if encoding is None:
            return self.encodings[0]
        if encoding not in self.encodings:
            raise ConfigError(
                f"space={self.name} has no encoding {encoding!r}: use one of "
                f"{', '.join(self.encodings)}"
            )
        return encoding


class CountableSpace(SearchSpace):
    """A space whose encodings have numbers."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of encodings, those that do not exist included."""

    @abstractmethod
    def index(self, archs: Archs) -> Ints:
        """``(...,)`` number of each encoding, 0 to ``size - 1``."""

    @abstractmethod
    def at(self, index: Ints) -> Archs:
        """``(..., L)`` encodings with these numbers."""
