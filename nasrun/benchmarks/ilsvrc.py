"""ImageNet-1k's classes in the two orders that files number them in."""

from functools import cache
from pathlib import Path

import numpy as np

from nasrun.spec import Ints

# A WordNet id a line, as map_clsloc.txt of the ILSVRC development kit numbers them, from 1.
CLASSES = Path(__file__).parent / "measured" / "ilsvrc_classes.txt"


@cache
def development_kit() -> tuple[str, ...]:
    """The 1,000 WordNet ids in the order of the development kit, which downsampled ImageNet has."""
    return tuple(CLASSES.read_text().split())


def sorted_rows() -> Ints:
    """``(1000,)`` of each class in the order of the development kit: its place in sorted order."""
    names = development_kit()
    return np.argsort(np.argsort(np.array(names)))
