"""Cells of different operations as one: those of one kind that lead to a node are one module."""

import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.nets.fused import Fuser, shape_of
from nasrun.nets.kernel_cell import KernelCell, apart, available, side_by_side, supports
from nasrun.nets.nb201 import Cell, Skeleton
from nasrun.nets.operations import ReLUConvNorm
from nasrun.spec import Edges

EDGES = ("0", "1"), ("0", "2"), ("1", "2"), ("0", "3"), ("1", "3"), ("2", "3")
WIDE, NARROW, POOL, SKIP = "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3", "skip_connect"
log = logging.getLogger("nasrun")

# Cells that the kernels are checked with: all operations, from and to all nodes; the last one has a
# convolution of a node that does not exist.
CHECKED: Sequence[Edges] = [
    [(start, end, name) for (start, end), name in zip(EDGES, names, strict=True)]
    for names in (
        (WIDE, NARROW, WIDE, POOL, SKIP, NARROW),
        (NARROW, SKIP, POOL, WIDE, NARROW, WIDE),
        ("none", POOL, NARROW, SKIP, WIDE, POOL),
    )
]


@dataclass(frozen=True)
class _Term:
    """Operations of one shape on the way to a node: ``module`` computes them side by side."""

    module: str
    takes_positive: bool
    sources: tuple[tuple[str, str], ...]  # earlier node, and the buffer of networks that read it
    targets: str  # the buffer of networks that each result is added to


class FusedCell(nn.Module):
    """Several cells with the same nodes, each with its own operations.

    Maps ``(B, K * c_in, H, W)`` to ``(B, K * c_out, H', W')``. For every node, the maps that
    operations of one kind read are gathered, computed at once, and added to the networks they
    belong to. Sums have another order than in a single cell, hence another rounding.

    Args:
        cells: K cells of one shape.
        fuser: takes their weights.
    """

    def __init__(self, cells: Sequence[Cell], fuser: Fuser) -> None:
        super().__init__()
        self._count, first = len(cells), cells[0]
        self._input, self._output = first.nodes[0], first.nodes[-1]
        self._c_out, self._stride = first.c_out, first.stride
        self._terms: dict[str, list[_Term]] = {}
        self._biases: dict[str, str] = {}
        self.modules_of_a_kind = nn.ModuleDict()
        self.kernels = _kernels(cells)
        self.followed = False  # by a cell that takes maps as the kernels leave them, see ``link``
        for end in first.nodes[1:]:
            self._terms[end] = [
                self._term(end, cells, pairs, fuser) for pairs in _by_shape(cells, end).values()
            ]
            self._take_biases(end, cells, fuser)
        if self.kernels is not None:
            self.kernels.finish()

    def _term(
        self, end: str, cells: Sequence[Cell], pairs: Sequence[tuple[str, int]], fuser: Fuser
    ) -> _Term:
        """``pairs`` of an earlier node and a network, sorted by node."""
        modules = [cells[network].operations[f"{start}-{end}"] for start, network in pairs]
        owners = [network for _, network in pairs]
        name = f"{end}/{len(self.modules_of_a_kind)}"
        self.modules_of_a_kind[name] = fuser.module(modules, owners)
        if self.kernels is not None and not self.kernels.add(end, name, modules[0], pairs):
            self.kernels = None
        sources = []
        for start in dict.fromkeys(start for start, _ in pairs):
            readers = [network for other, network in pairs if other == start]
            sources.append((start, self._index(f"{name}_{start}", readers)))
        positive = isinstance(modules[0], ReLUConvNorm)
        return _Term(name, positive, tuple(sources), self._index(f"{name}_to", owners))

    def _index(self, name: str, networks: Sequence[int]) -> str:
        """Keep numbers of networks on the module's device; returns the buffer's name."""
        key = "of_" + name.replace("/", "_").replace(".", "_")
        self.register_buffer(key, torch.tensor(networks), persistent=False)
        return key

    def _take_biases(self, end: str, cells: Sequence[Cell], fuser: Fuser) -> None:
        """What convolutions make of zeros at this node: the bias of their normalisation."""
        found = [
            (start, number) for number, cell in enumerate(cells) for start in cell.biases_into(end)
        ]
        if not found:
            return
        owners = [number for _, number in found]
        modules = [cells[number].operations[f"{start}-{end}"] for start, number in found]
        singles = [module.norm.bias for module in modules]  # pyright: ignore
        bias = fuser.parameter(singles, owners)  # pyright: ignore[reportArgumentType]
        self.register_parameter(f"bias_{end}", bias)
        self._biases[end] = self._index(f"bias_{end}", owners)
        if self.kernels is not None:
            self.kernels.add_biases(end, found)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, K * c_out, H / stride, W / stride)``, rounded up, of ``x (B, K * c_in, H, W)``."""
        if self.training and self._has_kernels_for(x):
            return self.by_kernels(x)
        return self.plainly(x)

    def _has_kernels_for(self, x: Tensor) -> bool:
        kernels = self.kernels
        if kernels is None or not kernels.takes(x):
            return False
        return x.dim() == 5 or kernels_agree(self._c_out, x.dtype, x.device)

    def by_kernels(self, x: Tensor) -> Tensor:
        """The same by a GPU's kernels, in training; a ``followed`` cell leaves the maps apart."""
        assert self.kernels is not None
        biases = [self.get_parameter(f"bias_{end}") for end in self._biases]
        x = apart(x, self._count) if x.dim() == 4 else x
        x = self.kernels(x, self.modules_of_a_kind, biases)
        return x if self.followed else side_by_side(x)

    def plainly(self, x: Tensor) -> Tensor:
        """The same by PyTorch's own operators."""
        nodes, positive = {self._input: x}, dict[str, Tensor]()
        for end, terms in self._terms.items():
            total: Tensor | None = None
            for term in terms:
                result = self._computed(term, nodes, positive)
                total = self._added(total, result, self.get_buffer(term.targets))
            if end in self._biases:
                total = self._with_bias(total, end, x)
            if total is not None:
                nodes[end] = total.flatten(3).permute(0, 3, 1, 2)
        return nodes[self._output]

    def _computed(
        self, term: _Term, nodes: dict[str, Tensor], positive: dict[str, Tensor]
    ) -> Tensor:
        gathered = list[Tensor]()
        for start, readers in term.sources:
            maps = nodes[start]
            if term.takes_positive:
                maps = positive.setdefault(start, F.relu(maps))
            gathered.append(self._split(maps).index_select(3, self.get_buffer(readers)))
        together = torch.cat(gathered, dim=3) if len(gathered) > 1 else gathered[0]
        inputs = together.flatten(3).permute(0, 3, 1, 2)
        module = self.modules_of_a_kind[term.module]
        return module.of_positive(inputs) if isinstance(module, ReLUConvNorm) else module(inputs)

    def _split(self, maps: Tensor) -> Tensor:
        """``(B, H, W, K, C)`` of ``maps (B, K * C, H, W)``; a view where channels come last."""
        return maps.permute(0, 2, 3, 1).unflatten(3, (self._count, -1))

    def _added(self, total: Tensor | None, result: Tensor, targets: Tensor) -> Tensor:
        """``total (B, H, W, K, C)`` with results ``(B, n * C, H, W)`` added to their networks."""
        parts = result.permute(0, 2, 3, 1).unflatten(3, (len(targets), -1))
        if total is None:
            total = parts.new_zeros(*parts.shape[:3], self._count, parts.shape[4])
        return total.index_add(3, targets, parts.to(total.dtype))

    def _with_bias(self, total: Tensor | None, end: str, x: Tensor) -> Tensor:
        bias = self.get_parameter(f"bias_{end}").view(-1, self._c_out).to(x.dtype)
        sides = (-(-side // self._stride) for side in x.shape[2:])
        if total is None:
            total = x.new_zeros(len(x), *sides, self._count, self._c_out)
        spread = bias.expand(*total.shape[:3], -1, -1)
        return total.index_add(3, self.get_buffer(self._biases[end]), spread.to(total.dtype))


@cache
def kernels_agree(channels: int, dtype: torch.dtype, where: torch.device) -> bool:
    """Whether kernels compute there what PyTorch's operators do; said aloud if they do not.

    Asked once of each width and number format in a process, as compilers and GPUs differ: three
    cells with all operations, forward and backward. bfloat16 alone moves gradients by up to 9 %
    (PyTorch's operators on a CPU), so the kernels may be three times as far from float32 as
    PyTorch's operators are in the same format.
    """
    with torch.random.fork_rng([where] if where.type == "cuda" else []):
        torch.manual_seed(0)
        cells = [Cell(edges, channels, channels).to(where) for edges in CHECKED]
        fused = cast(FusedCell, Fuser(cells).network.train())
        shape = 4, len(cells) * channels, 7, 7
        given = [torch.randn(shape, device=where).to(dtype) for _ in range(2)]
    try:
        ours = _of_both(fused, fused.by_kernels, *given)
    except Exception as error:  # compilers fail in ways of their own, such as for want of one
        reason = (str(error).splitlines() or [repr(error)])[0]
        log.warning("this GPU's kernels cannot be made (%s): networks train without them", reason)
        return False
    theirs = _of_both(fused, fused.plainly, *given)
    wanted = _of_both(fused, fused.plainly, *(one.float() for one in given))
    slack = 1e-3 if dtype is torch.float32 else 1e-2
    errors = [
        (_distance(one, right), 3.0 * _distance(other, right) + slack)
        for one, other, right in zip(ours, theirs, wanted, strict=True)
    ]
    agree = all(found <= most for found, most in errors)  # NaN is not
    if not agree:
        log.warning(
            "the kernels of cells with %d channels are %.2g off float32 in %s on this GPU: "
            "networks train together without them",
            channels, max(found for found, _ in errors), str(dtype).removeprefix("torch."),
        )  # fmt: skip
    return agree


def _distance(one: Tensor, right: Tensor) -> float:
    """The norm of the difference over that of ``right``."""
    return float((one - right).norm() / right.norm().clamp(min=1e-6))


def _of_both(
    fused: FusedCell, way: Callable[[Tensor], Tensor], x: Tensor, gradient: Tensor
) -> list[Tensor]:
    """Output, gradients and statistics by one way."""
    own = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    statistics = dict(fused.named_buffers(remove_duplicate=False))
    before = {name: buffer.clone() for name, buffer in statistics.items()}
    fused.zero_grad()
    with torch.enable_grad(), torch.autocast(x.device.type, x.dtype, x.dtype != torch.float32):
        out = way(own)
    out.backward(gradient)
    assert own.grad is not None
    gradients = [weight.grad for weight in fused.parameters() if weight.grad is not None]
    after = [buffer.clone() for name, buffer in statistics.items() if "running" in name]
    for name, buffer in statistics.items():
        buffer.copy_(before[name])
    return [one.detach().float().clone() for one in (out, own.grad, *gradients, *after)]


def link(network: nn.Module) -> None:
    """Let cells that follow each other pass maps on as their kernels have them."""
    for skeleton in network.modules():
        if isinstance(skeleton, Skeleton):
            for one, following in pairwise(skeleton.cells):
                if isinstance(one, FusedCell) and isinstance(following, FusedCell):
                    one.followed = one.kernels is not None and following.kernels is not None


def _kernels(cells: Sequence[Cell]) -> KernelCell | None:
    """A GPU's own way to compute the cells; None where they or the processor have none."""
    first = cells[0]
    weights = (weight for cell in cells for weight in cell.parameters())
    where = next((weight.device for weight in weights), torch.device("cpu"))
    return KernelCell(first.nodes, len(cells), first.c_out) if _suits(first, where) else None


def _suits(cell: Cell, where: torch.device) -> bool:
    plain = cell.stride == 1 and cell.c_in == cell.c_out
    return plain and supports(cell.nodes, cell.c_out) and available(where)


def has_kernels(network: nn.Module, where: torch.device) -> bool:
    """Whether a network's cells all have kernels, so that it gains by training with others."""
    cells = [part for part in network.modules() if isinstance(part, Cell)]
    return bool(cells) and all(_suits(cell, where) for cell in cells)


def _by_shape(cells: Sequence[Cell], end: str) -> dict[Hashable, list[tuple[str, int]]]:
    """Pairs of an earlier node and a network, by the shape of the operation, sorted by node."""
    found: dict[Hashable, list[tuple[str, int]]] = {}
    for start in cells[0].nodes:
        for number, cell in enumerate(cells):
            if start in cell.terms_into(end):
                shape = shape_of(cell.operations[f"{start}-{end}"])
                found.setdefault(shape, []).append((start, number))
    return found
