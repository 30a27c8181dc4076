"""The 65 instructions of AutoML-Zero, on memories of many programs at once.

Real et al., "AutoML-Zero: Evolving Machine Learning Algorithms From Scratch" (ICML 2020), and
google-research ``automl_zero/instruction.cc`` and ``executor.h``. The axes of an argument are
programs, tasks, and those of a scalar, vector or matrix.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nasrun.streams import Floats

VALUE, SPREAD, PLACE = "value", "spread", "place"  # kinds of constants
SCALAR, VECTOR, MATRIX = KINDS = "svm"
Operation = Callable[..., Floats]


@dataclass(frozen=True)
class Instruction:
    """What an instruction takes and gives.

    ``inputs`` and ``output`` are kinds of memory; ``constants`` kinds of numbers that stand in the
    program. ``sets``: no function of inputs alone, see ``interpreter.py``.
    """

    name: str
    inputs: str
    output: str
    run: Operation | None = None
    constants: tuple[str, ...] = ()


def _axes(kind: str) -> tuple[int, ...]:
    return {SCALAR: (), VECTOR: (-1,), MATRIX: (-2, -1)}[kind]


def _setters() -> list[Instruction]:
    places = {SCALAR: 0, VECTOR: 1, MATRIX: 2}
    each = [
        Instruction(f"const_{kind}", "", kind, None, (PLACE,) * places[kind] + (VALUE,))
        for kind in KINDS
    ]
    each += [Instruction(f"gauss_{kind}", "", kind, None, (VALUE, SPREAD)) for kind in KINDS]
    each += [Instruction(f"uniform_{kind}", "", kind, None, (VALUE, VALUE)) for kind in KINDS]
    return each


BINARY: dict[str, Operation] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
    "min": np.minimum, "max": np.maximum,
}  # fmt: skip
UNARY: dict[str, Operation] = {
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "exp": np.exp, "log": np.log,
}  # fmt: skip


def _inverse(x: Floats) -> Floats:
    return 1.0 / x


def _step(at_zero: float) -> Operation:
    """Heaviside; ``executor.h`` has 1 at 0 for scalars, and 0 for vectors and matrices."""
    return lambda x: np.where(np.isnan(x), np.nan, np.heaviside(x, at_zero))


def _elementwise() -> list[Instruction]:
    each = [
        Instruction(f"{name}_{kind}", 2 * kind, kind, run)
        for kind in KINDS
        for name, run in BINARY.items()
    ]
    each += [Instruction(f"{name}_s", SCALAR, SCALAR, run) for name, run in UNARY.items()]
    for kind in KINDS:
        each += [
            Instruction(f"abs_{kind}", kind, kind, np.abs),
            Instruction(f"step_{kind}", kind, kind, _step(1.0 if kind == SCALAR else 0.0)),
            Instruction(f"inv_{kind}", kind, kind, _inverse),
        ]
    return each


def _reductions() -> list[Instruction]:
    each = list[Instruction]()
    for kind in VECTOR + MATRIX:
        axes = _axes(kind)
        each += [
            Instruction(f"norm_{kind}", kind, SCALAR, lambda x, axes=axes: _norm(x, axes)),
            Instruction(f"mean_{kind}", kind, SCALAR, lambda x, axes=axes: x.mean(axis=axes)),
            Instruction(f"std_{kind}", kind, SCALAR, lambda x, axes=axes: x.std(axis=axes)),
        ]
    return [
        *each,
        Instruction("row_norm", MATRIX, VECTOR, lambda x: _norm(x, (-1,))),
        Instruction("column_norm", MATRIX, VECTOR, lambda x: _norm(x, (-2,))),
        Instruction("row_mean", MATRIX, VECTOR, lambda x: x.mean(axis=-1)),
        Instruction("row_std", MATRIX, VECTOR, lambda x: x.std(axis=-1)),
    ]


def _norm(x: Floats, axes: tuple[int, ...]) -> Floats:
    return np.sqrt((x * x).sum(axis=axes))


def _outer(a: Floats, b: Floats) -> Floats:
    return a[..., :, None] * b[..., None, :]


def _applied(m: Floats, v: Floats) -> Floats:
    return (m * v[..., None, :]).sum(axis=-1)


def _shapes() -> list[Instruction]:
    return [
        # Of a scalar, once the interpreter has given it an axis of its own.
        Instruction("broadcast", SCALAR, VECTOR, lambda s: s[..., None]),
        Instruction("rows", VECTOR, MATRIX, lambda v: v[..., None, :]),
        Instruction("columns", VECTOR, MATRIX, lambda v: v[..., :, None]),
        Instruction("transpose", MATRIX, MATRIX, lambda m: m.swapaxes(-1, -2)),
        Instruction("scale_v", SCALAR + VECTOR, VECTOR, lambda s, v: s[..., None] * v),
        Instruction("scale_m", SCALAR + MATRIX, MATRIX, lambda s, m: s[..., None, None] * m),
        Instruction("dot", VECTOR + VECTOR, SCALAR, lambda a, b: (a * b).sum(axis=-1)),
        Instruction("outer", VECTOR + VECTOR, MATRIX, _outer),
        Instruction("matvec", MATRIX + VECTOR, VECTOR, _applied),
        Instruction("matmul", MATRIX + MATRIX, MATRIX, np.matmul),
    ]  # fmt: skip


NOTHING = Instruction("nothing", "", "")
INSTRUCTIONS = {
    one.name: one for one in (NOTHING, *_setters(), *_elementwise(), *_reductions(), *_shapes())
}
