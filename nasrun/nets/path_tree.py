"""Networks of cells that are trees, and the morphisms by which cells grow."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from nasrun.errors import UnsupportedError
from nasrun.nets.morphisms import (
    Moments,
    State,
    below,
    identity_depthwise,
    identity_norm,
    perturbed,
    under,
)
from nasrun.nets.pooling import average_pool
from nasrun.nets.trees import (
    CONCAT,
    CONVOLUTIONS,
    IDENTITY,
    OPERATIONS,
    Edge,
    Node,
    pieces,
)
from nasrun.spec import Objective

STAGES = 3


def kernel(op: int) -> int:
    """Width of a convolution's or pooling's window."""
    return int(OPERATIONS[op][-1])


class Convolution(nn.Module):
    """A convolution by channel (none where its kernel is 1), one across channels, norm, ReLU."""

    def __init__(self, op: int, c_in: int, c_out: int) -> None:
        super().__init__()
        size = kernel(op)
        self.depthwise = (
            nn.Conv2d(c_in, c_in, size, padding=size // 2, groups=c_in, bias=False)
            if size > 1
            else nn.Identity()
        )
        self.pointwise = nn.Conv2d(c_in, c_out, 1, bias=False)
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, c_out, H, W)`` of ``x (B, c_in, H, W)``."""
        return F.relu(self.norm(self.pointwise(self.depthwise(x))))


class Branch(nn.Module):
    """An operation, whose output a node reads.

    Convolutions read all channels and give some; identity and pooling give their piece of them.
    """

    def __init__(self, edge: Edge, channels: int, first: int, width: int) -> None:
        super().__init__()
        self._piece = slice(first, first + width)
        self._whole = edge.op in CONVOLUTIONS
        if self._whole:
            self.op: nn.Module = Convolution(edge.op, channels, width)
        elif edge.op == IDENTITY:
            self.op = nn.Identity()
        elif OPERATIONS[edge.op].startswith("max"):
            self.op = nn.MaxPool2d(kernel(edge.op), 1, kernel(edge.op) // 2)
        else:
            self.op = average_pool(1)
        self.node = Tree(edge.node, width)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, width, H, W)`` of ``x (B, channels, H, W)``."""
        return self.node(self.op(x if self._whole else x[:, self._piece]))


class Tree(nn.Module):
    """A node with all that is below it: branches averaged, or side by side."""

    def __init__(self, node: Node, channels: int) -> None:
        super().__init__()
        places = pieces(node.merge, channels)
        if any(width < 1 for _, width in places):
            raise UnsupportedError(
                f"space=path_tree splits {channels} channel in two: give more evaluator.channels"
            )
        self._joins = node.merge == CONCAT
        self.branches = nn.ModuleList(
            Branch(edge, channels, *place)
            for edge, place in zip(node.branches, places, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, channels, H, W)`` of ``x (B, channels, H, W)``."""
        if not len(self.branches):
            return x
        parts = [branch(x) for branch in self.branches]
        return torch.cat(parts, dim=1) if self._joins else torch.stack(parts).mean(dim=0)


class Cell(nn.Module):
    """A residual block around a tree: 1x1 convolution, tree, 1x1 convolution, each normalised.

    What the tree reads has gone through a ReLU, so that a new convolution's leaves it as it is.
    """

    def __init__(self, node: Node, channels: int) -> None:
        super().__init__()
        self.before = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.tree = Tree(node, channels)
        self.after = nn.Conv2d(channels, channels, 1, bias=False)
        self.last = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` of ``x (B, C, H, W)``."""
        y = self.tree(F.relu(self.norm(self.before(x))))
        return x + self.last(self.after(y))


class TreeNetwork(nn.Module):
    """Three stages of equal cells; a 3x3 convolution halves the image and doubles the channels.

    Args:
        node: the root of every cell.
        channels: of the first stage.
        cells: of each stage.
        objective: what the network is trained for.
    """

    def __init__(self, node: Node, channels: int, cells: int, objective: Objective) -> None:
        super().__init__()
        self.stem = _normed(3, channels, 1)
        self.cells, self.halving = nn.ModuleList(), nn.ModuleList()
        self._cells = cells
        for stage in range(STAGES):
            if stage:
                self.halving.append(_normed(channels, 2 * channels, 2))
                channels *= 2
            self.cells.extend(Cell(node, channels) for _ in range(cells))
        self.classifier = objective.head(channels)

    def forward(self, x: Tensor) -> Tensor:
        """The head's output for ``x (B, 3, H, W)``."""
        x = self.stem(x)
        for at, cell in enumerate(self.cells):
            if at and at % self._cells == 0:
                x = self.halving[at // self._cells - 1](x)
            x = cell(x)
        return self.classifier(x)


def _normed(c_in: int, c_out: int, stride: int) -> nn.Module:
    conv = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU())


def morphed(old: Node, new: Node, state: State, noise: float, draws: Generator) -> State | None:
    """The weights of a network of ``new`` cells that computes what ``state`` of ``old`` ones does.

    None where no morphism leads from one to the other. ``noise`` is the deviation of what is added
    to the weights of new convolutions and of copies; 0: nothing is. New poolings change what is
    computed.
    """
    made = {key: value.clone() for key, value in state.items() if ".tree." not in key}
    growth = _Growth(noise, draws)
    for at in range(sum(key.endswith("before.weight") for key in state)):
        own = below(f"cells.{at}", state)
        moments = Moments.rectified(own["norm.bias"], own["norm.weight"])
        tree = growth.node(old, new, below("tree", own), moments)
        if tree is None:
            return None
        made |= under(f"cells.{at}.tree", tree)
    return made


@dataclass(frozen=True)
class _Growth:
    """Makes the weights of trees, of those of smaller ones; None where that cannot be."""

    noise: float
    draws: Generator

    def node(self, old: Node, new: Node, state: State, moments: Moments) -> State | None:
        if old.merge and old.merge != new.merge:
            return None
        made, olds = State(), old.branches or (Edge(),) * len(new.branches)
        places = pieces(new.merge, len(moments.mean))
        for at, (before, after, place) in enumerate(zip(olds, new.branches, places, strict=True)):
            grown = self.edge(before, after, below(f"branches.{at}", state), moments, place)
            if grown is None:
                return None
            made |= under(f"branches.{at}", grown)
        return made

    def edge(
        self, old: Edge, new: Edge, state: State, moments: Moments, place: tuple[int, int]
    ) -> State | None:
        """A branch that gives the channels at a ``place``, first and number, of those it reads."""
        piece = slice(place[0], sum(place))
        own, node, inner = below("op", state), old.node, moments.of(piece)
        if old.op == IDENTITY and new.op in CONVOLUTIONS:
            own = self.new(new.op, moments, piece)
        elif _splits(old, new) and place == (0, len(moments.mean)):
            return under("node", self.split(new, own))
        elif old.op not in (IDENTITY, new.op):
            return None
        if new.op in CONVOLUTIONS:
            inner = Moments.rectified(own["norm.bias"], own["norm.weight"])
            inner = inner if old.op == new.op else moments.of(piece)
        grown = self.node(node, new.node, below("node", state), inner)
        return None if grown is None else under("op", own) | under("node", grown)

    def new(self, op: int, moments: Moments, piece: slice) -> State:
        """A convolution that reads all channels and gives a piece of them as it is."""
        like, channels = moments.mean, len(moments.mean)
        made, eye = State(), torch.eye(channels).to(like)[piece][:, :, None, None]
        if kernel(op) > 1:
            weight = identity_depthwise(channels, kernel(op), like)
            made["depthwise.weight"] = perturbed(weight, self.noise, self.draws)
        made["pointwise.weight"] = perturbed(eye, self.noise, self.draws)
        return made | under("norm", identity_norm(moments.of(piece)))

    def split(self, new: Edge, state: State) -> State:
        """The convolution of ``state`` as branches: copies, or each a piece of its output."""
        made = State()
        width = len(state["pointwise.weight"])
        for at, (edge, (first, count)) in enumerate(
            zip(new.node.branches, pieces(new.node.merge, width), strict=True)
        ):
            own = {key: self.part(key, value, first, count) for key, value in state.items()}
            inner = Moments.rectified(own["norm.bias"], own["norm.weight"])
            grown = self.node(Node(), edge.node, {}, inner) or State()
            made |= under(f"branches.{at}", under("op", own) | under("node", grown))
        return made

    def part(self, key: str, value: Tensor, first: int, count: int) -> Tensor:
        if key.startswith("depthwise") or not value.dim():
            return value.clone()
        piece = value[first : first + count].clone()
        return (
            perturbed(piece, self.noise, self.draws) if key.endswith("pointwise.weight") else piece
        )


def _splits(old: Edge, new: Edge) -> bool:
    """Whether a convolution has become branches that begin with it."""
    branches = new.node.branches
    return (
        old.op in CONVOLUTIONS
        and new.op == IDENTITY
        and not old.node.merge
        and bool(branches)
        and all(edge.op == old.op for edge in branches)
    )
