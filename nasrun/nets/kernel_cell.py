"""Several cells as one by the kernels of ``cell_kernels``: a GPU's way through a ``FusedCell``."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, cast

import torch
from torch import Tensor, nn

from nasrun.nets.operations import AvgPool, ReLUConvNorm
from nasrun.nets.pooling import AveragePool

NUMBERS = 4096  # of a map that a program handles, its pixels times its channels
ROWS = 64  # pixels of a program at least
WARPS = 4  # of a program
MANY = 8192  # numbers of blocks' statistics that are read at once
PROGRAMS = 4224  # that a GPU has use for: thirty-two on each of 132 processors
MOST = 2**31  # numbers that 32 bits can count
MOST_BLOCKS = 2**16 - 1  # programs along a grid's second axis
CHANNELS = (16, 32, 64, 128)  # of a network: tensor cores want 16 at least, kernels powers of two
ENDS = 3  # nodes after the input; the kernels' pointers are as many


@dataclass(frozen=True)
class Convolutions:
    """The convolutions of one width that lead to a node, side by side.

    ``owners`` and ``sources`` name buffers with the network and the earlier node of each.
    """

    module: str
    owners: str
    sources: str


class KernelCell(nn.Module):
    """The tables that say which operations the networks' cells have, and the way through them.

    Args:
        nodes: of the cells, the input first.
        count: of networks K.
        channels: of each of them.
    """

    def __init__(self, nodes: Sequence[str], count: int, channels: int) -> None:
        super().__init__()
        self.nodes, self.count, self.channels = tuple(nodes), count, channels
        self._kinds = torch.zeros(ENDS, ENDS, count, dtype=torch.int32)  # by end, source
        self._slots = torch.zeros_like(self._kinds)
        self.convolutions: list[dict[int, Convolutions]] = [{} for _ in range(ENDS)]
        self.bias_rows: list[int] = []

    def add(self, end: str, name: str, module: nn.Module, pairs: Sequence[tuple[str, int]]) -> bool:
        """Take operations of one kind that lead to a node; whether there is a kernel for them.

        Args:
            end: the node.
            name: of the module that holds the weights.
            module: one network's.
            pairs: of an earlier node and a network.
        """
        row = self.nodes.index(end) - 1
        kind = _kind(module)
        if kind is None:
            return False
        for slot, (start, network) in enumerate(pairs):
            self._kinds[row, self.nodes.index(start), network] = kind
            self._slots[row, self.nodes.index(start), network] = slot
        if isinstance(module, ReLUConvNorm):
            owners = torch.tensor([network for _, network in pairs], dtype=torch.int32)
            sources = [self.nodes.index(start) for start, _ in pairs]
            own = Convolutions(name, f"owners_{row}_{kind}", f"sources_{row}_{kind}")
            self.register_buffer(own.owners, owners, persistent=False)
            table = torch.tensor(sources, dtype=torch.int32)
            self.register_buffer(own.sources, table, persistent=False)
            self.convolutions[row][kind] = own
        return True

    def add_biases(self, end: str, pairs: Sequence[tuple[str, int]]) -> None:
        """Take the biases of convolutions whose node does not exist, in this order."""
        from nasrun.nets import cell_kernels as kernels

        row = self.nodes.index(end) - 1
        self.bias_rows.append(row)
        owners = torch.tensor([network for _, network in pairs])
        self.register_buffer(f"bias_owners_{row}", owners, persistent=False)
        for slot, (start, network) in enumerate(pairs):
            self._kinds[row, self.nodes.index(start), network] = kernels.BIAS
            self._slots[row, self.nodes.index(start), network] = slot

    def finish(self) -> None:
        """Make the tables buffers: by end for the way there, by source for the way back."""
        for name, table in (("kinds", self._kinds), ("slots", self._slots)):
            for at in range(ENDS):
                # Of one width, so that one kernel serves all: before a node nothing reads it.
                out_of = table[:, at].roll(-at, dims=0).T.contiguous()
                self.register_buffer(f"{name}_into_{at}", table[at].T.contiguous(), False)
                self.register_buffer(f"{name}_from_{at}", out_of, False)

    def takes(self, x: Tensor) -> bool:
        """Whether the kernels can count the numbers and blocks of these maps."""
        numbers = ENDS * x.numel()
        blocks = x.numel() // (self.count * self.channels) // _rows(self.channels)
        known = x.dtype in (torch.float32, torch.bfloat16)
        return known and numbers < MOST and blocks < MOST_BLOCKS

    def forward(self, x: Tensor, modules: nn.ModuleDict, biases: Sequence[Tensor]) -> Tensor:
        """The output node of the input ``x``, both ``(K, B, H, W, C)``.

        Args:
            x: the input node.
            modules: with the convolutions' weights and statistics, by name.
            biases: ``(n * C,)`` each, of the nodes that have some.
        """
        own = [
            cast(ReLUConvNorm, modules[convolution.module])
            for row in self.convolutions
            for convolution in row.values()
        ]
        weights = [
            weight for one in own for weight in (one.conv.weight, one.norm.weight, one.norm.bias)
        ]
        return cast(Tensor, _Cells.apply(x, self, own, *weights, *biases))


def apart(x: Tensor, count: int) -> Tensor:
    """``(K, B, H, W, C)`` of maps ``(B, K * C, H, W)`` of ``count`` networks."""
    return x.permute(0, 2, 3, 1).unflatten(3, (count, -1)).permute(3, 0, 1, 2, 4).contiguous()


def side_by_side(x: Tensor) -> Tensor:
    """``(B, K * C, H, W)``, channels last, of maps ``(K, B, H, W, C)``."""
    return x.permute(1, 2, 3, 0, 4).flatten(3).permute(0, 3, 1, 2)


def available(where: torch.device) -> bool:
    """Whether Triton computes there: on a GPU, for which PyTorch brings it along.

    Its interpreter computes on a CPU, so slowly that only tests ask for it.
    """
    wanted = where.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"
    return wanted and find_spec("triton") is not None


def supports(nodes: Sequence[str], channels: int) -> bool:
    """Whether there are kernels for cells of these nodes and so many channels."""
    return len(nodes) == ENDS + 1 and channels in CHANNELS


def _kind(module: nn.Module) -> int | None:
    """What the kernels call an operation; None: there is none for it."""
    from nasrun.nets import cell_kernels as kernels

    if isinstance(module, nn.Identity):
        return kernels.SKIP
    if isinstance(module, AvgPool):
        plain = isinstance(module.fit, nn.Identity) and isinstance(module.pool, AveragePool)
        return kernels.POOL if plain else None
    if not isinstance(module, ReLUConvNorm):
        return None
    conv, norm = module.conv, module.norm
    usual = conv.stride == (1, 1) and conv.bias is None and norm.affine
    if not (usual and norm.track_running_stats and norm.momentum):
        return None
    return {1: kernels.NARROW, 3: kernels.WIDE}.get(conv.kernel_size[0])


@dataclass
class _Result:
    """What a convolution left for the way back: maps ``(n, P, C)`` and statistics ``(n, C)``."""

    maps: Tensor
    mean: Tensor
    scale: Tensor


class _Cells(torch.autograd.Function):
    """The kernels of a cell, one node after the other."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        cell: KernelCell,
        modules: Sequence[ReLUConvNorm],
        *parameters: Tensor,
    ) -> Tensor:
        """See ``KernelCell.forward``."""
        way = _Way(cell, x, modules, parameters)
        nodes, results = [x], list[_Result]()
        for row in range(ENDS):
            nodes.append(way.node(row, nodes, results))
        kept = [tensor for one in results for tensor in (one.maps, one.mean, one.scale)]
        ctx.save_for_backward(*nodes[:-1], *kept, *parameters)
        ctx.way = cell, modules, len(kept)
        return nodes[-1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the input and of all parameters."""
        cell, modules, kept = ctx.way
        saved = list(ctx.saved_tensors)
        nodes, saved = saved[:ENDS], saved[ENDS:]
        results = [_Result(*saved[at : at + 3]) for at in range(0, kept, 3)]
        way = _Way(cell, nodes[0], modules, saved[kept:])
        found = way.back(nodes, results, gradients[0])
        return found[0], None, None, *found[1:]


class _Way:
    """The launches for one cell and one batch."""

    def __init__(
        self,
        cell: KernelCell,
        x: Tensor,
        modules: Sequence[ReLUConvNorm],
        parameters: Sequence[Tensor],
    ) -> None:
        from nasrun.nets import cell_kernels

        self._kernels: Any = cell_kernels
        self._cell, self._modules, self._x = cell, modules, x
        self._weights = [parameters[at : at + 3] for at in range(0, 3 * len(modules), 3)]
        self._biases = dict(zip(cell.bias_rows, parameters[3 * len(modules) :], strict=True))
        self._pixels, self._sides = x.shape[1:4].numel(), x.shape[2:4]
        rows = _rows(cell.channels)
        self._blocks = -(-self._pixels // rows)
        self._sizes = {"C": cell.channels, "ROWS": rows, "num_warps": WARPS}
        self._many = {
            "BLOCKS": self._blocks,
            "MANY": _power(min(self._blocks, MANY // cell.channels)),
        }
        self._places = _places(cell)  # of each row's convolutions among all

    def node(self, row: int, nodes: Sequence[Tensor], results: list[_Result]) -> Tensor:
        """The node after ``nodes``; its convolutions' results are appended."""
        cell, kernels = self._cell, self._kernels
        terms: dict[int, tuple[Tensor, ...]] = {}
        for kind, own in cell.convolutions[row].items():
            place = self._places[row][kind]
            results.append(self._convolved(place, own, nodes))
            last = results[-1]
            terms[kind] = (last.maps, last.mean, last.scale, *self._weights[place][1:])
        out = torch.empty_like(self._x)
        nothing = (out, *(self._x,) * 4)
        kernels.sum_terms[(cell.count, self._blocks)](
            *_three(nodes), *terms.get(kernels.NARROW, nothing),
            *terms.get(kernels.WIDE, nothing), self._biases.get(row, out), out,
            cell.get_buffer(f"kinds_into_{row}"), cell.get_buffer(f"slots_into_{row}"),
            self._pixels, *self._sides, **self._sizes,
        )  # fmt: skip
        return out

    def _convolved(self, place: int, own: Convolutions, nodes: Sequence[Tensor]) -> _Result:
        cell, kernels, module = self._cell, self._kernels, self._modules[place]
        owners, sources = cell.get_buffer(own.owners), cell.get_buffer(own.sources)
        count, channels = len(owners), cell.channels
        maps = self._x.new_empty(count, self._pixels, channels)
        means, squares = self._floats(2, count, self._blocks, channels)
        kernels.convolve[(count, self._blocks)](
            *_three(nodes), self._weights[place][0], maps, means, squares, owners, sources,
            self._pixels, *self._sides, self._blocks,
            KERNEL=module.conv.kernel_size[0], **self._sizes,
        )  # fmt: skip
        mean, scale = self._floats(2, count, channels)
        norm: Any = module.norm
        kernels.settle[(count,)](
            means, squares, norm.running_mean, norm.running_var, norm.num_batches_tracked,
            mean, scale, self._pixels, norm.momentum, norm.eps, **self._many, **self._sizes,
        )  # fmt: skip
        return _Result(maps, mean, scale)

    def back(
        self, nodes: Sequence[Tensor], results: Sequence[_Result], gradient: Tensor
    ) -> list[Tensor]:
        """Gradients of the input, of each convolution's three parameters, of the biases."""
        cell = self._cell
        gradients = {ENDS: gradient.contiguous()}
        inputs: dict[tuple[int, int], Tensor] = {}  # by row and kind
        weights: dict[int, tuple[Tensor, ...]] = {}
        biases: dict[int, Tensor] = {}
        for row in reversed(range(ENDS)):
            own = gradients[row + 1]
            for kind, convolutions in cell.convolutions[row].items():
                place = self._places[row][kind]
                found = self._convolved_back(place, convolutions, nodes, results[place], own)
                inputs[row, kind], *rest = found
                weights[place] = tuple(rest)
            if row in self._biases:
                biases[row] = self._bias_gradient(row, own)
            gradients[row] = self._node_gradient(row, nodes[row], gradients, inputs)
        flat = [one for place in range(len(self._modules)) for one in weights[place]]
        return [gradients[0], *flat, *(biases[row] for row in self._biases)]

    def _convolved_back(
        self, place: int, own: Convolutions, nodes: Sequence[Tensor], result: _Result,
        gradient: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        """Gradients of what a convolution reads, of its weights, scales and shifts."""
        cell, kernels = self._cell, self._kernels
        owners, sources = cell.get_buffer(own.owners), cell.get_buffer(own.sources)
        count, channels = len(owners), cell.channels
        weight, factor, _ = self._weights[place]
        (sums,) = self._floats(1, count, self._blocks, 2, channels)
        grid = (count, self._blocks)
        kernels.gradient_sums[grid](
            gradient, result.maps, result.mean, result.scale, sums, owners,
            self._pixels, self._blocks, **self._sizes,
        )  # fmt: skip
        (factors,) = self._floats(1, count, 3, channels)
        of_factor, of_shift = self._floats(2, count * channels)
        kernels.settle_gradient[(count,)](
            sums, result.mean, result.scale, factor, factors, of_factor, of_shift,
            self._pixels, C=channels, **self._many,
        )  # fmt: skip
        of_maps = torch.empty_like(result.maps)
        kernels.differentiate[grid](
            gradient, result.maps, factors, of_maps, owners, self._pixels,
            **self._sizes,
        )  # fmt: skip
        of_input = torch.empty_like(result.maps)
        width = self._modules[place].conv.kernel_size[0]
        kernels.input_gradient[grid](
            of_maps, weight, of_input, self._pixels, *self._sides, KERNEL=width, **self._sizes
        )
        each = _blocks_each(self._blocks, count * width * width)
        splits = -(-self._blocks // each)
        (parts,) = self._floats(1, splits, count * channels, width, width, channels)
        kernels.weight_gradient[(width * width, count, splits)](
            *_three(nodes), of_maps, parts, owners, sources,
            self._pixels, *self._sides, count, EACH=each, KERNEL=width, **self._sizes,
        )  # fmt: skip
        return of_input, parts.sum(0).permute(0, 3, 1, 2), of_factor, of_shift

    def _node_gradient(
        self, row: int, node: Tensor, gradients: dict[int, Tensor],
        inputs: dict[tuple[int, int], Tensor],
    ) -> Tensor:  # fmt: skip
        cell, kernels = self._cell, self._kernels
        out = torch.empty_like(node)
        later = range(row, ENDS)
        terms = [gradients[end + 1] for end in later]
        narrow = [inputs.get((end, kernels.NARROW), out) for end in later]
        wide = [inputs.get((end, kernels.WIDE), out) for end in later]
        kernels.node_gradient[(cell.count, self._blocks)](
            node, *_three(terms), *_three(narrow), *_three(wide), out,
            cell.get_buffer(f"kinds_from_{row}"), cell.get_buffer(f"slots_from_{row}"),
            self._pixels, *self._sides, **self._sizes,
        )  # fmt: skip
        return out

    def _bias_gradient(self, row: int, gradient: Tensor) -> Tensor:
        """``(n * C,)`` sums of a node's gradient over the pixels, network by network."""
        owners = self._cell.get_buffer(f"bias_owners_{row}")
        sums = gradient.index_select(0, owners).sum(dim=(1, 2, 3), dtype=torch.float32)
        return sums.flatten()

    def _floats(self, how_many: int, *shape: int) -> tuple[Tensor, ...]:
        """Uninitialised float32 tensors of one shape."""
        made = self._x.new_empty(how_many, *shape, dtype=torch.float32)
        return made.unbind()


def _rows(channels: int) -> int:
    """Pixels that a program handles."""
    return max(ROWS, NUMBERS // channels)


def _blocks_each(blocks: int, programs: int) -> int:
    """How many blocks a program adds up, so that a GPU is busy: a power of two, for few kernels."""
    return _power(math.ceil(min(blocks / max(1, PROGRAMS // programs), blocks)))


def _power(least: int) -> int:
    """The smallest power of two that is not below."""
    return 1 << (max(1, least) - 1).bit_length()


def _places(cell: KernelCell) -> list[dict[int, int]]:
    """By row and kind, the number of the convolutions among all."""
    found: list[dict[int, int]] = []
    number = 0
    for row in cell.convolutions:
        found.append({kind: number + at for at, kind in enumerate(row)})
        number += len(row)
    return found


def _three(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The first three, the last one again where there are fewer: kernels take three pointers."""
    return [tensors[min(at, len(tensors) - 1)] for at in range(ENDS)]
