"""SMASH's space: operations that read from and write to memory banks."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.memory_banks import Operation
from nasrun.ranges import require_at_least
from nasrun.spaces.conditional import ConditionalSpace
from nasrun.spaces.notation import Scanner
from nasrun.spec import Archs, Edges, Ints, Mask, Scale, Supernet, Task

if TYPE_CHECKING:
    from torch import nn

ABSENT = "none"
FIGURES = 3  # decisions of an operation before its reads and writes: units, kernel, dilation


@dataclass
class MemoryBank(ConditionalSpace):
    """Blocks of ``banks`` of channels; an operation reads some and adds to some.

    Brock et al., "SMASH: One-Shot Model Architecture Search through HyperNetworks" (ICLR 2018),
    section 3.1: a residual, dense or plain network is a way to use banks. A block's first bank
    holds what it gets, and new banks are filled in their order. An operation is a 1x1 convolution
    to ``units`` banks' width and one with a window to what it writes.

    An operation has 3 + 2 ``banks`` decisions: its units (or none, and then no more operations come
    in the block), kernel, dilation, whether it reads each bank, whether it writes each. It reads
    at least one, of those that are filled, and writes at least one.

    Departures, ours: at most ``slots`` operations a block and ``banks`` banks, where the authors
    draw as many as a budget of reads allows; no groups.

    Raises:
        ConfigError: a count below 1, a list that is empty or not rising, or kernels that are even.
    """

    name: str = "memory_bank"
    blocks: int = 3
    slots: int = 4
    banks: int = 6
    channels: int = 8
    units: list[int] = field(default_factory=lambda: [1, 2, 4])
    kernels: list[int] = field(default_factory=lambda: [3, 5, 7])
    dilations: list[int] = field(default_factory=lambda: [1, 2])
    hidden: int = 64

    def __post_init__(self) -> None:
        lists = ("units", "kernels", "dilations")
        require_at_least(self, "space", 1, "blocks", "slots", "banks", "channels", "hidden", *lists)
        for key in lists:
            values: list[int] = getattr(self, key)
            if not values or values != sorted(set(values)):
                raise ConfigError(f"space.{key} must hold numbers in rising order, got {values}")
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ConfigError(f"space.kernels must be odd numbers, got {self.kernels}")

    @property
    def _each(self) -> int:
        """Decisions of an operation."""
        return FIGURES + 2 * self.banks

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """Operation by operation: units, kernel, dilation, reads, writes."""
        figures = ((ABSENT, *self.units), self.kernels, self.dilations)
        named = tuple(tuple(map(str, options)) for options in figures)
        return (named + (("no", "yes"),) * (2 * self.banks)) * (self.blocks * self.slots)

    def legal(self, prefix: Archs) -> Mask:
        """``(n, options)``: what belongs to an operation that is not there stays 0."""
        n, place = prefix.shape
        number, part = divmod(place, self._each)
        start = number * self._each
        legal = np.ones((n, int(self.arity[place])), np.bool_)
        if part == 0:
            if number % self.slots:
                legal[prefix[:, start - self._each] == 0, 1:] = False
            return legal
        absent = prefix[:, start] == 0
        if part >= FIGURES:
            bank = (part - FIGURES) % self.banks
            first = start + FIGURES + (self.banks if part >= FIGURES + self.banks else 0)
            some = (prefix[:, first:] > 0).any(axis=1)
            filled = self._filled(prefix, number)
            if first == start + FIGURES:  # reads, of filled banks
                may, last = bank < filled, filled - 1
            else:  # writes, to filled banks and the next ones without a gap
                upto = np.maximum(filled, self._reach(prefix[:, first:]))
                may, last = bank <= upto, np.minimum(filled, self.banks - 1)
            legal[:, 1] = may
            legal[:, 0] = some | (bank != last)
        legal[absent] = np.arange(legal.shape[1]) == 0
        return legal

    def _filled(self, prefix: Archs, number: int) -> Ints:
        """``(n,)`` how many banks are filled before an operation."""
        rows = prefix[:, : number * self._each].reshape(len(prefix), number, self._each)
        own = rows[:, number - number % self.slots :, FIGURES + self.banks :]
        return np.maximum(1, self._reach(np.asarray(own.any(axis=1))))

    @staticmethod
    def _reach(written: Archs | Mask) -> Ints:
        """``(n,)`` the number behind the last bank that is written, of ``written (n, banks)``."""
        numbers = np.arange(1, written.shape[1] + 1)
        return np.where(written > 0, numbers, 0).max(axis=1, initial=0)

    def operations(self, arch: Archs) -> list[list[Operation]]:
        """The operations of ``arch (L,)``, by block."""
        blocks = list[list[Operation]]()
        for block in arch.reshape(self.blocks, self.slots, self._each):
            own = block[block[:, 0] > 0]
            blocks.append([self._operation(row) for row in own])
        return blocks

    def _operation(self, row: Archs) -> Operation:
        units, kernel, dilation = row[:FIGURES].tolist()
        reads, writes = np.split(row[FIGURES:], 2)
        return Operation(
            self.units[units - 1],
            self.kernels[kernel],
            self.dilations[dilation],
            tuple(np.flatnonzero(reads).tolist()),
            tuple(np.flatnonzero(writes).tolist()),
        )

    def _row(self, operation: Operation) -> Archs:
        row = np.zeros(self._each, np.int64)
        row[:FIGURES] = (
            1 + self.units.index(operation.units),
            self.kernels.index(operation.kernel),
            self.dilations.index(operation.dilation),
        )
        row[[FIGURES + bank for bank in operation.reads]] = 1
        row[[FIGURES + self.banks + bank for bank in operation.writes]] = 1
        return row

    def of_operations(self, blocks: list[list[Operation]]) -> Archs:
        """``(L,)`` the architecture with these operations."""
        arch = np.zeros((self.blocks, self.slots, self._each), np.int64)
        for own, block in zip(arch, blocks, strict=True):
            for slot, operation in enumerate(block):
                own[slot] = self._row(operation)
        return arch.ravel()

    def text(self, arch: Archs) -> str:
        """Such as ``[op(0, 2, 3, 1, 0+1)] [] []``: reads, units, kernel, dilation, writes."""
        blocks = [", ".join(map(_text, block)) for block in self.operations(arch)]
        return " ".join(f"[{block}]" for block in blocks)

    def parse(self, text: str) -> Archs:
        """``(L,)`` architecture of a text.

        Raises:
            ConfigError: not in the format, or against the rules; the message shows the place.
        """
        scanner = Scanner("a memory_bank", text)
        blocks: list[list[Operation]] = [[] for _ in range(self.blocks)]
        for block in blocks:
            scanner.expect("[")
            while len(block) < self.slots and scanner.accept(*[","] * bool(block), "op"):
                start = scanner.place
                block.append(self._read(scanner))
                if not self.exists(self.of_operations(blocks)[None])[0]:
                    raise scanner.bad("reads or writes that may not be", start)
            scanner.expect("]")
        scanner.end("blocks")
        return self.of_operations(blocks)

    def _read(self, scanner: Scanner) -> Operation:
        scanner.expect("(")
        reads = self._banks(scanner)
        units, kernel, dilation = (
            self._figure(scanner, key) for key in ("units", "kernels", "dilations")
        )
        scanner.expect(",")
        writes = self._banks(scanner)
        scanner.expect(")")
        return Operation(units, kernel, dilation, reads, writes)

    def _figure(self, scanner: Scanner, key: str) -> int:
        """One of the numbers that the space has for ``key``."""
        scanner.expect(",")
        scanner.blanks()
        start, values = scanner.place, list[int](getattr(self, key))
        found = scanner.number(10**6, key)
        if found not in values:
            raise scanner.bad(f"expected one of {', '.join(map(str, values))}", start)
        return found

    def _banks(self, scanner: Scanner) -> tuple[int, ...]:
        banks = [scanner.number(self.banks, "a bank")]
        while scanner.accept("+"):
            banks.append(scanner.number(self.banks, "a bank"))
        if banks != sorted(set(banks)):
            raise scanner.bad("expected banks in rising order")
        return tuple(banks)

    def graph(self, arch: Archs) -> Edges:
        """Banks at each time that they are written, and the operations between."""
        edges, times = Edges(), 0
        for number, block in enumerate(self.operations(arch)):
            held = {0: f"{number}:0"}
            for operation in block:
                times += 1
                own = f"{operation.kernel}x{operation.kernel} {times}"
                edges += [(held[bank], own, "read") for bank in operation.reads]
                for bank in operation.writes:
                    new = f"{number}:{bank} ({times})"
                    edges.append((own, new, "write"))
                    if bank in held:
                        edges.append((held[bank], new, "keep"))
                    held[bank] = new
            end = f"{number + 1}:0" if number + 1 < self.blocks else "output"
            edges += [(name, end, "transition") for name in held.values()]
        return edges

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The network of ``arch (L,)``; ``scale.channels`` are those of a bank.

        Raises:
            UnsupportedError: a number of cells.
        """
        from nasrun.nets.classification import objective_of
        from nasrun.nets.memory_bank import BankNetwork

        channels = self._channels(scale)
        return BankNetwork(self.operations(arch), self.banks, channels, objective_of(task))

    def supernet(self, task: Task, scale: Scale, *, share: int = 1, track: bool = True) -> Supernet:
        """All networks, whose 1x1 weights a hyper-network writes; one at a time is computed.

        Normalisation judges by the batch's moments, whatever ``track``.

        Raises:
            UnsupportedError: a number of cells, or operations that are to be bypassed.
        """
        from nasrun.nets.classification import objective_of
        from nasrun.nets.memory_bank import BankSupernet, Layout

        if share != 1:
            raise UnsupportedError(
                "space=memory_bank has no operations to bypass: use algorithm=smash"
            )
        layout = Layout(
            self.blocks, self.slots, self.banks,
            tuple(self.units), tuple(self.kernels), tuple(self.dilations),
        )  # fmt: skip
        channels = self._channels(scale)
        return BankSupernet(
            layout, self.decisions, self.operations, channels, self.hidden, objective_of(task)
        )

    def _channels(self, scale: Scale) -> int:
        if scale.cells is not None:
            raise UnsupportedError(
                "space=memory_bank decides on each of its operations: leave cells at null "
                "(scale.cells=null, evaluator.cells=null)"
            )
        return scale.channels or self.channels


def _text(operation: Operation) -> str:
    units, kernel, dilation, *banks = operation
    reads, writes = ("+".join(map(str, own)) for own in banks)
    return f"op({reads}, {units}, {kernel}, {dilation}, {writes})"
