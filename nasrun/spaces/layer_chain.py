"""What spaces whose networks are a chain of layers have in common."""

from typing import ClassVar

import numpy as np

from nasrun.spaces.base import CategoricalSpace
from nasrun.spaces.dags import line_graph
from nasrun.spec import Archs, Dag, Edges


class LayerChain(CategoricalSpace):
    """A kind of block, or a skip, for each layer; layers may choose from a part of the kinds."""

    kinds: ClassVar[tuple[str, ...]]  # of all layers; the options of a layer are the first of them
    _decisions: ClassVar[tuple[tuple[str, ...], ...]]

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """The kinds of each layer, the first layer first."""
        return self._decisions

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """Input, output and the kinds of layers."""
        return ("input", "output", *self.kinds)

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, L)`` as chains of ``L + 2`` vertices: input, layers, output."""
        layers = np.arange(len(self.decisions))
        return line_graph(layers, layers + 1, 2 + archs, outputs=[len(layers)])

    def graph(self, arch: Archs) -> Edges:
        """The chain of layers."""
        return [(str(at), str(at + 1), self.kinds[kind]) for at, kind in enumerate(arch)]
