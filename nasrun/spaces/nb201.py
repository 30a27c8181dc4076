"""NAS-Bench-201's cell: four nodes, six edges, one of five operations on each (15,625 strings)."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nasrun.errors import ConfigError
from nasrun.spaces.base import CategoricalSpace
from nasrun.spaces.dags import line_graph
from nasrun.spaces.nb201_notation import EDGES, OPERATIONS, read_cell
from nasrun.spaces.skeleton import conv, head, in_millions, residual
from nasrun.spec import Archs, Dag, Edges, Floats, Ints, Scale, Streams, Supernet, Task

if TYPE_CHECKING:
    from torch import nn

# Decisions along each path from node 0 to node 3, shortest first.
PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))
SHORT_PATHS = 30  # features of the paths of at most two operations, which come first
WIDTHS = (16, 32, 64)  # channels of the three stages; [A] models/cell_infers/tiny_network.py
CELLS = 5  # cells per stage
ZERO = "#"
# Each edge's options in the official notation: a run writes ten thousand cells.
TEXTS = [[f"{name}~{source}|" for name in OPERATIONS] for _, source in EDGES]


class Mutation(Enum):
    """Which edges a mutation changes."""

    edge = "edge"  # uniform over the six edges
    node = "node"  # a node first, then one of its edges: edge 1<-0 gets 1/3, node-3 edges 1/9
    adjacency = "adjacency"  # each with 1/6, but at least one


class Encoding(Enum):
    """What ``encode`` returns."""

    onehot = "onehot"  # 30 features: operation by edge
    path = "path"  # 155 features: which sequences of operations lead from input to output
    truncated_path = "truncated_path"  # 30 features: the first of them, one or two operations
    adjacency = "adjacency"  # 84 features: edges and operations of ``dag``
    categorical = "categorical"  # 36 features: numbers of edges and operations of ``dag``
    continuous = "continuous"  # 85 features: adjacency and the number of edges


@dataclass
class NB201(CategoricalSpace):
    """The topology space of NAS-Bench-201 (Dong and Yang, ICLR 2020) and NATS-Bench (tss).

    ``mutation=node`` is the rule of the authors' regularised evolution script, which changes the
    edges of early nodes more often than those of late ones; ``edge`` is uniform; ``adjacency`` is
    how White et al. (NeurIPS 2020) perturb the encoding of that name ([Z] ``mutations.py``), save
    that a child which equals its parent is drawn again.
    """

    name: str = "nb201"
    mutation: Mutation = Mutation.edge
    encoding: Encoding = Encoding.onehot

    _decisions: ClassVar[tuple[tuple[str, ...], ...]] = (OPERATIONS,) * len(EDGES)

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """The five operations, for each of the edges 1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2."""
        return self._decisions

    def mutate(self, archs: Archs, streams: Streams) -> Archs:
        """``(T, 6)`` copies in which one edge or more have another operation."""
        if self.mutation is Mutation.edge:
            return super().mutate(archs, streams)
        if self.mutation is Mutation.adjacency:
            return self._perturbed(archs, streams)
        node = 1 + streams.integers(3)[:, 0]
        edge = node * (node - 1) // 2 + streams.integers(node[:, None])[:, 0]
        return self._change(archs, edge, streams)

    def _perturbed(self, archs: Archs, streams: Streams) -> Archs:
        """``(T, 6)`` copies in which each edge has another operation with 1/6, some edge at all."""
        children, waiting = archs.copy(), np.arange(len(archs))
        while len(waiting):
            whether, which = np.split(streams.uniform(2 * len(EDGES), waiting), 2, axis=1)
            step = 1 + (which * (len(OPERATIONS) - 1)).astype(np.int64)
            step[whether >= 1 / len(EDGES)] = 0
            children[waiting] = (archs[waiting] + step) % len(OPERATIONS)
            waiting = waiting[~step.any(axis=1)]
        return children

    @property
    def encodings(self) -> tuple[str, ...]:
        """One-hot blocks, paths and graphs; the configured one comes first."""
        return tuple(sorted((each.value for each in Encoding), key=self.encoding.value.__ne__))

    def encode(self, archs: Archs, encoding: str | None = None) -> Floats:
        """``(..., 30)`` one-hot blocks by edge, ``(..., 155)`` paths, or the graph.

        Truncated paths are those of one or two operations, ``(..., 30)``.
        """
        name = self.require_encoding(encoding)
        if name == Encoding.truncated_path.value:
            return self._paths(archs)[..., :SHORT_PATHS]
        return self._paths(archs) if name == Encoding.path.value else super().encode(archs, name)

    def _paths(self, archs: Archs) -> Floats:
        """``(..., 155)`` path indicators.

        Path encoding is that of White et al., "BANANAS" (AAAI 2021, section 3), as the authors
        apply it to this space: one feature for each sequence of one, two or three operations
        (5 + 25 + 125), 1 where some path from node 0 to node 3 carries that sequence. The two
        paths of two edges share their 25 features, and ``none`` counts as an operation like the
        others. Within a length, sequences are in base-5 order, the operation next to the input
        weighing most.
        """
        options = len(OPERATIONS)
        features = np.zeros((*archs.shape[:-1], sum(options**n for n in (1, 2, 3))))
        for path in PATHS:
            place = np.asarray(archs)[..., list(path)] @ options ** np.arange(len(path))[::-1]
            first = sum(options**n for n in range(1, len(path)))
            np.put_along_axis(features, (first + place)[..., None], 1.0, axis=-1)
        return features

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """Input, output and the five operations."""
        return ("input", "output", *OPERATIONS)

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, 6)`` as graphs of eight vertices: input, the six edges in order, output.

        All cells have the same ten edges, from each operation to those that read its sum; an edge
        with ``none`` keeps its vertex. MetaD2A's authors use the same vertices and types
        ([MC] ``nasbench201.pt``), but join them into a chain from input to output, next to which
        only the edges 1->3, 1->5, 2->6 and 3->6 are drawn.
        """
        targets, sources = np.array(EDGES).T
        return line_graph(sources, targets, 2 + archs, outputs=[3])

    def of_vertices(self, operations: Ints) -> Archs:
        """``(n, 6)`` the cells with ``operations (n, 8)``, of which the first and last are ends."""
        return np.clip(operations[:, 1:-1] - 2, 0, len(OPERATIONS) - 1)

    def canonical(self, arch: Archs) -> str:
        """Key of ``arch (6,)`` that the strings of one cell share: 6,466 keys for 15,625 strings.

        The key writes node 3 as an expression of the input ``0``, by the benchmark's own notion
        of a unique cell ([A] ``cell_searchs/genotypes.py``, ``to_unique_str``):

        - ``none``, and any operation on a node that is zero, is zero: ``#``;
        - ``skip_connect`` is the node it comes from;
        - any other operation is ``(node)@operation``;
        - a node is the sum of its incoming edges, in whatever order;
        - so an edge into a dead end (a node that is never used) leaves no trace in node 3.

        This is not the finest true statement about networks. It merges more than it may: a
        convolution of a zero node counts as zero, though its batch normalisation can learn a
        bias. And it keeps apart what is the same: a zero summand stays in its sum (``#+x`` is not
        ``x``, and a node ``#+#`` is not a zero node), and the sum of a skipped node is sorted as
        one term instead of term by term. Dropping zeros and sorting all terms alike would leave
        4,930 keys. The published count and grouping are kept because papers report them.
        """
        nodes = ["0"]
        sums: list[list[str]] = [[], [], []]
        for option, (node, source) in zip(arch, EDGES, strict=True):
            sums[node - 1].append(_term(OPERATIONS[option], nodes[source]))
            if source == node - 1:
                nodes.append("+".join(sorted(sums[node - 1])))
        return nodes[-1]

    def text(self, arch: Archs) -> str:
        """Official string: ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
        parts = [texts[option] for option, texts in zip(arch.tolist(), TEXTS, strict=True)]
        return f"|{parts[0]}+|{parts[1]}{parts[2]}+|{parts[3]}{parts[4]}{parts[5]}"

    def parse(self, text: str) -> Archs:
        """``(6,)`` architecture of an official string, or of another notation of the field.

        ``nb201_notation.read_cell`` lists them; white space around is passed over.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        return np.array(read_cell(text), np.int64)

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` exact parameters and FLOPs in millions of the network that was trained.

        Both equal the ``params`` and ``flop`` fields of the official records to the last digit.
        Some tables in circulation give ImageNet16-120 0.00024 M FLOPs less than the records do.
        """
        ones, threes = (archs == 2).sum(-1), (archs == 3).sum(-1)
        stages = [task.image_px, task.image_px // 2, task.image_px // 4]
        fixed = conv(3, 3, WIDTHS[0], stages[0]) + head(WIDTHS[-1], task.classes)
        for c_in, c_out, px in zip(WIDTHS, WIDTHS[1:], stages[1:], strict=False):
            fixed = fixed + residual(c_in, c_out, px)
        cost = np.repeat(fixed[:, None], len(archs), axis=1)
        for width, px in zip(WIDTHS, stages, strict=True):
            cost += CELLS * np.outer(conv(1, width, width, px), ones)
            cost += CELLS * np.outer(conv(3, width, width, px), threes)
        return in_millions(cost)

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The benchmark's network of ``arch (6,)``: 16 channels and 5 cells a stage by default."""
        from nasrun.nets.classification import objective_of
        from nasrun.nets.nb201 import Cell, Skeleton, topology_stages

        edges = self.graph(arch)
        stages = topology_stages(scale.channels or WIDTHS[0], scale.cells or CELLS)
        return Skeleton(lambda c_in, c_out: Cell(edges, c_in, c_out), stages, objective_of(task))

    def supernet(self, task: Task, scale: Scale, *, share: int = 1, track: bool = True) -> Supernet:
        """All operations on all edges; 16 channels and 5 cells a stage by default.

        Raises:
            ConfigError: channels that cannot be shared out.
        """
        from nasrun.nets.classification import objective_of
        from nasrun.nets.nb201_supernet import NB201Supernet

        channels, cells = scale.channels or WIDTHS[0], scale.cells or CELLS
        if channels % share:
            raise ConfigError(
                f"this algorithm gives one channel in {share} to the operations: set "
                f"scale.channels to a multiple of it, not {channels}"
            )
        return NB201Supernet(OPERATIONS, channels, cells, objective_of(task), share, track)

    def graph(self, arch: Archs) -> Edges:
        """The six edges, ``none`` included."""
        return [
            (str(src), str(dst), OPERATIONS[o]) for o, (dst, src) in zip(arch, EDGES, strict=True)
        ]


def _term(operation: str, node: str) -> str:
    """What an edge adds to the node it leads to."""
    if operation == "none" or node == ZERO:
        return ZERO
    return node if operation == "skip_connect" else f"({node})@{operation}"
