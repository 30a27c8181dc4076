"""The text of the NASNet family's cells, as DARTS's authors write those that others found.

``Genotype(normal=[('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ...], normal_concat=[2, 3, ...], ...)``
(Liu et al., "DARTS", ``genotypes.py``): the branches of the blocks one by one, then the blocks that
no other reads. State 0 is the cell before the last, 1 the last one, 2 the first block. A combiner
other than ``add``, which DARTS does not have, is named behind the branches of its block.
"""

from collections.abc import Sequence

from nasrun.nets.block_cells import INPUTS, Block, unread
from nasrun.spaces.notation import Scanner

ADD = "add"


def write_blocks(
    cells: Sequence[Sequence[Block]],
    names: Sequence[str],
    operations: Sequence[str],
    combiners: Sequence[str],
) -> str:
    """The text of blocks by cell."""
    parts: list[str] = []
    for name, cell in zip(names, cells, strict=True):
        words: list[str] = []
        for block in cell:
            words += [f"('{operations[op]}', {source})" for op, source in block.branches]
            if combiners[block.combiner] != ADD:
                words.append(f"'{combiners[block.combiner]}'")
        ends = [INPUTS + at for at in unread(cell)]
        parts.append(f"{name}=[{', '.join(words)}], {name}_concat={ends}")
    return f"Genotype({', '.join(parts)})"


def read_blocks(
    what: str,
    text: str,
    names: Sequence[str],
    operations: Sequence[str],
    combiners: Sequence[str],
    fewest: int,
    most: int,
) -> list[list[Block]]:
    """The blocks by cell, with any white space and quotes, ``NAME =`` before it or not.

    Args:
        what: the kind of architecture, for errors.
        text: as ``write_blocks`` writes it; what is side by side may be a ``range(2, 7)``, too.
        names: of the cells.
        operations: names that are known.
        combiners: names that are known.
        fewest: blocks of a cell.
        most: blocks of a cell.

    Raises:
        ConfigError: not in the format, or others than the unread blocks are side by side; the
            message shows the place.
    """
    scanner = Scanner(what, text)
    scanner.assigned()
    scanner.expect("Genotype", "(")
    cells: list[list[Block]] = []
    for number, name in enumerate(names):
        if number:
            scanner.expect(",")
        scanner.expect(name, "=")
        cell = _cell(scanner, operations, combiners, fewest, most)
        scanner.expect(",", f"{name}_concat", "=")
        _side_by_side(scanner, [INPUTS + at for at in unread(cell)])
        cells.append(cell)
    scanner.closed(")")
    scanner.end("text")
    return cells


def _cell(
    scanner: Scanner, operations: Sequence[str], combiners: Sequence[str], fewest: int, most: int
) -> list[Block]:
    closing, cell = scanner.opened(), list[Block]()
    while True:
        sources = INPUTS + len(cell)
        first = scanner.branch(operations, sources)
        scanner.expect(",")
        second = scanner.branch(operations, sources)
        cell.append(Block((first, second), _combiner(scanner, combiners)))
        if len(cell) == most or (len(cell) >= fewest and _at_end(scanner, closing)):
            break
        scanner.expect(",")
    scanner.closed(closing)
    return cell


def _at_end(scanner: Scanner, closing: str) -> bool:
    return scanner.ahead(closing) or scanner.ahead(",", closing)


def _combiner(scanner: Scanner, combiners: Sequence[str]) -> int:
    """The combiner that is named next; ``add``, or the space's only one, where none is."""
    for quote in "'\"":
        if scanner.accept(",", quote):
            found = scanner.operation(combiners, quote)
            scanner.exactly(quote)
            return found
    if len(combiners) > 1 and ADD not in combiners:
        raise scanner.bad(f"expected one of {', '.join(combiners)}")
    return combiners.index(ADD) if ADD in combiners else 0


def _side_by_side(scanner: Scanner, states: Sequence[int]) -> None:
    """Exactly the blocks that are unread."""
    whole = list(range(states[0], states[-1] + 1))
    if states == whole and scanner.ahead("range"):
        scanner.expect("range", "(", str(states[0]), ",", str(states[-1] + 1), ")")
        return
    closing = scanner.opened()
    for at, state in enumerate(states):
        scanner.expect(*([","] if at else []), str(state))
    scanner.closed(closing)
