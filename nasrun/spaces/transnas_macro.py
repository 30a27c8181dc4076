"""TransNAS-Bench-101's macro space: where a network widens and where it halves (3,256 networks)."""

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nasrun.spaces import transnas_skeleton as skeleton
from nasrun.spaces.conditional import ConditionalSpace
from nasrun.spaces.dags import line_graph
from nasrun.spaces.notation import Scanner
from nasrun.spaces.skeleton import conv, in_millions
from nasrun.spec import Archs, Dag, Edges, Floats, Ints, Mask, Scale, Streams, Task

if TYPE_CHECKING:
    from torch import nn

LENGTHS = (4, 5, 6)  # modules
HALVINGS, WIDENINGS = (1, 4), (1, 3)  # least and most
LIMITS = ((HALVINGS, skeleton.HALVES), (WIDENINGS, skeleton.WIDENS))
DIGITS = ("1", "2", "3", "4")
PREFIX, SUFFIX = "64-", "-basic"
PLAIN = 0  # the option of digit 1, which is also that of a module that does not exist


@dataclass
class TransNASMacro(ConditionalSpace):
    """The network-level space of Duan et al., "TransNAS-Bench-101" (CVPR 2021), section 3.1.

    Four to six modules; one to four of them halve the maps, one to three double the channels.
    Decisions are the number of modules and the digit of each; a module that does not exist has
    the one option ``1``. Sampling is uniform over the 3,256 networks, where NASLib draws the three
    counts uniformly first; a mutation changes one digit, where NASLib draws all anew.
    """

    name: str = "transnas_macro"

    _decisions: ClassVar[tuple[tuple[str, ...], ...]] = (
        tuple(map(str, LENGTHS)),
        *(DIGITS,) * LENGTHS[-1],
    )

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """Number of modules, then six digits: 1 plain, 2 wider, 3 halved, 4 both."""
        return self._decisions

    @property
    def networks(self) -> int:
        """Every encoding that exists is a network of its own: 3,256."""
        return len(_all())

    def legal(self, prefix: Archs) -> Mask:
        """``(n, options)`` what lets the counts of halvings and widenings still end within limits.

        That is asked of each: together they always fit, because a module can do both.
        """
        n, place = prefix.shape
        if place == 0:
            return np.ones((n, len(LENGTHS)), np.bool_)
        module, length = place - 1, np.array(LENGTHS)[prefix[:, 0]]
        left = length - module - 1
        allowed = np.ones((n, len(DIGITS)), np.bool_)
        for limits, digits in LIMITS:
            before = _count(prefix[:, 1:], digits)
            after = before[:, None] + np.isin(np.arange(1, len(DIGITS) + 1), digits)
            allowed &= (after <= limits[1]) & (after + left[:, None] >= limits[0])
        nothing = np.arange(len(DIGITS)) == PLAIN
        return np.where((module < length)[:, None], allowed, nothing)

    def sample(self, streams: Streams) -> Archs:
        """``(T, 7)`` architectures, uniform over all networks."""
        return _all()[streams.integers(len(_all()))[:, 0]]

    def text(self, arch: Archs) -> str:
        """Official string, such as ``64-111114-basic``."""
        digits = arch[1 : 1 + LENGTHS[arch[0]]]
        return PREFIX + "".join(DIGITS[option] for option in digits) + SUFFIX

    def parse(self, text: str) -> Archs:
        """``(7,)`` architecture of an official string; white space around is passed over.

        Raises:
            ConfigError: not in the format, or counts outside the space; shows the place.
        """
        scanner = Scanner("a TransNAS-Bench-101 macro", text)
        scanner.blanks()
        scanner.exactly(PREFIX)
        start, found = scanner.place, list[int]()
        while not scanner.ahead(SUFFIX) and len(found) < LENGTHS[-1]:
            found.append(scanner.digit(len(DIGITS) + 1) - 1)
        if len(found) < LENGTHS[0] or PLAIN - 1 in found:
            raise scanner.bad("expected four to six digits from 1 to 4", start)
        scanner.exactly(SUFFIX)
        scanner.end("string")
        padded = found + [PLAIN] * (LENGTHS[-1] - len(found))
        arch = np.array([LENGTHS.index(len(found)), *padded], np.int64)
        fits = [low <= _count(arch[None, 1:], own)[0] <= high for (low, high), own in LIMITS]
        if not all(fits):
            raise scanner.bad(
                "expected 1 to 4 halvings (digits 3 and 4) and 1 to 3 widenings (2 and 4)", start
            )
        return arch

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """Input, output and the four kinds of modules."""
        return ("input", "output", *DIGITS)

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, 7)`` as chains of up to eight vertices: input, modules, output."""
        modules = np.arange(LENGTHS[-1])
        chain = line_graph(modules, modules + 1, 2 + archs[:, 1:], outputs=[LENGTHS[-1]])
        adjacency, operations = chain.adjacency.copy(), chain.operations.copy()
        lengths = np.array(LENGTHS)[archs[:, 0]]
        # The output's vertex follows the last module; those behind it are no vertices.
        for length in LENGTHS[:-1]:
            rows = np.flatnonzero(lengths == length)
            adjacency[rows, length + 1 :] = False
            adjacency[rows, :, length + 2 :] = False
            operations[rows, length + 1] = 1
            operations[rows, length + 2 :] = -1
        return Dag(adjacency, operations)

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` parameters and FLOPs in millions, with a classifier of ``task.classes``.

        Counted as in NAS-Bench-201's records. The benchmark's heads of other tasks are not counted.
        """
        costs = [_cost(_modules(arch), task) for arch in archs]
        return in_millions(np.array(costs, np.int64).reshape(-1, 2).T)

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The benchmark's network of ``arch (7,)``: 64 channels, 2 blocks a module by default."""
        from nasrun.nets.classification import objective_of
        from nasrun.nets.transnas import Block, Network

        plan = skeleton.cells(
            _modules(arch), scale.channels or skeleton.WIDTH, scale.cells or skeleton.CELLS
        )
        return Network(Block, plan, objective_of(task))

    def graph(self, arch: Archs) -> Edges:
        """The chain of modules."""
        words = {"1": "plain", "2": "wider", "3": "halved", "4": "wider and halved"}
        return [
            (str(at), str(at + 1), words[str(digit)]) for at, digit in enumerate(_modules(arch))
        ]


def _count(options: Archs, digits: tuple[int, ...]) -> Ints:
    """``(n,)`` how many modules have one of these digits."""
    return np.isin(options + 1, digits).sum(axis=1)


def _modules(arch: Archs) -> tuple[int, ...]:
    return tuple((arch[1 : 1 + LENGTHS[arch[0]]] + 1).tolist())


def _cost(modules: tuple[int, ...], task: Task) -> Ints:
    """``(2,)`` parameters and FLOPs."""
    cost = skeleton.ends(modules, task.classes, task.image_px)
    for c_in, c_out, stride, px in skeleton.sides(modules, task.image_px):
        cost = cost + conv(3, c_in, c_out, px) + conv(3, c_out, c_out, px)
        cost = cost + skeleton.skip(c_in, c_out, stride, px)
    return cost


@cache
def _all() -> Archs:
    """``(3256, 7)`` all networks, shorter ones first."""
    found = [
        [place, *digits, *[PLAIN] * (LENGTHS[-1] - length)]
        for place, length in enumerate(LENGTHS)
        for digits in product(range(len(DIGITS)), repeat=length)
    ]
    archs = np.array(found, np.int64)
    return archs[TransNASMacro().exists(archs)]
