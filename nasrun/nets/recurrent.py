"""Recurrent cells: NAS-RL's trees and ENAS's graphs, whose weights may be shared."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}
COMBINATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"add": torch.add, "mul": torch.mul}


class Cell(nn.Module):
    """A recurrent cell: ``forward(x, state)`` gives the next state.

    ``x (B, hidden)`` is an input; a state has ``parts`` vectors ``(B, hidden)``, h the first.
    """

    parts: ClassVar[int] = 1


class Highway(nn.Module):
    """``s + sigmoid(t) (f(h) - s)`` with ``h, t`` linear in what is read.

    Args:
        inputs: units of what is read.
        hidden: units of ``s``.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, 2 * hidden, bias=False)

    def forward(self, read: Tensor, s: Tensor, activation: str) -> Tensor:
        """``(B, hidden)``."""
        h, t = self.linear(read).chunk(2, dim=1)
        return s + torch.sigmoid(t) * (ACTIVATIONS[activation](h) - s)


class GraphCell(Cell):
    """ENAS's cell: nodes that each read an earlier one, and the mean of all but the first.

    Pham et al., "Efficient Neural Architecture Search via Parameter Sharing" (ICML 2018), section
    2.1, with the highway connections of the authors' ``enas_lm``: the first node reads input and
    state, with a tanh.

    Args:
        nodes: which earlier node each reads, and its activation.
        hidden: units.
    """

    def __init__(self, nodes: Sequence[tuple[int, str]], hidden: int) -> None:
        super().__init__()
        self._nodes = nodes
        self.first = Highway(2 * hidden, hidden)
        self.layers = nn.ModuleList(Highway(hidden, hidden) for _ in nodes)

    def forward(self, x: Tensor, state: Sequence[Tensor]) -> list[Tensor]:
        """The next state of ``x (B, hidden)``."""
        return [walked(x, state[0], self.first, self.layers, self._nodes)]


def walked(
    x: Tensor,
    h: Tensor,
    first: nn.Module,
    layers: Sequence[nn.Module] | nn.ModuleList,
    nodes: Sequence[tuple[int, str]],
) -> Tensor:
    """``(B, hidden)`` the next state, by the weights of each of ``nodes``."""
    made = [first(torch.cat([x, h], dim=1), h, "tanh")]
    for layer, (source, activation) in zip(layers, nodes, strict=True):
        made.append(layer(made[source], made[source], activation))
    return torch.stack(made[1:]).mean(dim=0)


class SharedGraphCell(Cell):
    """All cells of so many nodes: weights for every node, node that it reads, and activation.

    Args:
        nodes: number of nodes.
        activations: by their numbers.
        hidden: units.
    """

    def __init__(self, nodes: int, activations: Sequence[str], hidden: int) -> None:
        super().__init__()
        self._activations = activations
        self.first = Highway(2 * hidden, hidden)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                nn.ModuleList(Highway(hidden, hidden) for _ in activations) for _ in range(node + 1)
            )
            for node in range(nodes)
        )
        self.choose([0] * (2 * nodes))

    def choose(self, options: Sequence[int]) -> None:
        """Compute the cell of these ``options (2 nodes,)`` from now on."""
        self._options = options

    def forward(self, x: Tensor, state: Sequence[Tensor]) -> list[Tensor]:
        """The next state of ``x (B, hidden)``, by the weights of the chosen cell."""
        chosen: list[nn.Module] = []
        nodes: list[tuple[int, str]] = []
        for layer, source, function in zip(
            self.layers, self._options[::2], self._options[1::2], strict=True
        ):
            of_source: nn.ModuleList = layer[source]  # pyright: ignore
            chosen.append(of_source[function])
            nodes.append((source, self._activations[function]))
        return [walked(x, state[0], self.first, chosen, nodes)]


class TreeCell(Cell):
    """NAS-RL's cell: a tree whose leaves read input and state, with a memory beside it.

    Zoph and Le, "Neural Architecture Search with Reinforcement Learning" (ICLR 2017), section 3.4.

    Args:
        nodes: combination and activation of each node: leaves, then level by level to the root.
        injected: combination and activation of the old memory with a node's output.
        at: number of that node.
        kept: number of the node whose value before its activation is the new memory.
        hidden: units.
    """

    parts: ClassVar[int] = 2

    def __init__(
        self,
        nodes: Sequence[tuple[str, str]],
        injected: tuple[str, str],
        at: int,
        kept: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self._nodes, self._injected, self._at, self._kept = nodes, injected, at, kept
        self._leaves = (len(nodes) + 1) // 2
        self.of_input = nn.Linear(hidden, self._leaves * hidden)
        self.of_state = nn.Linear(hidden, self._leaves * hidden)

    def forward(self, x: Tensor, state: Sequence[Tensor]) -> list[Tensor]:
        """The next ``h`` and ``c`` of ``x (B, hidden)``."""
        h, c = state
        parts = (self.of_input(x), self.of_state(h))
        pairs = list(zip(*(part.chunk(self._leaves, dim=1) for part in parts), strict=True))
        outputs: list[Tensor] = []
        values: list[Tensor] = []
        for number, (combination, activation) in enumerate(self._nodes):
            if number >= self._leaves:
                first = 2 * (number - self._leaves)
                pairs.append((outputs[first], outputs[first + 1]))
            values.append(COMBINATIONS[combination](*pairs[number]))
            output = ACTIVATIONS[activation](values[-1])
            if number == self._at:
                combined = COMBINATIONS[self._injected[0]](output, c)
                output = ACTIVATIONS[self._injected[1]](combined)
            outputs.append(output)
        return [outputs[-1], values[self._kept]]
