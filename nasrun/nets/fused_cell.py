"""Cells of different operations as one: those of one kind that lead to a node are one module."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.nets.fused import Fuser, shape_of
from nasrun.nets.kernel_cell import KernelCell, apart, available, side_by_side, supports
from nasrun.nets.nb201 import Cell, Skeleton
from nasrun.nets.operations import ReLUConvNorm


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
        if self.training and self.kernels is not None and self.kernels.takes(x):
            biases = [self.get_parameter(f"bias_{end}") for end in self._biases]
            x = apart(x, self._count) if x.dim() == 4 else x
            x = self.kernels(x, self.modules_of_a_kind, biases)
            return x if self.followed else side_by_side(x)
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
    where = next((one.device for one in first.parameters()), torch.device("cpu"))
    plain = first.stride == 1 and first.c_in == first.c_out
    if not (plain and supports(first.nodes, first.c_out) and available(where)):
        return None
    return KernelCell(first.nodes, len(cells), first.c_out)


def _by_shape(cells: Sequence[Cell], end: str) -> dict[Hashable, list[tuple[str, int]]]:
    """Pairs of an earlier node and a network, by the shape of the operation, sorted by node."""
    found: dict[Hashable, list[tuple[str, int]]] = {}
    for start in cells[0].nodes:
        for number, cell in enumerate(cells):
            if start in cell.terms_into(end):
                shape = shape_of(cell.operations[f"{start}-{end}"])
                found.setdefault(shape, []).append((start, number))
    return found
