"""The text in which DARTS cells are published, ``Genotype(normal=[('sep_conv_3x3', 0), ...``."""

from collections.abc import Sequence

from nasrun.nets.darts_cells import CELLS, INPUTS, Branch
from nasrun.spaces.notation import Scanner

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
        text: such as ``write_genotype`` returns, or as publications have it: with any white space
            and quotes, after ``NAME =``, nodes one by one in brackets or not, and the nodes side by
            side as ``range(2, 6)`` or as ``[2, 3, 4, 5]``. The two branches of a node may have
            either order.
        operations: names that are known.
        nodes: of a cell.
        repeats: whether both branches of a node may read the same earlier node.

    Raises:
        ConfigError: not in the format; the message shows the place.
    """
    scanner = Scanner("a DARTS", text)
    scanner.assigned()
    scanner.expect("Genotype", "(")
    cells: list[list[tuple[Branch, Branch]]] = []
    for number, name in enumerate(CELLS):
        if number:
            scanner.expect(",")
        scanner.expect(name, "=")
        closing = scanner.opened()
        cell: list[tuple[Branch, Branch]] = []
        for node in range(nodes):
            if node:
                scanner.expect(",")
            cell.append(_node(scanner, operations, INPUTS + node, repeats))
        scanner.closed(closing)
        scanner.expect(",", f"{name}_concat", "=")
        _side_by_side(scanner, nodes)
        cells.append(cell)
    scanner.closed(")")
    scanner.end("text")
    return cells


def _node(
    scanner: Scanner, operations: Sequence[str], sources: int, repeats: bool
) -> tuple[Branch, Branch]:
    """The two branches of a node, in brackets of their own or not."""
    closing = scanner.opened() if scanner.brackets() else None
    first = scanner.branch(operations, sources)
    scanner.expect(",")
    scanner.blanks()
    place = scanner.place
    second = scanner.branch(operations, sources)
    if first[1] == second[1] and not repeats:
        raise scanner.bad(f"the node reads node {first[1]} already", place)
    if closing is not None:
        scanner.closed(closing)
    return first, second


def _side_by_side(scanner: Scanner, nodes: int) -> None:
    """The nodes that are the cell's output: all of them, in this space."""
    first, last = str(INPUTS), str(INPUTS + nodes)
    if scanner.accept("list", "("):
        scanner.expect("range", "(", first, ",", last, ")", ")")
    elif scanner.ahead("(") or scanner.ahead("["):
        closing = scanner.opened()
        for node in range(INPUTS, INPUTS + nodes):
            scanner.expect(*([","] if node > INPUTS else []), str(node))
        scanner.closed(closing)
    else:
        scanner.expect("range", "(", first, ",", last, ")")
