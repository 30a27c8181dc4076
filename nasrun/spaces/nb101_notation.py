"""The notations in which cells of NAS-Bench-101 are written."""

import ast
import math
import re
from collections.abc import Iterator, Sequence

from nasrun.errors import ConfigError
from nasrun.nets.nb101_cells import INPUT, OPERATIONS, OUTPUT, VERTICES
from nasrun.spaces.base import misplaced

LABELS = {"input": INPUT, "output": OUTPUT} | {name: at for at, name in enumerate(OPERATIONS)}
NAMES = {label: name for name, label in LABELS.items()}
# NASLib's codes in the order of its numbers ([L] ``nasbench101/conversions.py``).
NASLIB = ("input", "output", "maxpool3x3", "conv1x1-bn-relu", "conv3x3-bn-relu")
MATRICES = {n * n: n for n in range(2, VERTICES + 1)}  # vertices, by the entries of a matrix
BITS, BETWEEN, NAME = re.compile("[01]*"), re.compile(r"\s+|\s*\|\s*"), re.compile("[^,|]*")
LONGEST = 2000  # characters of a list

Cell = tuple[list[list[int]], list[int]]


def write_cell(matrix: Sequence[Sequence[int]], labels: Sequence[int]) -> str:
    """The two texts of a record of the official file, with a space between them.

    That is the adjacency matrix, row by row, and the operations with commas between them.
    """
    bits = "".join(str(int(bit)) for row in matrix for bit in row)
    return f"{bits} {','.join(NAMES[label] for label in labels)}"


def read_cell(text: str) -> Cell:
    """Matrix and labels of a cell of 2 to 7 vertices; a label numbers an operation or an end.

    - ``0100...0 input,conv3x3-bn-relu,...,output``: matrix and operations as in the official file,
      with ``|`` in place of the space and the commas if somebody likes that better;
    - ``[[[0, 1], [0, 0]], [-1, -2]]``: the benchmark's lists, in which the input has -1, the output
      -2 and an operation its number; or all have their names in quotes;
    - ``(0, 1, 0, 0, 0, 1)``: NASLib's tuple, matrix first, in whose codes 0 is the input, 1 the
      output, 2 maxpool3x3, 3 conv1x1-bn-relu and 4 conv3x3-bn-relu.

    White space around is passed over.

    Raises:
        ConfigError: none of them, an edge back, or an end in a wrong place; says where.
    """
    begin = len(text) - len(text.lstrip())
    return _listed(text, begin) if text[begin : begin + 1] in ("[", "(") else _official(text, begin)


def _official(text: str, begin: int) -> Cell:
    bits, end = _token(BITS, text, begin)
    size = MATRICES.get(len(bits))
    if size is None:
        raise _bad(text, end, f"expected {VERTICES}x{VERTICES} zeros and ones, found {len(bits)}")
    matrix = [[int(bit) for bit in bits[size * row : size * (row + 1)]] for row in range(size)]
    if (back := _edge_back(matrix)) is not None:
        raise _bad(text, begin + back, "expected 0, because edges lead to later vertices")
    between, end = _token(BETWEEN, text, end)
    if not between:
        raise _bad(text, end, "expected a space and the operations")
    labels = list[int]()
    for place, name in _names(text.rstrip(), end):
        wanted = _wanted(len(labels), size)
        if name not in wanted:
            raise _bad(text, place, f"expected {' or '.join(wanted) or 'the end'}")
        labels.append(LABELS[name])
    if len(labels) < size:
        raise _bad(text, len(text.rstrip()), f"expected {size} vertices, found {len(labels)}")
    return matrix, labels


def _token(pattern: re.Pattern[str], text: str, place: int) -> tuple[str, int]:
    """What a pattern finds at a place, perhaps nothing, and where it ends."""
    found = pattern.match(text, place)
    return ("", place) if found is None else (found[0], found.end())


def _names(text: str, place: int) -> Iterator[tuple[int, str]]:
    """Names between commas or strokes, and where they begin."""
    while place <= len(text):
        name, end = _token(NAME, text, place)
        yield place, name.strip()
        place = end + 1


def _wanted(vertex: int, size: int) -> tuple[str, ...]:
    """What may stand on a vertex of a cell of ``size``."""
    if vertex in (0, size - 1):
        return ("input",) if vertex == 0 else ("output",)
    return OPERATIONS if vertex < size else ()


def _edge_back(matrix: Sequence[Sequence[int]]) -> int | None:
    """The entry, counted row by row, with an edge that leads to no later vertex."""
    size = len(matrix)
    entries = (size * row + column for row in range(size) for column in range(row + 1))
    return next((at for at in entries if matrix[at // size][at % size]), None)


def _listed(text: str, begin: int) -> Cell:
    """Lists or a tuple; what is wrong in them has no place of its own."""
    try:
        if len(text) > LONGEST:
            raise ValueError(f"it has {len(text)} characters")
        flat = list(_flat(ast.literal_eval(text.strip())))
        size = math.isqrt(len(flat))  # of n * n + n entries
        if size not in MATRICES.values() or len(flat) != size * (size + 1):
            raise ValueError(f"a matrix of n x n and n labels was expected, not {len(flat)} values")
        bits = [int(bit) for bit in flat[: size * size]]
        matrix = [bits[size * row : size * (row + 1)] for row in range(size)]
        if not {0, 1}.issuperset(bits) or _edge_back(matrix) is not None:
            raise ValueError("the matrix must have 0, and 1 above the diagonal alone")
        labels = [_label(entry, INPUT in flat) for entry in flat[size * size :]]
        if any(NAMES[label] not in _wanted(at, size) for at, label in enumerate(labels)):
            raise ValueError("the input stands first, the output last, operations between them")
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise _bad(text, begin, f"no matrix with its labels ({error})") from None
    return matrix, labels


def _flat(value: object) -> Iterator[int | str]:
    if isinstance(value, (list, tuple)):
        for part in value:  # pyright: ignore[reportUnknownVariableType]
            yield from _flat(part)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, (int, str)):
        yield value
    else:
        raise ValueError(f"{value!r} is neither a number nor a name")


def _label(entry: int | str, numbered: bool) -> int:
    """The label of a name, of a number (``numbered``), or of one of NASLib's codes."""
    if isinstance(entry, str):
        return LABELS[entry]
    return entry if numbered else LABELS[dict(enumerate(NASLIB))[entry]]


def _bad(text: str, place: int, why: str) -> ConfigError:
    return misplaced("a NAS-Bench-101", text, place, why)
