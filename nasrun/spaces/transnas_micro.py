"""TransNAS-Bench-101's micro space: a cell of four nodes and six edges (4,096 cells)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nasrun.spaces import transnas_skeleton as skeleton
from nasrun.spaces.base import CategoricalSpace
from nasrun.spaces.dags import line_graph
from nasrun.spaces.notation import Scanner
from nasrun.spaces.skeleton import conv, in_millions
from nasrun.spec import Archs, Dag, Edges, Floats, Scale, Task

if TYPE_CHECKING:
    from torch import nn

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")  # by the digit
# (to, from) of each decision, in the order of the architecture string.
EDGES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
PREFIX = "64-41414-"


@dataclass
class TransNASMicro(CategoricalSpace):
    """The cell-level space of Duan et al., "TransNAS-Bench-101" (CVPR 2021), section 3.1.

    An operation of each edge of a cell; a node is the sum of its edges. All networks have the
    modules 41414 of two cells each, and the first cell of a halving module has stride 2 on the
    edges that leave its input.
    """

    name: str = "transnas_micro"

    _decisions: ClassVar[tuple[tuple[str, ...], ...]] = (OPERATIONS,) * len(EDGES)

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """The four operations, for each of the edges 1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2."""
        return self._decisions

    def text(self, arch: Archs) -> str:
        """Official string ``64-41414-a_bc_def``: a digit an edge, by the node that it leads to."""
        digits = "".join(map(str, arch))
        return f"{PREFIX}{digits[0]}_{digits[1:3]}_{digits[3:]}"

    def parse(self, text: str) -> Archs:
        """``(6,)`` architecture of an official string, or of NASLib's tuple ``(a, b, c, d, e, f)``.

        Both have the digits in the same order. White space around is passed over.

        Raises:
            ConfigError: not in the format; the message shows the place.
        """
        scanner = Scanner("a TransNAS-Bench-101 micro", text)
        scanner.blanks()
        if scanner.ahead("(") or scanner.ahead("["):
            found = _tuple(scanner)
        else:
            scanner.exactly(PREFIX)
            found: list[int] = []
            for node, source in EDGES:
                if source == 0 and node > 1:
                    scanner.exactly("_")
                found.append(scanner.digit(len(OPERATIONS)))
        scanner.end("string")
        return np.array(found, np.int64)

    def canonical(self, arch: Archs) -> str:
        """Key of ``arch (6,)``, the same for cells that are the same function of the same weights.

        The key writes node 3 as an expression of the input ``0``. ``none`` adds nothing. A skip
        that leaves the input counts as an operation, because it has weights where its cell halves
        the image; another skip is the node it comes from. A convolution of a node without edges is
        not nothing: its normalisation learns a bias. What leads nowhere leaves no trace; a cell
        whose output nothing reaches is ``none``.
        """
        nodes: list[tuple[str, ...]] = [("0",)]
        sums: list[list[str]] = [[], [], []]
        for option, (node, source) in zip(arch, EDGES, strict=True):
            operation = OPERATIONS[option]
            if operation == "skip_connect" and source > 0:
                sums[node - 1].extend(nodes[source])
            elif operation != "none":
                sums[node - 1].append(f"({'+'.join(nodes[source])})@{operation}")
            if source == node - 1:
                nodes.append(tuple(sorted(sums[node - 1])))
        return "+".join(nodes[-1]) or "none"

    @property
    def dag_operations(self) -> tuple[str, ...]:
        """Input, output and the four operations."""
        return ("input", "output", *OPERATIONS)

    def dag(self, archs: Archs) -> Dag:
        """``archs (n, 6)`` as graphs of eight vertices: input, the six edges in order, output."""
        targets, sources = np.array(EDGES).T
        return line_graph(sources, targets, 2 + archs, outputs=[3])

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` parameters and FLOPs in millions, with a classifier of ``task.classes``.

        Counted as in NAS-Bench-201's records. The benchmark's heads of other tasks are not counted.
        """
        fixed = skeleton.ends(skeleton.MICRO, task.classes, task.image_px)
        cost = np.repeat(fixed[:, None], len(archs), axis=1)
        for c_in, c_out, stride, px in skeleton.sides(skeleton.MICRO, task.image_px):
            for place, (_, source) in enumerate(EDGES):
                wide, step = (c_in, stride) if source == 0 else (c_out, 1)
                each = np.stack([
                    np.zeros(2, np.int64),
                    skeleton.skip(wide, c_out, step, px),
                    conv(1, wide, c_out, px),
                    conv(3, wide, c_out, px),
                ])  # fmt: skip
                cost += each[archs[:, place]].T
        return in_millions(cost)

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The benchmark's network of ``arch (6,)``: 64 channels and 2 cells a module by default."""
        from nasrun.nets.classification import objective_of
        from nasrun.nets.nb201 import Cell
        from nasrun.nets.transnas import Network

        edges = self.graph(arch)
        plan = skeleton.cells(
            skeleton.MICRO, scale.channels or skeleton.WIDTH, scale.cells or skeleton.CELLS
        )
        return Network(lambda *sizes: Cell(edges, *sizes), plan, objective_of(task))

    def graph(self, arch: Archs) -> Edges:
        """The six edges, ``none`` included."""
        return [
            (str(src), str(dst), OPERATIONS[o]) for o, (dst, src) in zip(arch, EDGES, strict=True)
        ]


def _tuple(scanner: Scanner) -> list[int]:
    outer, found = scanner.opened(), list[int]()
    for place in range(len(EDGES)):
        if place:
            scanner.expect(",")
        scanner.blanks()
        found.append(scanner.digit(len(OPERATIONS)))
    scanner.closed(outer)
    return found
