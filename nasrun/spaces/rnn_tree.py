"""NAS-RL's space of recurrent cells: trees."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nasrun.errors import ConfigError
from nasrun.ranges import require_at_least
from nasrun.spaces.base import CategoricalSpace
from nasrun.spaces.notation import Scanner
from nasrun.spaces.recurrent import require_units
from nasrun.spec import Archs, Edges, Scale, Task

if TYPE_CHECKING:
    from torch import nn

COMBINATIONS = ("add", "mul")
ACTIVATIONS = ("identity", "tanh", "sigmoid", "relu")


@dataclass
class RNNTree(CategoricalSpace):
    """A binary tree of ``base`` leaves over input and state, and a memory.

    Zoph and Le, "Neural Architecture Search with Reinforcement Learning" (ICLR 2017), section 3.4:
    every node combines two vectors (a leaf those linear in input and state, another node its two
    children) and applies an activation; the root is the next state. The old memory is combined with
    the output of one node, and another node's value before its activation is the new memory.

    Decisions are combination and activation of the nodes, leaves first, then level by level; of the
    memory; the node that the memory enters and the node that it is taken from. Both may be any
    node, as the size which the paper states (6e16 for base 8) tells. The text of the paper's
    example, base 2, is ``[add.tanh mul.relu mul.sigmoid; add.relu 0 1]``.

    Raises:
        ConfigError: a base that is no power of two above 1, or no units.
    """

    name: str = "rnn_tree"
    base: int = 8
    hidden: int = 200

    def __post_init__(self) -> None:
        require_at_least(self, "space", 1, "hidden")
        require_at_least(self, "space", 2, "base")
        if self.base & (self.base - 1):
            raise ConfigError(f"space.base must be a power of two, got {self.base}")

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """Nodes, memory, places."""
        return self._decisions

    @cached_property
    def _decisions(self) -> tuple[tuple[str, ...], ...]:
        nodes = 2 * self.base - 1
        return (COMBINATIONS, ACTIVATIONS) * (nodes + 1) + (tuple(map(str, range(nodes))),) * 2

    def nodes_of(self, arch: Archs) -> list[tuple[str, str]]:
        """Combination and activation of each node, and of the memory last."""
        pairs = arch[:-2].reshape(-1, 2).tolist()
        return [(COMBINATIONS[one], ACTIVATIONS[other]) for one, other in pairs]

    def text(self, arch: Archs) -> str:
        """Such as ``[add.tanh mul.relu mul.sigmoid; add.relu 0 1]``."""
        *nodes, memory = map(".".join, self.nodes_of(arch))
        return f"[{' '.join(nodes)}; {memory} {arch[-2]} {arch[-1]}]"

    def parse(self, text: str) -> Archs:
        """``(L,)`` architecture of a text.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        scanner, arch, nodes = Scanner("an rnn_tree", text), list[int](), 2 * self.base - 1
        scanner.expect("[")
        for node in range(nodes + 1):
            if node == nodes:
                scanner.expect(";")
            scanner.blanks()
            arch.append(scanner.operation(COMBINATIONS, "."))
            scanner.exactly(".")
            arch.append(_activation(scanner))
        arch += [scanner.number(nodes, "a node") for _ in range(2)]
        scanner.expect("]")
        scanner.end("list")
        return np.array(arch, np.int64)

    def graph(self, arch: Archs) -> Edges:
        """The tree: input and state, leaves, and the root, with the memory's ways in and out."""
        *nodes, memory = map(".".join, self.nodes_of(arch))
        edges = [(end, str(at), nodes[at]) for at in range(self.base) for end in ("x", "h")]
        for at in range(self.base, len(nodes)):
            first = 2 * (at - self.base)
            edges += [(str(child), str(at), nodes[at]) for child in (first, first + 1)]
        edges.append(("c", str(arch[-2]), memory))
        return [
            *edges,
            (str(arch[-1]), "c'", "before activation"),
            (str(len(nodes) - 1), "h'", "identity"),
        ]

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The language model of ``arch (L,)``; ``scale.channels`` are its units.

        Raises:
            UnsupportedError: a task that is no text, or a number of cells.
        """
        from nasrun.nets.language import LanguageNetwork, vocabulary_of
        from nasrun.nets.recurrent import TreeCell

        vocabulary = vocabulary_of(task, self.name)
        hidden = require_units(self, scale)
        *nodes, memory = self.nodes_of(arch)
        cell = TreeCell(nodes, memory, int(arch[-2]), int(arch[-1]), hidden)
        return LanguageNetwork(cell, hidden, vocabulary)


def _activation(scanner: Scanner) -> int:
    """Read the name of an activation; returns its number."""
    for number, name in enumerate(ACTIVATIONS):
        if scanner.accept(name):
            return number
    raise scanner.bad(f"expected one of {', '.join(ACTIVATIONS)}")
