"""Operations between memory banks; imports no torch."""

from typing import NamedTuple


class Operation(NamedTuple):
    """Reads some banks, and adds what it makes of them to some banks.

    ``units`` are the channels between its two convolutions, in widths of a bank.
    """

    units: int
    kernel: int
    dilation: int
    reads: tuple[int, ...]
    writes: tuple[int, ...]
