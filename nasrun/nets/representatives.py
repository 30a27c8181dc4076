"""One architecture that stands for all of the same canonical form."""

from collections.abc import Callable

import numpy as np

from nasrun.spec import Archs, CountableSpace, SearchSpace

LISTED = 100_000  # architectures of a space that is listed


def representatives(space: SearchSpace) -> Callable[[Archs], Archs]:
    """A function that gives the first architecture with the same canonical form as its argument.

    Trained in the place of all others, it makes their figures one, whoever asks first. A space too
    large to be listed has every architecture stand for itself.
    """
    if not isinstance(space, CountableSpace) or space.size > LISTED:
        return lambda arch: arch
    archs = space.at(np.arange(space.size))
    first: dict[str, int] = {}
    own = {
        int(at): first.setdefault(space.canonical(archs[at]), int(at))
        for at in np.flatnonzero(space.exists(archs))
    }
    return lambda arch: archs[own[int(space.index(arch))]]
