"""Small spaces of the kinds that nasrun's own spaces are not, and a judge that reads texts."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import ClassVar

import numpy as np

from nasrun.spaces.base import misplaced
from nasrun.spaces.conditional import ConditionalSpace
from nasrun.spaces.constrained import ConstrainedSpace
from nasrun.spaces.genome import GenomeSpace
from nasrun.spec import ACCURACY, Clock, Dag, Evaluator, Measured, Protocol, Scored, Session, Task

TASK = Task("toy", 10, 32, "toy-valid", "toy", 50, 100)
KINDS = "abc"
END = "."


def expect(text, place, allowed, what):
    """The place after the next character, which must be one of those allowed."""
    if text[place : place + 1] not in tuple(allowed):
        raise misplaced(what, text, place, f"expected one of {', '.join(allowed)}")
    return place + 1


class Layers(ConditionalSpace):
    """One to three layers: no b follows a b, and no a follows a c. Texts are such as ``abc.``.

    So decisions do not exist in short networks, and the option 0 of one that does may be illegal.
    """

    name = "toy_layers"
    decisions = (("1", "2", "3"), *(tuple(KINDS),) * 3)

    def legal(self, prefix):
        n, place = prefix.shape
        if not place:
            return np.ones((n, 3), bool)
        beyond = place > prefix[:, 0] + 1
        before = prefix[:, -1] if place > 1 else np.zeros(n, int)
        legal = np.ones((n, 3), bool)
        legal[before == 1, 1] = False
        legal[before == 2, 0] = False
        legal[beyond] = [True, False, False]
        return legal

    def text(self, arch):
        return "".join(KINDS[kind] for kind in arch[1 : arch[0] + 2]) + END

    def parse(self, text):
        arch = np.zeros(4, np.int64)
        for place in range(3):
            legal = [kind for kind, ok in zip(KINDS, self._after(text[:place]), strict=True) if ok]
            end = expect(text, place, [*legal, END] if place else legal, "a layered")
            if text[place] == END:
                break
            arch[0], arch[place + 1] = place, KINDS.index(text[place])
        else:
            place, end = 3, expect(text, 3, END, "a layered")
        if end != len(text):
            raise misplaced("a layered", text, end, "the text should end here")
        return arch

    def _after(self, text):
        return self.legal(np.array([[2, *(KINDS.index(kind) for kind in text)]]))[0]


class Graphs(ConstrainedSpace):
    """Graphs as in NAS-Bench-101: a bit for each edge of the upper triangle, then operations.

    One exists if it has at most ``most`` edges and some way from the first vertex to the last.
    Texts are such as ``110101:ca``.
    """

    name = "toy_graphs"

    def __init__(self, vertices=4, most=5):
        self.vertices, self.most = vertices, most
        self.edges = np.triu_indices(vertices, 1)
        kinds = (tuple(KINDS),) * (vertices - 2)
        self._decisions = (("0", "1"),) * len(self.edges[0]) + kinds

    @property
    def decisions(self):
        return self._decisions

    def exists(self, archs):
        adjacency = self.dag(archs).adjacency
        few = adjacency.sum(axis=(1, 2)) <= self.most
        return super().exists(archs) & few & self._reached(adjacency)[:, -1]

    @staticmethod
    def _reached(adjacency):
        reached = np.zeros(adjacency.shape[:2], bool)
        reached[:, 0] = True
        for vertex in range(1, adjacency.shape[1]):
            reached[:, vertex] = (adjacency[:, :, vertex] & reached).any(axis=1)
        return reached

    def text(self, arch):
        bits, kinds = np.split(arch, [len(self.edges[0])])
        return "".join(map(str, bits)) + ":" + "".join(KINDS[kind] for kind in kinds)

    def parse(self, text):
        place, bits, arch = 0, len(self.edges[0]), []
        for allowed in ["01"] * bits + [":"] + [KINDS] * (self.vertices - 2):
            end = expect(text, place, allowed, "a graph")
            arch += [allowed.index(text[place])] if allowed != ":" else []
            place = end
        if place != len(text):
            raise misplaced("a graph", text, place, "the text should end here")
        arch = np.array(arch, np.int64)
        if not self.exists(arch[None])[0]:
            raise misplaced("a graph", text, 0, "too many edges, or no way to the last vertex")
        return arch

    @property
    def dag_operations(self):
        return ("input", "output", *KINDS)

    def dag(self, archs):
        bits, kinds = np.split(archs, [len(self.edges[0])], axis=1)
        adjacency = np.zeros((len(archs), self.vertices, self.vertices), bool)
        adjacency[:, *self.edges] = bits == 1
        operations = np.pad(kinds + 2, ((0, 0), (1, 1)))
        operations[:, -1] = 1
        return Dag(adjacency, operations)

    def canonical(self, arch):
        """What is on no way from first to last vertex is gone, the rest in its first order."""
        [adjacency], [operations] = self.dag(arch[None])
        forwards = self._reached(adjacency[None])[0]
        backwards = self._reached(adjacency.T[None, ::-1, ::-1])[0][::-1]
        used = np.flatnonzero(forwards & backwards)
        adjacency, operations = adjacency[np.ix_(used, used)], operations[used]
        inner = range(1, len(used) - 1)
        orders = ([0, *order, len(used) - 1] for order in permutations(inner))
        return min(str((adjacency[np.ix_(o, o)] * 1, operations[o])) for o in orders)


class Bits(GenomeSpace):
    """Strings of bits of any length, such as ``0110.``; the good ones are long."""

    name = "toy_bits"
    minimal = "0" + END

    def drawn(self, uniforms):
        length = 1 + int(4 * uniforms(1)[0])
        return "".join("01"[int(2 * u)] for u in uniforms(length)) + END

    def mutated(self, genome, uniforms):
        bits = list(genome[:-1])
        place = int((len(bits) + 1) * uniforms(1)[0])
        if place == len(bits):
            bits.append("01"[int(2 * uniforms(1)[0])])
        else:
            bits[place] = "10"[int(bits[place])]
        return "".join(bits) + END

    def crossed(self, a, b, uniforms):
        shorter = min(len(a), len(b))
        cut = 1 + int((shorter - 1) * uniforms(1)[0])
        return a[:cut] + b[cut:]

    def read(self, text):
        place = 0
        while text[place : place + 1] != END or not place:
            place = expect(text, place, "01" + END * bool(place), "a bit string")
        if place + 1 != len(text):
            raise misplaced("a bit string", text, place + 1, "the text should end here")
        return text


@dataclass
class ByText(Evaluator, Session):
    """Scores are noisy numbers made of texts; costs differ; a share of architectures fails."""

    name: str = "by_text"
    clock: ClassVar[Clock] = Clock.SIMULATED
    failing: float = 0.0
    metric = ACCURACY
    fidelities = (1, 4, 12)
    protocol = Protocol("toy-valid", "val@12", "mean", "toy")

    def opened(self, space, task):
        session = ByText(failing=self.failing)
        session.space = space
        return session

    def _number(self, archs):
        return np.array([zlib.crc32(self.space.text(arch).encode()) % 997 for arch in archs])

    def evaluate(self, archs, *, epochs, streams, parents=None):
        assert self.space.exists(archs).all(), "asked to measure what does not exist"
        number = self._number(archs)
        score = number / 10 * epochs / 12 + 3.0 * streams.normal()[:, 0]
        score = np.where(number < 997 * self.failing, np.nan, score)
        return Measured.scored(archs, epochs, score, epochs * (1.0 + number % 5))

    def score(self, archs, task):
        number, unknown = self._number(archs) / 10, np.full(len(archs), np.nan)
        return Scored(number, number - 1, unknown, unknown, unknown, "12 epochs")


TOY_SPACES: Mapping[str, type] = {"layers": Layers, "graphs": Graphs, "bits": Bits}
