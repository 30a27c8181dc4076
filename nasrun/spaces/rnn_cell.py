"""ENAS's space of recurrent cells."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nasrun.ranges import require_at_least
from nasrun.spaces.base import CategoricalSpace
from nasrun.spaces.dags import line_graph
from nasrun.spaces.notation import Scanner
from nasrun.spaces.recurrent import require_units
from nasrun.spec import Anchors, Archs, Dag, Edges, Scale, Supernet, Task

if TYPE_CHECKING:
    from torch import nn

ACTIVATIONS = ("tanh", "relu", "sigmoid", "identity")  # by number, as in enas_lm


@dataclass
class RNNCell(CategoricalSpace):
    """``nodes`` nodes, each of which reads an earlier one through an activation.

    Pham et al., "Efficient Neural Architecture Search via Parameter Sharing" (ICML 2018), section
    2.1, as the authors' later ``enas_lm`` has it: node 0 is the input node, the text is a node's
    source and activation, node by node, as in their published cell ``0 2 1 0 2 1 2 2 4 0 5 0 3 2 6
    2`` of 8 nodes.

    Raises:
        ConfigError: a count below 1.
    """

    name: str = "rnn_cell"
    nodes: int = 8
    hidden: int = 200

    def __post_init__(self) -> None:
        require_at_least(self, "space", 1, "nodes", "hidden")

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """The node that each node reads, and its activation."""
        return self._decisions

    @cached_property
    def _decisions(self) -> tuple[tuple[str, ...], ...]:
        sources = [tuple(map(str, range(node))) for node in range(1, self.nodes + 1)]
        return tuple(options for own in sources for options in (own, ACTIVATIONS))

    @property
    def anchors(self) -> Anchors:
        """Nodes are layers, and what a node reads points to one."""
        layer = np.repeat(np.arange(1, self.nodes + 1), 2)
        points = np.full((2 * self.nodes, int(self.arity.max())), -1)
        for node in range(1, self.nodes + 1):
            points[2 * node - 2, :node] = np.arange(node)
        return Anchors(layer, points)

    def text(self, arch: Archs) -> str:
        """As published: numbers."""
        return " ".join(map(str, arch.tolist()))

    def parse(self, text: str) -> Archs:
        """``(L,)`` architecture of a text.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        scanner = Scanner("an rnn_cell", text)
        found = [
            scanner.number(len(options), "a node" if at % 2 == 0 else "an activation")
            for at, options in enumerate(self.decisions)
        ]
        scanner.end("list")
        return np.array(found, np.int64)

    def nodes_of(self, arch: Archs) -> list[tuple[int, str]]:
        """Source and activation of each node."""
        pairs = zip(arch[::2].tolist(), arch[1::2].tolist(), strict=True)
        return [(source, ACTIVATIONS[function]) for source, function in pairs]

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """Input (the input node), output (the mean), and activations.

        Each has weights and a gate, ``identity``, too, which is no connection that skips.
        """
        return ("input", "output", *(f"gated_{name}" for name in ACTIVATIONS))

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, L)`` as graphs: the input node, nodes, and the mean of all of them."""
        targets = np.arange(1, self.nodes + 1)
        return line_graph(archs[:, ::2], targets, 2 + archs[:, 1::2], outputs=targets.tolist())

    def graph(self, arch: Archs) -> Edges:
        """Input and state lead to node 0, nodes to each other, and all but it to the next state."""
        edges = [("x", "0", "tanh"), ("h", "0", "tanh")]
        for node, (source, function) in enumerate(self.nodes_of(arch), 1):
            edges.append((str(source), str(node), function))
        return edges + [(str(node), "h'", "mean") for node in range(1, self.nodes + 1)]

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The language model of ``arch (L,)``; ``scale.channels`` are its units.

        Raises:
            UnsupportedError: a task that is no text, or a number of cells.
        """
        from nasrun.nets.language import LanguageNetwork, vocabulary_of
        from nasrun.nets.recurrent import GraphCell

        vocabulary = vocabulary_of(task, self.name)
        hidden = require_units(self, scale)
        return LanguageNetwork(GraphCell(self.nodes_of(arch), hidden), hidden, vocabulary)

    def supernet(self, task: Task, scale: Scale, *, share: int = 1, track: bool = True) -> Supernet:
        """A language model that holds every cell.

        Raises:
            UnsupportedError: a task that is no text, or a number of cells.
        """
        from nasrun.nets.language import vocabulary_of
        from nasrun.nets.language_supernet import SharedLanguageNetwork

        vocabulary = vocabulary_of(task, self.name)
        hidden = require_units(self, scale)
        return SharedLanguageNetwork(self.decisions, ACTIVATIONS, hidden, vocabulary)
