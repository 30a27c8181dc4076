"""NASH: hill climbing by network morphisms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from nasrun.algorithms.base import SampleBased, ranked_last
from nasrun.ranges import require_at_least
from nasrun.spec import Archs, Floats, Measured, Phase, Problem, Streams


@runtime_checkable
class Morphing(Protocol):
    """A space whose architectures grow by network morphisms, as ``net2net`` does."""

    @property
    def first(self) -> Archs:
        """``(L,)`` the architecture to grow from."""
        ...

    def morphs(self, arch: Archs) -> Mapping[str, Archs]:
        """``(n, L)`` what morphisms of each kind that there are make of ``arch (L,)``."""
        ...


@dataclass
class NASH(SampleBased):
    """Train children of the best network from its weights; the best of them is the next parent.

    Elsken et al., "Simple and Efficient Architecture Search for Convolutional Neural Networks"
    (2017), Algorithm 1: of ``children`` one is the parent itself, trained on, and the others are
    the parent after ``morphisms`` random morphisms each, of a kind and then a place drawn uniformly
    (deeper, wider, a skip). Every training has a cosine of its own, from a rate high enough to
    leave the parent's optimum: ``recipe@evaluator.recipe=nash evaluator.epochs=17``. With the
    paper's five steps a search takes ``budget.evaluations=41``. ``evaluator=inheriting`` hands the
    weights on; any other evaluator measures the same children by itself.

    The parent is measured last of its children, as it then is the parent of the next ones that has
    trained longest. Departures: the best network measured in all the search is recommended, as
    elsewhere in nasrun; the final training is from scratch; in a space without morphisms a child is
    the parent after ``morphisms`` mutations, and the first one is random; if all children fail,
    the parent stays.

    Args:
        children: of a step, the parent itself included.
        morphisms: that lead to a child.

    Raises:
        ConfigError: a count below 1, or a single child.
    """

    name: str = "nash"
    children: int = 8
    morphisms: int = 5

    def __post_init__(self) -> None:
        require_at_least(self, "algorithm", 2, "children")
        require_at_least(self, "algorithm", 1, "morphisms")

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin with the space's first network, or a random one."""
        super().start(problem, streams, phase)
        space = problem.space
        if isinstance(space, Morphing):
            self._parents: Archs = np.repeat(space.first[None], problem.trials, axis=0)
        else:
            self._parents = space.sample(streams)
        self._asked: Archs = self._parents.copy()
        self._measured = 0  # of this step's children
        self._best_child: Archs = self._parents.copy()
        self._highest: Floats = np.full(problem.trials, -np.inf)

    def ask(self) -> Archs:
        """``(T, L)`` the next child of each trial; at first the networks to grow from."""
        return self._asked.copy()

    def started_from(self) -> Archs | None:
        """``(T, L)`` the best children of the step before; none of the first networks."""
        return self._parents.copy() if self.steps else None

    def tell(self, measured: Measured) -> None:
        """Keep the best child; after the last one it is the parent."""
        reward = ranked_last(measured.reward)
        better = reward > self._highest
        self._best_child[better] = measured.archs[better]
        self._highest = np.maximum(reward, self._highest)
        self._measured += 1
        if self.steps == 0 or self._measured == self.children:
            self._parents, self._measured = self._best_child.copy(), 0
            self._highest = np.full(len(reward), -np.inf)
        last = self._measured == self.children - 1
        self._asked = self._parents.copy() if last else self._grown()

    def _grown(self) -> Archs:
        """``(T, L)`` children of the parents."""
        space, children = self.problem.space, self._parents
        for _ in range(self.morphisms):
            if isinstance(space, Morphing):
                uniforms = self.streams.uniform(2)
                pairs = zip(children, uniforms, strict=True)
                children = np.stack([_morphed(space, *pair) for pair in pairs])
            else:
                children = space.mutate(children, self.streams)
        return children


def _morphed(space: Morphing, arch: Archs, uniforms: Floats) -> Archs:
    """``(L,)`` one of its morphs, by kind and place; itself, where nothing can grow any more."""
    kinds = list(space.morphs(arch).values())
    if not kinds:
        return arch
    found = kinds[int(uniforms[0] * len(kinds))]
    return found[int(uniforms[1] * len(found))]
