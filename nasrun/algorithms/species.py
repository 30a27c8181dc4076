"""Species of a population: who belongs to which, who may have offspring, and how many."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from nasrun.spec import Archs, Floats, Ints

Distance = Callable[[Archs, Archs], Floats]  # ``(n,)`` of ``(n, L)`` genomes from one ``(L,)``


@dataclass
class Species:
    """Genomes near to a representative; ``best`` of all fitness so far, and since when."""

    representative: Archs
    members: list[int] = field(default_factory=list[int])
    best: float = -np.inf
    stagnant: int = 0

    def take(self, fitness: Floats) -> None:
        """Note whether the best member is better than all before it."""
        best = float(fitness[self.members].max())
        self.stagnant = 0 if best > self.best else self.stagnant + 1
        self.best = max(best, self.best)


def divided(
    archs: Archs, before: Sequence[Species], distance: Distance, threshold: float
) -> list[Species]:
    """The species of ``archs (N, L)``, extinct ones left out.

    Each genome joins the first species whose representative is nearer than ``threshold``; if there
    is none, it founds one.
    """
    left: Ints = np.arange(len(archs))
    found, waiting = list[Species](), list(before)
    while len(left):
        species = waiting.pop(0) if waiting else None
        new = species is None
        species = species or Species(archs[left[0]].copy())
        near = distance(archs[left], species.representative) < threshold
        near[0] |= new  # whatever a distance from itself may be
        species.members = left[near].tolist()
        left = left[~near]
        if species.members:
            found.append(species)
    return found


def shares(species: Sequence[Species], fitness: Floats, size: int) -> list[int]:
    """How many of ``size`` offspring each has: by the mean fitness of its members.

    Which is the sum of fitness shared by explicit fitness sharing, f / members. Fractions go to
    the largest remainders.
    """
    means = np.array([fitness[one.members].mean() for one in species])
    weights = means if means.sum() > 0 else np.ones(len(means))
    exact = size * weights / weights.sum()
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[: size - counts.sum()]] += 1
    return counts.tolist()


def breeding(species: Sequence[Species], patience: int, stuck: bool) -> list[Species]:
    """Those that may have offspring: none that stagnates, and the two best if all is ``stuck``.

    Where all stagnate, the two best go on, too.
    """
    fresh = [one for one in species if one.stagnant < patience]
    if stuck or not fresh:
        fresh = sorted(species, key=lambda one: -one.best)[:2]
    return fresh
