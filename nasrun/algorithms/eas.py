"""EAS: a controller learns to widen and deepen a network, whose weights are handed on."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from nasrun.algorithms.episodic import Episodic
from nasrun.nets.eas_controller import EASController
from nasrun.ranges import require_at_least
from nasrun.spec import Archs, Ints, Mask, Problem, SearchSpace, Streams


@runtime_checkable
class Layered(Protocol):
    """A space of layers that get wider and more, as ``net2net`` does.

    ``layer_choices``: how many blocks, layers of a block and kinds of a new layer there are.
    """

    vocabulary: int
    layer_choices: tuple[int, int, int]

    @property
    def first(self) -> Archs:
        """``(L,)`` the network to grow from."""
        ...

    def tokens(self, arch: Archs) -> Ints:
        """``(n,)`` the layers of ``arch (L,)`` by number."""
        ...

    def can_widen(self, arch: Archs) -> Mask:
        """``(n,)`` which of these have a next width."""
        ...

    def widened(self, arch: Archs, chosen: Mask) -> Archs:
        """``(L,)`` with the ``chosen (n,)`` layers at their next width."""
        ...

    def can_deepen(self, arch: Archs) -> Mask:
        """Behind which layers a new one may come, and of which kind; of ``layer_choices``."""
        ...

    def deepened(self, arch: Archs, block: int, layer: int, kind: int) -> Archs:
        """``(L,)`` with such a new layer."""
        ...


class _Decisions:
    """Any other space, whose decisions stand for layers: an option after another for the widths."""

    layer_choices = (1, 1, 1)

    def __init__(self, space: SearchSpace, first: Archs) -> None:
        self._space, self.first = space, first
        self._before = np.concatenate([[0], np.cumsum(space.arity)[:-1]])
        self.vocabulary = int(space.arity.sum())

    def tokens(self, arch: Archs) -> Ints:
        return self._before + arch

    def can_widen(self, arch: Archs) -> Mask:
        return np.array([len(self._others(arch, place)) > 0 for place in range(len(arch))])

    def widened(self, arch: Archs, chosen: Mask) -> Archs:
        for place in np.flatnonzero(chosen).tolist():
            others = self._others(arch, place)
            arch = others[0] if len(others) else arch
        return arch

    def _others(self, arch: Archs, place: int) -> Archs:
        """``(n, L)`` with another option for a decision; the first option follows the last."""
        options = int(self._space.arity[place])
        others = np.repeat(arch[None], options - 1, axis=0)
        others[:, place] = (arch[place] + np.arange(1, options)) % options
        return others[self._space.exists(others)]

    def can_deepen(self, arch: Archs) -> Mask:
        return np.zeros((1, 1, 1), np.bool_)

    def deepened(self, arch: Archs, block: int, layer: int, kind: int) -> Archs:
        return arch


@dataclass
class EAS(Episodic):
    """A controller widens and deepens the first network, step by step, for ``Episodic`` rewards.

    Cai et al., "Efficient Architecture Search by Network Transformation" (AAAI 2018), sections 3
    and 4, with the settings of the authors' code: an episode is ``wider`` steps, in each of which
    any number of layers get wider, and ``deeper`` steps of one new layer each, from the first
    network on, whose weights the result inherits (``evaluator=inheriting``).

    Departures: an episode's entropy is the sum over its choices (the authors': a mean over them),
    and the baseline begins with the first batch's mean (theirs: with zero); in a space without
    layers decisions stand for them, of which each step gives some the next option that exists (the
    first after the last), from a random architecture on; and those of ``Episodic``.

    Args:
        wider: steps of an episode in which layers get wider.
        deeper: steps of an episode in which a layer is added.
        embedding: width of a layer's embedding.
        hidden: units of the encoder in each direction.

    Raises:
        ConfigError: a value out of its range.
    """

    name: str = "eas"
    wider: int = 4
    deeper: int = 5
    embedding: int = 16
    hidden: int = 50
    learning_rate: float = 2e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "algorithm", 1, "embedding", "hidden")
        require_at_least(self, "algorithm", 0, "wider", "deeper")

    def prepare(self, problem: Problem, streams: Streams) -> Archs:
        """``(L,)`` the first network."""
        space = problem.space
        self._space: Layered = (  # pyright: ignore[reportAttributeAccessIssue]: a conditional property
            space if isinstance(space, Layered) else _Decisions(space, space.sample(streams)[0])
        )
        return self._space.first

    def make(self) -> EASController:
        """The controller."""
        space = self._space
        self._controller = EASController(
            space.vocabulary, space.layer_choices, self.embedding, self.hidden
        )
        return self._controller

    def played(self) -> tuple[Archs, Tensor, Tensor]:
        """``(L,)`` what an episode makes of the first network, its log-probability and entropy."""
        space, arch = self._space, self.first
        log_p = entropy = torch.zeros(())
        for step in range(self.wider + self.deeper):
            tokens = torch.from_numpy(space.tokens(arch))
            if step < self.wider:
                can = torch.from_numpy(space.can_widen(arch))
                done = self._controller.widen(tokens, can, self.generator)
                arch = space.widened(arch, np.array(done.choices, np.bool_))
            else:
                legal = torch.from_numpy(space.can_deepen(arch))
                if not legal.any():
                    break
                done = self._controller.deepen(tokens, legal, self.generator)
                arch = space.deepened(arch, *done.choices)
            log_p, entropy = log_p + done.log_p, entropy + done.entropy
        return arch, log_p, entropy
