"""Recipes of recurrent cells as NAS-Bench-NLP writes them: a JSON text of named operations."""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nasrun.spaces.notation import Scanner

INPUT, STATE = "x", re.compile(r"h_(?:prev|new)_([0-9]{1,3})")
NONE = 0
OPERATIONS = (
    "none", "linear2", "linear3", "blend", "elementwise_prod", "elementwise_sum",
    "activation_tanh", "activation_sigm", "activation_leaky_relu",
)  # fmt: skip
ARITY = np.array([0, 2, 3, 3, 2, 2, 1, 1, 1])
LINEAR = (1, 2)
INPUTS = 3  # of a node at most
WRITTEN = ("linear", *OPERATIONS[3:])
BLEND = OPERATIONS.index("blend")  # the one whose inputs have roles

Cell = Mapping[str, tuple[int, Sequence[str]]]  # operation and inputs by node, inputs first
Link = tuple[int, int, int]  # from, to, kind


def before(state: int) -> str:
    """The name of a state as a cell reads it."""
    return f"h_prev_{state}"


def after(state: int) -> str:
    """The name of the node that is a state for the next word."""
    return f"h_new_{state}"


def number_of(name: str) -> int | None:
    """Which state a name means, before or after; None: it names no state."""
    found = STATE.fullmatch(name)
    return None if found is None else int(found[1])


def is_after(name: str) -> bool:
    """Whether a node is a new state."""
    return name.startswith("h_new_") and number_of(name) is not None


def written(cell: Cell) -> str:
    """The text of a cell, without the release's blanks."""
    nodes = [
        f'"{name}":{{"op":"{WRITTEN[max(operation - 2, 0)]}","input":[{_listed(sources)}]}}'
        for name, (operation, sources) in cell.items()
    ]
    return "{" + ",".join(nodes) + "}"


def _listed(names: Iterable[str]) -> str:
    return ",".join(f'"{name}"' for name in names)


def read(text: str) -> Cell:
    """The cell of a text, its nodes in the order of the text but for those that must wait.

    Raises:
        ConfigError: not in the format, or no cell; the message shows the place.
    """
    scanner, nodes = Scanner("a NAS-Bench-NLP", text), dict[str, _Node]()
    scanner.expect("{")
    while True:
        scanner.blanks()
        place = scanner.place
        name = scanner.word()
        if name in nodes or name == INPUT or name.startswith("h_prev_"):
            raise scanner.bad(f"{name} is there already", place)
        nodes[name] = _Node(scanner, place)
        if not scanner.accept(","):
            break
    scanner.expect("}")
    scanner.end("recipe")
    states = {number_of(name) for name in nodes if is_after(name)}
    if states != set(range(max(len(states), 1))):
        raise scanner.bad("expected h_new_0, h_new_1, ... without a gap", 0)
    known = {INPUT, *nodes, *(before(state) for state in range(len(states)))}
    for node in nodes.values():
        node.require_known(scanner, known)
    return _in_order(scanner, nodes)


class _Node:
    """What stands behind a node's name.

    Raises:
        ConfigError: not in the format; the message shows the place.
    """

    def __init__(self, scanner: Scanner, place: int) -> None:
        self.place = place
        scanner.expect(":", "{")
        scanner.key("op")
        kind = scanner.quoted(WRITTEN)
        scanner.expect(",")
        scanner.key("input")
        scanner.expect("[")
        self.sources: dict[str, int] = {}  # and their places
        while True:
            scanner.blanks()
            here = scanner.place
            name = scanner.word()
            if name in self.sources:
                raise scanner.bad(f"{name} is read twice", here)
            self.sources[name] = here
            if not scanner.accept(","):
                break
        scanner.expect("]", "}")
        own = LINEAR if kind == 0 else (kind + 2,)
        found = [each for each in own if ARITY[each] == len(self.sources)]
        if not found:
            wanted = " or ".join(str(ARITY[each]) for each in own)
            raise scanner.bad(f"{WRITTEN[kind]} takes {wanted} inputs", place)
        if kind and INPUT in self.sources:
            raise scanner.bad("x is read by linear alone", self.sources[INPUT])
        [self.operation] = found

    def require_known(self, scanner: Scanner, known: set[str]) -> None:
        """Refuse inputs that are not there.

        Raises:
            ConfigError: shows the place of the first.
        """
        for name, place in self.sources.items():
            if name not in known:
                raise scanner.bad(f"there is no {name}", place)


def _in_order(scanner: Scanner, nodes: Mapping[str, _Node]) -> Cell:
    """Nodes behind what they read.

    Raises:
        ConfigError: nodes that wait for each other.
    """
    cell, waiting = dict[str, tuple[int, Sequence[str]]](), dict(nodes)
    while waiting:
        ready = (n for n, own in waiting.items() if not waiting.keys() & own.sources.keys())
        name = next(ready, None)
        if name is None:
            raise scanner.bad("nodes read each other", next(iter(waiting.values())).place)
        node = waiting.pop(name)
        cell[name] = node.operation, tuple(node.sources)
    return cell


def key(cell: Cell) -> str:
    """A text that two cells share if they differ in names and orders alone.

    The first state is the cell's output; the others may change places. Inputs have no order but
    those of a blend. A vertex is told from others by what it is and by what leads to it and from
    it, again and again; of those that still look alike each in turn is taken for the first, and the
    smallest text is the key.
    """
    states = sum(is_after(name) for name in cell)
    names = [INPUT, *(before(state) for state in range(states)), *cell]
    place = {name: at for at, name in enumerate(names)}
    labels = [-1, -2, *[-3] * (states - 1), *(operation for operation, _ in cell.values())]
    links: list[Link] = []
    for name, (operation, sources) in cell.items():
        for role, source in enumerate(sources, 1):
            links.append((place[source], place[name], role if operation == BLEND else 0))
        if is_after(name):
            links.append((place[name], place[before(int(name[6:]))], -1))
    return _smallest(labels, labels, links)


def _smallest(labels: Sequence[int], colours: Sequence[int], links: Sequence[Link]) -> str:
    colours = _refined(colours, links)
    alike = next((c for c in sorted(set(colours)) if colours.count(c) > 1), None)
    if alike is None:
        named = sorted((colours[a], colours[b], kind) for a, b, kind in links)
        kinds = [label for _, label in sorted(zip(colours, labels, strict=True))]
        return f"{kinds}{named}"
    members = [at for at, colour in enumerate(colours) if colour == alike]
    # Twice the colours leaves room for one just before those that it was told from.
    doubled = [2 * colour for colour in colours]
    firsts = [[c - (at == first) for at, c in enumerate(doubled)] for first in members]
    return min(_smallest(labels, first, links) for first in firsts)


def _refined(colours: Sequence[int], links: Sequence[Link]) -> list[int]:
    """Colours from 0 on, no two vertices of one colour with other surroundings."""
    found, number = list(colours), 0
    while True:
        around = [(own, list[tuple[int, int, int]]()) for own in found]
        for a, b, kind in links:
            around[a][1].append((0, kind, found[b]))
            around[b][1].append((1, kind, found[a]))
        sights = [(own, tuple(sorted(links))) for own, links in around]
        ranks = {sight: rank for rank, sight in enumerate(sorted(set(sights)))}
        found = [ranks[sight] for sight in sights]
        if len(ranks) == number:
            return found
        number = len(ranks)


def require_room(cell: Cell, nodes: int, states: int, text: str) -> None:
    """Refuse a cell that is larger than the space.

    Raises:
        ConfigError: says by what.
    """
    has = sum(is_after(name) for name in cell)
    if len(cell) > nodes or has > states:
        raise Scanner("a NAS-Bench-NLP", text).bad(
            f"{len(cell)} nodes and {has} states, where space.nodes={nodes} and "
            f"space.states={states} are the most"
        )
