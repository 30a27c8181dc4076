"""The text in which DARTS cells are published, ``Genotype(normal=[('sep_conv_3x3', 0), ...``."""

from collections.abc import Callable, Sequence

from nasrun.nets.darts_cells import CELLS, INPUTS, Branch
from nasrun.spaces.notation import Scanner

Cells = Sequence[Sequence[tuple[Branch, Branch]]]
# What the numbers of operations mean in texts that have no names ([UC] darts/genotypes.py, [Z]).
UNAS = (
    "skip_connect", "sep_conv_3x3", "max_pool_3x3", "dil_conv_3x3", "sep_conv_5x5", "avg_pool_3x3",
    "sep_conv_7x7",
)  # fmt: skip
BANANAS = (
    "none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5",
    "dil_conv_3x3", "dil_conv_5x5",
)  # fmt: skip


def write_genotype(cells: Cells, operations: Sequence[str]) -> str:
    """The text of the branches by cell and node."""
    parts: list[str] = []
    for name, cell in zip(CELLS, cells, strict=True):
        pairs = [f"('{operations[op]}', {source})" for node in cell for op, source in node]
        span = f"range({INPUTS}, {INPUTS + len(cell)})"
        parts.append(f"{name}=[{', '.join(pairs)}], {name}_concat={span}")
    return f"Genotype({', '.join(parts)})"


def read_genotype(
    text: str,
    operations: Sequence[str],
    nodes: int,
    repeats: bool,
    numbered: Sequence[str] = BANANAS,
) -> Cells:
    """The branches by cell and node.

    Besides what ``write_genotype`` returns, these are read, with any white space and quotes:

    - ``NAME = Genotype(...)``, nodes one by one in brackets or not, and the nodes side by side as
      ``range(2, 6)`` or as ``[2, 3, 4, 5]``. The two branches of a node may have either order;
    - UNAS's ``Genotype(normal=[[{'inputs': [0, 1], 'ops': [4, 0]}, ...]], ...,
      alphas_normal=None, alphas_reduce=None)``, whose operations are numbered as in ``UNAS``;
    - BANANAS's ``([(0, 4), (1, 3), ...], [...])``: the normal and the reduction cell as pairs of
      an earlier node and an operation, numbered as in ``BANANAS``. Its successor for NAS-Bench-301
      writes the same pairs, but counts operations without ``none``: ``space=nb301`` reads those.

    Args:
        text: one of these.
        operations: names that are known.
        nodes: of a cell.
        repeats: whether both branches of a node may read the same earlier node.
        numbered: what the numbers of operations mean in texts of pairs.

    Raises:
        ConfigError: not in the format; the message shows the place.
    """
    scanner = Scanner("a DARTS", text)
    scanner.assigned()
    if scanner.brackets():
        return _pairs(scanner, operations, nodes, repeats, numbered)
    scanner.expect("Genotype", "(")
    cells: list[list[tuple[Branch, Branch]]] = []
    for number, name in enumerate(CELLS):
        if number:
            scanner.expect(",")
        scanner.expect(name, "=")
        closing = scanner.opened()
        inner = scanner.opened() if scanner.ahead("[", "{") else None  # UNAS's
        cell: list[tuple[Branch, Branch]] = []
        for node in range(nodes):
            if node:
                scanner.expect(",")
            cell.append(_node(scanner, operations, INPUTS + node, repeats))
        if inner is not None:
            scanner.closed(inner)
        scanner.closed(closing)
        scanner.expect(",", f"{name}_concat", "=")
        _side_by_side(scanner, nodes)
        cells.append(cell)
    if scanner.accept(",", "alphas_normal"):
        scanner.expect("=", "None", ",", "alphas_reduce", "=", "None")
    scanner.closed(")")
    scanner.end("text")
    return cells


def _node(
    scanner: Scanner, operations: Sequence[str], sources: int, repeats: bool
) -> tuple[Branch, Branch]:
    """The two branches of a node, in brackets of their own or not, or as UNAS has them."""
    if scanner.accept("{"):
        return _unas_node(scanner, operations, sources, repeats)
    closing = scanner.opened() if scanner.brackets() else None
    first = scanner.branch(operations, sources)
    scanner.expect(",")
    scanner.blanks()
    place = scanner.place
    second = scanner.branch(operations, sources)
    if closing is not None:
        scanner.closed(closing)
    return _checked(scanner, first, second, repeats, place)


def _checked(
    scanner: Scanner, first: Branch, second: Branch, repeats: bool, place: int
) -> tuple[Branch, Branch]:
    """Both branches; ``place`` is that of the second one's earlier node."""
    if first[1] == second[1] and not repeats:
        raise scanner.bad(f"the node reads node {first[1]} already", place)
    return first, second


def _unas_node(
    scanner: Scanner, operations: Sequence[str], sources: int, repeats: bool
) -> tuple[Branch, Branch]:
    """``'inputs': [0, 1], 'ops': [4, 0]}``."""
    scanner.key("inputs")
    place = scanner.place
    one, other = _two(scanner, lambda: scanner.number(sources, "a node"))
    scanner.expect(",")
    scanner.key("ops")
    ops = _two(scanner, lambda: _numbered(scanner, UNAS, "UNAS", operations))
    scanner.closed("}")
    return _checked(scanner, (ops[0], one), (ops[1], other), repeats, place)


def _two(scanner: Scanner, read: Callable[[], int]) -> tuple[int, int]:
    closing = scanner.opened()
    one = read()
    scanner.expect(",")
    other = read()
    scanner.closed(closing)
    return one, other


def _numbered(scanner: Scanner, names: Sequence[str], whose: str, operations: Sequence[str]) -> int:
    """An operation by its number among ``names``; returns its number in the space."""
    scanner.blanks()
    place = scanner.place
    name = names[scanner.number(len(names), "an operation")]
    if name not in operations:
        raise scanner.bad(f"in {whose}'s numbers this is {name}, which the space lacks", place)
    return operations.index(name)


def _pairs(
    scanner: Scanner,
    operations: Sequence[str],
    nodes: int,
    repeats: bool,
    numbered: Sequence[str],
) -> Cells:
    """BANANAS's two cells, or its successor's."""
    outer = scanner.opened()
    cells: list[list[tuple[Branch, Branch]]] = [[], []]
    for number, cell in enumerate(cells):
        if number:
            scanner.expect(",")
        inner = scanner.opened()
        for sources in range(INPUTS, INPUTS + nodes):
            if cell:
                scanner.expect(",")
            first = _pair(scanner, operations, sources, numbered)
            scanner.expect(",")
            place = scanner.place
            second = _pair(scanner, operations, sources, numbered)
            cell.append(_checked(scanner, first, second, repeats, place))
        scanner.closed(inner)
    scanner.closed(outer)
    scanner.end("text")
    return cells


def _pair(
    scanner: Scanner, operations: Sequence[str], sources: int, numbered: Sequence[str]
) -> Branch:
    """``(0, 4)``: an earlier node and an operation."""
    closing = scanner.opened()
    source = scanner.number(sources, "a node")
    scanner.expect(",")
    operation = _numbered(scanner, numbered, "BANANAS", operations)
    scanner.closed(closing)
    return operation, source


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
