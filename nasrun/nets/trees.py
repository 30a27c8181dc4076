"""Cells that are trees: what nodes merge, and what their branches do; imports no torch."""

from typing import NamedTuple

MERGES = ("none", "add2", "add3", "concat2")
BRANCHES = (0, 2, 3, 2)  # of a node of each kind
CONCAT = MERGES.index("concat2")
OPERATIONS = (
    "identity", "conv_1x1", "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7", "avg_pool_3x3",
    "max_pool_3x3",
)  # fmt: skip
IDENTITY = OPERATIONS.index("identity")
CONVOLUTIONS = tuple(at for at, name in enumerate(OPERATIONS) if "conv" in name)


class Node(NamedTuple):
    """What its branches give is merged; a node without branches gives what it gets."""

    merge: int = 0
    branches: "tuple[Edge, ...]" = ()


class Edge(NamedTuple):
    """An operation, and the node that reads what it gives."""

    op: int = IDENTITY
    node: Node = Node()


def pieces(merge: int, channels: int) -> list[tuple[int, int]]:
    """First channel and number of channels of what each branch gives."""
    if merge != CONCAT:
        return [(0, channels)] * BRANCHES[merge]
    half = channels // 2
    return [(0, half), (half, channels - half)]


def opened(merge: int) -> Node:
    """A node of this kind whose branches change nothing."""
    return Node(merge, (Edge(),) * BRANCHES[merge])
