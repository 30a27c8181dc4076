"""Spaces without a bound: architectures of any length, written as texts."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from nasrun.errors import UnsupportedError
from nasrun.spec import Archs, Floats, Ints, Mask, SearchSpace, Streams

Uniforms = Callable[[int], Floats]  # ``(n,)`` uniforms in [0, 1) of one trial's stream, by n


class GenomeSpace(SearchSpace):
    """Architectures of any length. An architecture is one number, under which its text is kept.

    A subclass says what the ``minimal`` genome is, how others are ``drawn``, ``mutated`` and
    ``crossed``, and how a text is ``read``. It is not countable, and none of its decisions stands
    for itself: methods that sample, mutate and cross over can search it.

    The number of a genome depends on which was met first in this process (the minimal one has 0):
    nothing may be sorted by it or drawn from it, and another process is handed texts.
    """

    @property
    @abstractmethod
    def minimal(self) -> str:
        """The genome from which others grow."""

    @abstractmethod
    def drawn(self, uniforms: Uniforms) -> str:
        """A random genome."""

    @abstractmethod
    def mutated(self, genome: str, uniforms: Uniforms) -> str:
        """A copy of a genome with one change."""

    @abstractmethod
    def crossed(self, a: str, b: str, uniforms: Uniforms) -> str:
        """A child of two genomes."""

    @abstractmethod
    def read(self, text: str) -> str:
        """The genome of a text, in the one notation that is kept.

        Raises:
            ConfigError: not a genome; the message shows the place.
        """

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """One, whose options cannot be listed."""
        return ((),)

    @cached_property
    def arity(self) -> Ints:
        """Refused: options cannot be counted."""
        raise self._no_decisions()

    def sample(self, streams: Streams) -> Archs:
        """``(T, 1)`` genomes as ``drawn`` gives them."""
        return self._numbers([self.drawn(one) for one in _by_trial(streams)])

    def mutate(self, archs: Archs, streams: Streams) -> Archs:
        """``(T, 1)`` genomes with one change each."""
        texts = map(self.text, archs)
        changes = zip(texts, _by_trial(streams), strict=True)
        return self._numbers([self.mutated(text, one) for text, one in changes])

    def crossover(self, a: Archs, b: Archs, streams: Streams) -> Archs:
        """``(T, 1)`` children as ``crossed`` gives them."""
        pairs = zip(map(self.text, a), map(self.text, b), _by_trial(streams), strict=True)
        return self._numbers([self.crossed(*pair) for pair in pairs])

    def exists(self, archs: Archs) -> Mask:
        """``(n,)`` whether there is a genome of this number."""
        numbers: list[int] = archs[:, 0].tolist()
        known = [0 <= one < len(self._texts) and self._texts[one] is not None for one in numbers]
        return np.array(known, np.bool_)

    def text(self, arch: Archs) -> str:
        """The whole genome."""
        text = self._texts[int(arch[0])]
        assert text is not None, "asked about a genome that was forgotten"
        return text

    def forget(self, archs: Archs) -> None:
        """Drop the texts of ``archs (n, 1)``; the numbers are not used again."""
        self._dropped(archs)

    def _dropped(self, archs: Archs) -> list[str]:
        """The texts that were dropped; the minimal genome stays."""
        dropped = list[str]()
        for number in archs[:, 0].tolist():
            text = self._texts[number] if number else None
            if text is not None:
                self._texts[number] = None
                del self._number[text]
                dropped.append(text)
        return dropped

    def parse(self, text: str) -> Archs:
        """``(1,)`` number of a genome.

        Raises:
            ConfigError: not a genome; the message shows the place.
        """
        return self._numbers([self.read(text)])[0]

    def canonical(self, arch: Archs) -> str:
        """The genome: no two are known to be the same network."""
        return self.text(arch)

    def neighbours(self, arch: Archs) -> Archs:
        """Refused: a genome has no end of changes."""
        raise self._no_decisions()

    def legal(self, prefix: Archs) -> Mask:
        """Refused: options cannot be listed."""
        raise self._no_decisions()

    @property
    def encodings(self) -> tuple[str, ...]:
        """None: numbers of genomes are names alone, and their lengths differ."""
        return ()

    def require_encoding(self, encoding: str | None) -> str:
        """Refused: there is none."""
        raise self._no_decisions()

    def encode(self, archs: Archs, encoding: str | None = None) -> Floats:
        """Refused: genomes differ in length."""
        raise self._no_decisions()

    def _no_decisions(self) -> UnsupportedError:
        return UnsupportedError(
            f"space={self.name} has genomes of any length, no decisions to choose one by one: use "
            "an algorithm that samples and mutates, such as algorithm=rea"
        )

    @cached_property
    def _texts(self) -> list[str | None]:
        """Genomes by number; None: forgotten."""
        return [self.minimal]

    @cached_property
    def _number(self) -> dict[str, int]:
        """Number by genome."""
        return {self.minimal: 0}

    def _numbers(self, genomes: Sequence[str]) -> Archs:
        """``(n, 1)`` numbers of genomes; one that is new gets the next."""
        for genome in genomes:
            if genome not in self._number:
                self._number[genome] = len(self._texts)
                self._texts.append(genome)
        return np.array([[self._number[genome]] for genome in genomes], np.int64).reshape(-1, 1)


def _by_trial(streams: Streams) -> list[Uniforms]:
    """Each trial's own uniforms, so that how many one draws shifts no other's."""
    rows = np.arange(len(streams))[:, None]
    return [lambda n, row=row: streams.uniform(n, row)[0] for row in rows]
