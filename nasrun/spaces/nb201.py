"""NAS-Bench-201's cell: four nodes, six edges, one of five operations on each (15,625 strings)."""

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np

from nasrun.errors import ConfigError
from nasrun.spaces.base import CategoricalSpace
from nasrun.spec import Archs, Edges, Floats, Ints, Streams, Task

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
# (to, from) of each decision, in the order of the architecture string.
EDGES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))


class Mutation(Enum):
    """Which edge a mutation changes."""

    edge = "edge"  # uniform over the six edges
    node = "node"  # a node first, then one of its edges: edge 1<-0 gets 1/3, node-3 edges 1/9


@dataclass
class NB201(CategoricalSpace):
    """The topology space of NAS-Bench-201 (Dong and Yang, ICLR 2020) and NATS-Bench (tss).

    ``mutation=node`` is the rule of the authors' regularised evolution script, which changes the
    edges of early nodes more often than those of late ones; ``edge`` is uniform.
    """

    name: str = "nb201"
    mutation: Mutation = Mutation.edge

    _decisions: ClassVar[tuple[tuple[str, ...], ...]] = (OPERATIONS,) * len(EDGES)

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """The five operations, for each of the edges 1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2."""
        return self._decisions

    def mutate(self, archs: Archs, streams: Streams) -> Archs:
        """``(T, 6)`` copies in which one edge has another operation."""
        if self.mutation is Mutation.edge:
            return super().mutate(archs, streams)
        node = 1 + streams.integers(3)[:, 0]
        edge = node * (node - 1) // 2 + streams.integers(node[:, None])[:, 0]
        return self._change(archs, edge, streams)

    def text(self, arch: Archs) -> str:
        """Official string: ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
        parts = [f"{OPERATIONS[o]}~{src}|" for o, (_, src) in zip(arch, EDGES, strict=True)]
        return f"|{parts[0]}+|{parts[1]}{parts[2]}+|{parts[3]}{parts[4]}{parts[5]}"

    def parse(self, text: str) -> Archs:
        """``(6,)`` architecture of an official string.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        place, found = 0, []
        for node, source in EDGES:
            place = _expect(text, place, ("+|" if node > 1 else "|") if source == 0 else "")
            name = text[place:].partition("~")[0]
            if name not in OPERATIONS:
                raise _bad(text, place, f"expected one of {', '.join(OPERATIONS)}")
            place = _expect(text, place + len(name), f"~{source}|")
            found.append(OPERATIONS.index(name))
        if place != len(text):
            raise _bad(text, place, "the string should end here")
        return np.array(found, np.int64)

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` exact parameters and FLOPs, in millions, of the 16-channel, N = 5 network."""
        return _params_m(archs, task), _flops_m(archs, task)

    def graph(self, arch: Archs) -> Edges:
        """The six edges, ``none`` included."""
        return [
            (str(src), str(dst), OPERATIONS[o]) for o, (dst, src) in zip(arch, EDGES, strict=True)
        ]


def _expect(text: str, place: int, token: str) -> int:
    if not text.startswith(token, place):
        raise _bad(text, place, f"expected {token!r}")
    return place + len(token)


def _bad(text: str, place: int, why: str) -> ConfigError:
    return ConfigError(
        f"not a NAS-Bench-201 architecture: {why} at character {place + 1}: "
        f"{text[:place]!r} >>> {text[place:]!r}"
    )


def _counts(archs: Archs) -> tuple[Ints, Ints]:
    """Number of 1x1 and of 3x3 convolutions per cell."""
    return (archs == 2).sum(-1), (archs == 3).sum(-1)


def _params_m(archs: Archs, task: Task) -> Floats:
    """Stem, residual blocks and 15 cells; only the classifier depends on the task.

    A 1x1 edge costs 0.028 M and a 3x3 edge 0.24304 M over the three stages; the classifier has
    64 weights and a bias per class.
    """
    ones, threes = _counts(archs)
    return (72656 + 65 * task.classes) / 1e6 + 0.028 * ones + 0.24304 * threes


def _flops_m(archs: Archs, task: Task) -> Floats:
    """Convolution FLOPs scale with the image area; the classifier counts 64 weights and a bias."""
    ones, threes = _counts(archs)
    area = (task.image_px / 32) ** 2
    base = 7.7824 * area + 65 * task.classes / 1e6
    return base + area * (3.93216 * ones + 35.38944 * threes)
