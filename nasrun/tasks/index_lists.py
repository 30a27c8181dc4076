"""Which pictures belong to which part: published index lists, or draws that a seed repeats."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nasrun.errors import DataError
from nasrun.images import Labels
from nasrun.streams import Ints, Streams


def read_index_lists(path: Path, names: Sequence[str]) -> list[Ints]:
    """The lists of these names in a split file of AutoDL-Projects: ``{name: ["int", [...]]}``.

    Raises:
        DataError: another format, or a row in two lists.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        lists = [np.array(content[name][1], np.int64) for name in names]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(
            f"{path}: expected index lists named {' and '.join(names)} ({error}); get it again"
        ) from None
    rows = np.concatenate(lists)
    if len(np.unique(rows)) < len(rows) or rows.min(initial=0) < 0:
        raise DataError(f"{path}: a row stands in it twice or is negative; get the file again")
    return lists


def draw(labels: Labels, count: int, seed: int, purpose: str) -> Ints:
    """``(count,)`` ascending rows, each class with the same share as near as can be.

    A larger count draws the same rows and more. ``purpose`` names the use: other uses of a seed,
    other rows.
    """
    chance = Streams([seed], purpose).uniform(len(labels))[0]
    order = np.lexsort((chance, labels))
    sizes = np.bincount(labels)
    place = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    share = (place + 0.5) / np.repeat(sizes, sizes)
    first = np.lexsort((chance[order], share))[:count]
    return np.sort(order[first])
