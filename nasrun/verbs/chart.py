"""Curves in the terminal, in characters that every terminal and every mail has."""

from collections.abc import Mapping

import numpy as np

from nasrun.report.jobs import Curve, settled
from nasrun.streams import Floats

MARKS = "*o+x#@%&"
HEIGHT = 10  # lines


def chart(curves: Mapping[str, Curve], width: int) -> list[str]:
    """Mean curves against evaluations, as lines of at most ``width`` characters.

    The height is spent where curves differ after a tenth of the budget, as in figures; what lies
    outside is not shown. Of curves that meet, the first one is seen. Empty without a point.
    """
    drawn = {name: curve for name, curve in curves.items() if len(curve.x)}
    if not drawn:
        return []
    low, high = settled(list(drawn.values()))
    low, high = (low, high) if high > low else (low - 1, high + 1)
    labels = [f"{value:.2f}" for value in (high, low)]
    margin = max(map(len, labels))
    columns = width - margin - 2
    last = max(float(curve.x[-1]) for curve in drawn.values())
    canvas = np.full((HEIGHT, columns), " ")
    for mark, curve in reversed(list(zip(_marks(len(drawn)), drawn.values(), strict=True))):
        _draw(canvas, curve.x / last, (curve.mean - low) / (high - low), mark)
    heads = [labels[0], *[""] * (HEIGHT - 2), labels[1]]
    lines = [f"{head:>{margin}} |{''.join(row)}" for head, row in zip(heads, canvas, strict=True)]
    foot = f"{'':{margin}} +{'-' * columns}"
    end = f"{last:.0f} evaluations"
    names = zip(_marks(len(drawn)), drawn, strict=True)
    legend = [f"{'':{margin}}  {mark} {name}" for mark, name in names] if len(drawn) > 1 else []
    return [*(line.rstrip() for line in lines), foot, f"{end:>{width}}", *legend]


def _marks(count: int) -> list[str]:
    return [MARKS[place % len(MARKS)] for place in range(count)]


def _draw(canvas: np.ndarray, x: Floats, y: Floats, mark: str) -> None:
    """A step curve from ``(0, 1]``, each column with the last point that it has passed."""
    height, columns = canvas.shape
    at = np.searchsorted(x, np.arange(1, columns + 1) / columns + 1e-9, side="right") - 1
    for column in np.flatnonzero(at >= 0):
        row = round(float((1 - y[at[column]]) * (height - 1)))
        if 0 <= row < height:
            canvas[row, column] = mark
