"""Spaces in which some combinations of options are no architectures."""

from abc import abstractmethod
from collections.abc import Callable, Mapping

import numpy as np

from nasrun.errors import UnsupportedError
from nasrun.spaces.base import CategoricalSpace, settings
from nasrun.spec import Archs, Ints, Mask, Streams

TRIES = 1000  # draws of one architecture, after which it is given up


class ConstrainedSpace(CategoricalSpace):
    """Decisions drawn independently, and again until the whole is an architecture.

    A subclass gives ``decisions`` and ``exists``, as for the graphs of NAS-Bench-101, most of whose
    encodings have too many edges or no way from input to output. A space that can say after every
    prefix which options remain is better off as a ``ConditionalSpace``: policies that choose one
    decision after the other know nothing of ``exists`` until they have chosen all.
    """

    @abstractmethod
    def exists(self, archs: Archs) -> Mask:
        """``(n,)`` whether all options are there, to which a subclass adds what makes a whole."""
        return super().exists(archs)

    @property
    def limits(self) -> Mapping[str, object]:
        """All settings: any of them may decide what exists."""
        return settings(self)

    def sample(self, streams: Streams) -> Archs:
        """``(T, L)`` architectures, uniform over all encodings that exist.

        Raises:
            UnsupportedError: hardly any does.
        """
        length = len(self.arity)

        def drawn(trials: Ints) -> Archs:
            return streams.integers(self.arity, length, trials)

        archs, missing = self._until_they_exist(len(streams), drawn)
        if len(missing):
            raise UnsupportedError(
                f"space={self.name}: none of {TRIES} random encodings is an architecture: its "
                "class must have a sample() of its own"
            )
        return archs

    def mutate(self, archs: Archs, streams: Streams) -> Archs:
        """``(T, L)`` copies in which one decision differs, uniform over the changes that exist.

        Raises:
            UnsupportedError: an architecture of which hardly any change exists.
        """
        mutants, missing = self._until_they_exist(
            len(archs), lambda trials: self.changed(archs[trials], streams, trials)
        )
        if len(missing):
            raise UnsupportedError(
                f"space={self.name}: none of {TRIES} changes of one decision in "
                f"{self.text(archs[missing[0]])} is an architecture: its class must have a "
                "mutate() of its own"
            )
        return mutants

    def crossover(self, a: Archs, b: Archs, streams: Streams) -> Archs:
        """``(T, L)`` children: each decision from ``a`` or ``b (T, L)``; ``a`` if none exists."""

        def mixed(trials: Ints) -> Archs:
            of_a = streams.uniform(a.shape[1], trials) < 0.5
            return np.where(of_a, a[trials], b[trials])

        children, missing = self._until_they_exist(len(a), mixed)
        children[missing] = a[missing]
        return children

    def neighbours(self, arch: Archs) -> Archs:
        """``(n, L)`` all architectures one decision away, in order of decision and option."""
        around = super().neighbours(arch)
        return around[self.exists(around)]

    def _until_they_exist(self, trials: int, drawn: Callable[[Ints], Archs]) -> tuple[Archs, Ints]:
        """``(T, L)`` what ``drawn`` gives, asked again for those trials whose last does not exist.

        Returns:
            Those drawn last, and the trials that were given up.
        """
        missing = np.arange(trials)
        archs = drawn(missing)
        for _ in range(TRIES):
            missing = missing[~self.exists(archs[missing])]
            if not len(missing):
                break
            archs[missing] = drawn(missing)
        return archs, missing
