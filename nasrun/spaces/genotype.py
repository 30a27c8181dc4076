"""The text in which DARTS cells are published, ``Genotype(normal=[('sep_conv_3x3', 0), ...``."""

from collections.abc import Sequence

from nasrun.errors import ConfigError
from nasrun.nets.darts_cells import CELLS, INPUTS, Branch
from nasrun.spaces.base import misplaced

Cells = Sequence[Sequence[tuple[Branch, Branch]]]


def write_genotype(cells: Cells, operations: Sequence[str]) -> str:
    """The text of the branches by cell and node."""
    parts: list[str] = []
    for name, cell in zip(CELLS, cells, strict=True):
        pairs = [f"('{operations[op]}', {source})" for node in cell for op, source in node]
        span = f"range({INPUTS}, {INPUTS + len(cell)})"
        parts.append(f"{name}=[{', '.join(pairs)}], {name}_concat={span}")
    return f"Genotype({', '.join(parts)})"


def read_genotype(text: str, operations: Sequence[str], nodes: int, repeats: bool) -> Cells:
    """The branches by cell and node.

    Args:
        text: such as ``write_genotype`` returns; the two branches of a node in either order.
        operations: names that are known.
        nodes: of a cell.
        repeats: whether both branches of a node may read the same earlier node.

    Raises:
        ConfigError: not in the format; the message shows the place.
    """
    scanner = _Scanner(text)
    scanner.expect("Genotype(")
    cells: list[list[tuple[Branch, Branch]]] = []
    for number, name in enumerate(CELLS):
        scanner.expect(f"{', ' if number else ''}{name}=[")
        cell: list[tuple[Branch, Branch]] = []
        for node in range(nodes):
            first = scanner.branch(operations, INPUTS + node, ", " if node else "")
            place = scanner.place
            second = scanner.branch(operations, INPUTS + node, ", ")
            if first[1] == second[1] and not repeats:
                raise _bad(text, place, f"the node reads node {first[1]} already")
            cell.append((first, second))
        scanner.expect(f"], {name}_concat=range({INPUTS}, {INPUTS + nodes})")
        cells.append(cell)
    scanner.expect(")")
    if scanner.place != len(text):
        raise _bad(text, scanner.place, "the text should end here")
    return cells


class _Scanner:
    """Reads a text from left to right."""

    def __init__(self, text: str) -> None:
        self._text, self.place = text, 0

    def expect(self, token: str) -> None:
        if not self._text.startswith(token, self.place):
            raise _bad(self._text, self.place, f"expected {token!r}")
        self.place += len(token)

    def branch(self, operations: Sequence[str], sources: int, before: str) -> Branch:
        self.expect(f"{before}('")
        name = self._text[self.place :].partition("'")[0]
        if name not in operations:
            raise _bad(self._text, self.place, f"expected one of {', '.join(operations)}")
        self.place += len(name)
        self.expect("', ")
        number = self._text[self.place :].partition(")")[0]
        if not (number.isdecimal() and number.isascii() and int(number) < sources):
            raise _bad(self._text, self.place, f"expected a node from 0 to {sources - 1}")
        self.place += len(number)
        self.expect(")")
        return operations.index(name), int(number)


def _bad(text: str, place: int, why: str) -> ConfigError:
    return misplaced("a DARTS", text, place, why)
