"""A table to print, and how figures are written in its cells."""

import unicodedata
from dataclasses import dataclass

import numpy as np

MINUS = "−"  # the sign, which is as wide as +; a hyphen is none


@dataclass(frozen=True)
class Sheet:
    """A table to print: ``texts`` counts the leading columns that hold words, not figures.

    ``bold`` has the (row, column) of the best figures; ``caption`` says what the cells are.
    """

    title: str
    headers: list[str]
    rows: list[list[str]]
    texts: int = 1
    bold: frozenset[tuple[int, int]] = frozenset()
    caption: str = ""


def plain(text: str) -> str:
    """Text of others in one line, without control characters, which would steer what shows it."""
    line = " ".join(text.split())
    return "".join(letter for letter in line if not unicodedata.category(letter).startswith("C"))


def number(value: float, decimals: int, sign: str = "") -> str:
    """A figure to so many decimals; empty for NaN. What rounds to zero has no sign."""
    if np.isnan(value):
        return ""
    rounded = round(value, decimals) + 0.0  # turns -0.0 into 0.0
    return f"{rounded:{sign if rounded else ''}.{decimals}f}".replace("-", MINUS)


def spread(mean: float, std: float, decimals: int) -> str:
    """``93.75 ± 0.39``; a mean alone where no standard deviation is known."""
    deviation = number(std, decimals)
    return number(mean, decimals) + (f" ± {deviation}" if deviation else "")


def p_text(value: float) -> str:
    """A p value to three decimals; empty for NaN."""
    if np.isnan(value):
        return ""
    return "<0.001" if value < 0.001 else f"{value:.3f}"
