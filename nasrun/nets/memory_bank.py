"""Networks of memory banks: with weights of their own, and with weights that a network writes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.errors import UnsupportedError
from nasrun.nets.memory_banks import Operation
from nasrun.nets.supernet import Row, SharedNet
from nasrun.spec import Archs, Objective

Blocks = list[list[Operation]]


def run_block(
    x: Tensor, banks: int, operations: Sequence[Operation], apply: Callable[[int, Tensor], Tensor]
) -> Tensor:
    """``(B, banks * N, H, W)`` all banks after a block's operations.

    Bank 0 begins with ``x (B, N, H, W)``; a bank that was never written is zero.

    Args:
        x: what the block gets.
        banks: of the block.
        operations: of the block, in their order.
        apply: operation by number on what it reads ``(B, reads * N, H, W)``, giving what it writes.
    """
    held: dict[int, Tensor] = {0: x}
    for number, operation in enumerate(operations):
        read = torch.cat([held[bank] for bank in operation.reads], dim=1)
        parts = apply(number, read).chunk(len(operation.writes), dim=1)
        for bank, part in zip(operation.writes, parts, strict=True):
            held[bank] = held[bank] + part if bank in held else part
    nothing = torch.zeros_like(x)
    return torch.cat([held.get(bank, nothing) for bank in range(banks)], dim=1)


class BankOperation(nn.Module):
    """1x1 convolution, normalisation, ReLU, a convolution with a window, normalisation, ReLU."""

    def __init__(self, operation: Operation, channels: int) -> None:
        super().__init__()
        units, kernel, dilation, reads, writes = operation
        inner, padding = units * channels, dilation * (kernel // 2)
        self.layers = nn.Sequential(
            nn.Conv2d(len(reads) * channels, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(
                inner,
                len(writes) * channels,
                kernel,
                padding=padding,
                dilation=dilation,
                bias=False,
            ),
            nn.BatchNorm2d(len(writes) * channels),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, writes * N, H, W)`` of ``x (B, reads * N, H, W)``."""
        return self.layers(x)


class BankNetwork(nn.Module):
    """Blocks of memory banks; all banks of one, halved in size, are the first bank of the next.

    Args:
        blocks: the operations of each.
        banks: of a block.
        channels: of a bank.
        objective: what the network is trained for.
    """

    def __init__(self, blocks: Blocks, banks: int, channels: int, objective: Objective) -> None:
        super().__init__()
        self._blocks, self._banks = blocks, banks
        self.stem = _joined(3, channels, 3)
        self.operations = nn.ModuleList(
            nn.ModuleList(BankOperation(operation, channels) for operation in block)
            for block in blocks
        )
        self.transitions = nn.ModuleList(_joined(banks * channels, channels, 1) for _ in blocks)
        self.classifier = objective.head(channels)

    def forward(self, x: Tensor) -> Tensor:
        """The head's output for ``x (B, 3, H, W)``."""
        x = self.stem(x)
        parts = zip(self._blocks, self.operations, self.transitions, strict=True)
        for number, (block, modules, transition) in enumerate(parts):
            x = halved(x) if number else x
            own: Sequence[nn.Module] = list(modules)  # pyright: ignore[reportArgumentType]
            x = transition(
                run_block(x, self._banks, block, lambda at, read, own=own: own[at](read))
            )
        return self.classifier(x)


def halved(x: Tensor) -> Tensor:
    """Means over 2x2 pixels; a single pixel stays."""
    return F.avg_pool2d(x, 2, ceil_mode=True)


def _joined(c_in: int, c_out: int, kernel: int) -> nn.Module:
    conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU())


@dataclass(frozen=True)
class Layout:
    """What operations of a space can be, in its order of options."""

    blocks: int
    slots: int  # operations of a block
    banks: int
    units: tuple[int, ...]
    kernels: tuple[int, ...]
    dilations: tuple[int, ...]


class HyperNet(nn.Module):
    """Writes 1x1 weights from what is known of an operation, for one bank that it reads at a time.

    Brock et al., "SMASH: One-Shot Model Architecture Search through HyperNetworks" (ICLR 2018),
    section 3.2. As there, rows of what is written are normalised. Departure: the code of a slice
    goes through three linear layers; the authors' code of the whole network goes through dense
    convolutions, with noise beside it.
    """

    def __init__(self, layout: Layout, channels: int, hidden: int) -> None:
        super().__init__()
        self._layout, self._channels = layout, channels
        options = len(layout.units) + len(layout.kernels) + len(layout.dilations)
        width = layout.blocks + layout.slots + 3 * layout.banks + options
        self._most = max(layout.units) * channels
        self.layers = nn.Sequential(
            nn.Linear(width, hidden),
            nn.LeakyReLU(0.02),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.02),
            nn.Linear(hidden, self._most * channels),
        )
        self.gain = nn.Parameter(torch.ones(self._most))

    def forward(self, block: int, slot: int, operation: Operation) -> Tensor:
        """``(units * N, reads * N, 1, 1)`` weights of an operation."""
        codes = np.stack([self._code(block, slot, operation, bank) for bank in operation.reads])
        like = self.gain
        slices = self.layers(torch.from_numpy(codes).to(like))
        shaped = slices.reshape(len(codes), self._most, self._channels)
        count = operation.units * self._channels
        weight = shaped.transpose(0, 1).reshape(self._most, -1)[:count]
        return (F.normalize(weight, dim=1) * self.gain[:count, None])[:, :, None, None]

    def _code(self, block: int, slot: int, operation: Operation, bank: int) -> np.ndarray:
        layout = self._layout
        marks = [
            (layout.blocks, [block]),
            (layout.slots, [slot]),
            (layout.banks, [bank]),
            (layout.banks, operation.reads),
            (layout.banks, operation.writes),
            (len(layout.units), [layout.units.index(operation.units)]),
            (len(layout.kernels), [layout.kernels.index(operation.kernel)]),
            (len(layout.dilations), [layout.dilations.index(operation.dilation)]),
        ]
        return np.concatenate([np.isin(np.arange(size), on) for size, on in marks]).astype(float)


class BankSupernet(SharedNet):
    """All networks of a space of memory banks: a ``HyperNet`` writes the 1x1 weights of each.

    Everything else is learnt as it is and shared: stem, transitions, head, and for each block one
    convolution with the largest window, of which operations take the middle, the channels that they
    read and the banks that they write. Normalisation judges by the batch's own moments, as the
    networks differ; its weights belong to the place of an operation.

    Args:
        layout: what operations can be.
        rows: option names of each decision.
        operations: the operations of ``arch (L,)``, by block.
        channels: of a bank.
        hidden: units of the hyper-network.
        objective: what the network is trained for.
    """

    def __init__(
        self,
        layout: Layout,
        rows: tuple[tuple[str, ...], ...],
        operations: Callable[[Archs], Blocks],
        channels: int,
        hidden: int,
        objective: Objective,
    ) -> None:
        super().__init__()
        self.rows, self._layout, self._operations = rows, layout, operations
        self._channels = channels
        inner, outer = max(layout.units) * channels, layout.banks * channels
        self._widest = max(layout.kernels)
        places = range(layout.blocks * layout.slots)
        self.stem = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.hyper = HyperNet(layout, channels, hidden)
        self.inner_norms = nn.ModuleList(_norm(inner) for _ in places)
        self.outer_norms = nn.ModuleList(_norm(outer) for _ in places)
        self.windows = nn.ModuleList(
            nn.Conv2d(inner, outer, self._widest, bias=False) for _ in range(layout.blocks)
        )
        self.transitions = nn.ModuleList(
            nn.Conv2d(outer, channels, 1, bias=False) for _ in range(layout.blocks)
        )
        self.norms = nn.ModuleList(_norm(channels) for _ in range(layout.blocks + 1))
        self.classifier = objective.head(channels)

    def sizes(self) -> list[Tensor]:
        """Not known: options have no weights of their own."""
        raise UnsupportedError(
            "space=memory_bank has options without weights of their own: use algorithm=smash"
        )

    def logits(self, x: Tensor, rows: Sequence[Row]) -> Tensor:
        """``(B, classes)`` logits of one architecture, whose options alone have weights.

        Raises:
            UnsupportedError: a mixture of architectures.
        """
        arch = np.array([_only(row.live) for row in rows], np.int64)
        blocks = self._operations(arch)
        x = F.relu(_normed(self.norms[0], self.stem(x)))
        for number, block in enumerate(blocks):
            x = halved(x) if number else x

            def apply(at: int, read: Tensor, number: int = number, block: list = block) -> Tensor:
                return self._applied(number, at, block[at], read)

            joined = run_block(x, self._layout.banks, block, apply)
            x = F.relu(_normed(self.norms[number + 1], self.transitions[number](joined)))
        return self.classifier(x)

    def _applied(self, block: int, slot: int, operation: Operation, read: Tensor) -> Tensor:
        """What an operation writes, ``(B, writes * N, H, W)``."""
        place, size = block * self._layout.slots + slot, operation.kernel
        inner = operation.units * self._channels
        y = F.conv2d(read, self.hyper(block, slot, operation))
        y = F.relu(_normed(self.inner_norms[place], y, slice(inner)))
        bank = np.arange(self._channels)
        written = np.concatenate([bank + own * self._channels for own in operation.writes])
        outputs = torch.from_numpy(written).to(read.device)
        edge = (self._widest - size) // 2
        window: Tensor = self.windows[block].weight  # pyright: ignore[reportAssignmentType]
        weight = window[outputs, :inner, edge : edge + size, edge : edge + size]
        padding = operation.dilation * (size // 2)
        y = F.conv2d(y, weight, padding=padding, dilation=operation.dilation)
        return F.relu(_normed(self.outer_norms[place], y, outputs))


def _only(live: Mapping[int, Tensor | None]) -> int:
    if len(live) != 1 or any(images is not None for images in live.values()):
        raise UnsupportedError(
            "space=memory_bank computes one architecture at a time, not mixtures: use "
            "algorithm=smash, rsps or enas"
        )
    return next(iter(live))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, track_running_stats=False)


def _normed(norm: nn.Module, x: Tensor, channels: slice | Tensor = slice(None)) -> Tensor:
    """``x (B, C, H, W)`` normalised over the batch, with the weights of some channels."""
    weight: Tensor = norm.weight  # pyright: ignore[reportAssignmentType]
    bias: Tensor = norm.bias  # pyright: ignore[reportAssignmentType]
    return F.batch_norm(x, None, None, weight[channels], bias[channels], training=True)
