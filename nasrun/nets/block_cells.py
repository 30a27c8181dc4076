"""The combinatorics of the NASNet family's cells: blocks, their branches, and what is unread.

A cell has two inputs, the outputs of the cell before the last (state 0) and of the last one (state
1), and some blocks (states 2, 3, ...): two operations on two earlier states and a combiner of both.
The blocks that no other block reads are the cell's output, side by side.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby, permutations, product
from typing import NamedTuple

import numpy as np

from nasrun.spec import Ints, Mask

INPUTS = 2
COMBINERS = ("add", "concat")

# Kind and kernel of the operations that are known by name.
OPERATIONS = {
    "skip_connect": ("skip", 1),
    "avg_pool_3x3": ("avg", 3),
    "max_pool_3x3": ("max", 3),
    "max_pool_5x5": ("max", 5),
    "max_pool_7x7": ("max", 7),
    "conv_1x1": ("conv", 1),
    "conv_3x3": ("conv", 3),
    "conv_3x1_1x3": ("lines", 3),  # 1x3, then 3x1
    "conv_7x1_1x7": ("lines", 7),
    "sep_conv_3x3": ("sep", 3),
    "sep_conv_5x5": ("sep", 5),
    "sep_conv_7x7": ("sep", 7),
    "dil_conv_3x3": ("dil", 3),
}

Branch = tuple[int, int]  # operation (index), earlier state


class Block(NamedTuple):
    """Two operations on earlier states, and by which of the space's combiners they are joined."""

    branches: tuple[Branch, Branch]
    combiner: int = 0


class CellArrays(NamedTuple):
    """``n`` architectures of ``C`` cells with up to ``B`` blocks each.

    ``sources`` and ``operations (n, C, B, 2)`` of the branches, ``combiners (n, C, B)``, and
    ``there (n, C, B)``: False where a cell has fewer blocks.
    """

    sources: Ints
    operations: Ints
    combiners: Ints
    there: Mask

    def cells(self) -> list[list[list[Block]]]:
        """The blocks by architecture and cell."""
        lists = zip(*(part.tolist() for part in self), strict=True)
        return [
            [
                [
                    Block(((o1, s1), (o2, s2)), combiner)
                    for (s1, s2), (o1, o2), combiner, there in zip(*cell, strict=True)
                    if there
                ]
                for cell in zip(*arch, strict=True)
            ]
            for arch in lists
        ]

    def read(self, state: int) -> Mask:
        """``(n, C)`` whether any block reads a state."""
        return ((self.sources == state) & self.there[..., None]).any(axis=(2, 3))

    def unread(self) -> Mask:
        """``(n, C, B)`` which blocks are there and no block reads."""
        blocks = range(self.there.shape[2])
        return self.there & ~np.stack([self.read(INPUTS + at) for at in blocks], axis=2)


def unread(cell: Sequence[Block]) -> list[int]:
    """The blocks that no block reads, counted from 0."""
    read = {source for block in cell for _, source in block.branches}
    return [at for at in range(len(cell)) if INPUTS + at not in read]


def canonical(cell: Sequence[Block]) -> list[Block]:
    """The same for all cells that differ in the order of branches, or in the blocks' numbers only.

    Blocks are ordered by what they compute, written as an expression of the inputs; of the orders
    that are left where several compute the same, the one whose blocks come first as tuples.
    """
    terms = ["", " "]  # of the inputs, as short as any
    for block in cell:
        branches = sorted(f"({terms[source]}){op}" for op, source in block.branches)
        terms.append(f"{block.combiner}[{','.join(branches)}]")
    own = terms[INPUTS:]
    # What reads a block has a longer expression than that block.
    order = sorted(range(len(cell)), key=lambda at: (len(own[at]), own[at]))
    ties = [list(group) for _, group in groupby(order, key=own.__getitem__)]
    orders = product(*(permutations(group) for group in ties))
    return min(_renumbered(cell, [at for group in each for at in group]) for each in orders)


def _renumbered(cell: Sequence[Block], order: Sequence[int]) -> list[Block]:
    """The blocks in another order, each with its branches sorted by state and operation."""
    places = {INPUTS + old: INPUTS + new for new, old in enumerate(order)}

    def branch(one: Branch) -> Branch:
        return one[0], places.get(one[1], one[1])

    def sorted_pair(pair: Iterable[Branch]) -> tuple[Branch, Branch]:
        one, other = sorted(map(branch, pair), key=lambda each: each[::-1])
        return one, other

    return [Block(sorted_pair(cell[at].branches), cell[at].combiner) for at in order]
