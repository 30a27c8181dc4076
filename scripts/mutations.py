"""The places of a source text where one thing can be changed, and what to."""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

OPERATORS: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div,), ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,), ast.Pow: (ast.Mult,), ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,), ast.And: (ast.Or,), ast.Or: (ast.And,),
}  # fmt: skip
_PAIRS = (
    ("min", "max"), ("minimum", "maximum"), ("fmin", "fmax"), ("argmin", "argmax"),
    ("amin", "amax"), ("any", "all"),
)  # fmt: skip
NAMES = dict(_PAIRS) | {two: one for one, two in _PAIRS}
AXES = ("axis", "dim")
LOOSE = ast.BinOp | ast.BoolOp | ast.UnaryOp | ast.Compare | ast.IfExp
Located = ast.expr | ast.stmt | ast.keyword


@dataclass(frozen=True)
class Place:
    """``text`` in place of the characters from ``start`` to ``end``."""

    kind: str
    start: int
    end: int
    text: str


def places(source: str) -> Iterator[Place]:
    """Every mutation of a module that is known here, in the order of its text.

    Left alone: annotations, docstrings and messages; what is raised, asserted or logged; the
    ``strict`` of a zip; the defaults of settings, which are an experiment's choice.
    """
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line.encode()))
    encoded = source.encode()

    def position(line: int, column: int) -> int:
        return len(encoded[: starts[line - 1] + column].decode())

    for node, parent in _nodes(ast.parse(source)):
        if not isinstance(node, Located):
            continue
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = position(node.lineno, node.col_offset)
        end = position(node.end_lineno, node.end_col_offset)
        for kind, mutated in variants(node):
            text = ast.unparse(mutated)
            enclosed = isinstance(parent, ast.stmt | ast.Call | ast.keyword)
            if isinstance(mutated, LOOSE) and not enclosed:
                text = f"({text})"
            yield Place(kind, start, end, text)


def _nodes(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Nodes that may be changed, each with its parent."""
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or name in (
                "annotation",
                "returns",
                "decorator_list",
            ):
                continue
            if _is_left_alone(child, isinstance(node, ast.ClassDef)):
                continue
            yield child, node
            if not (isinstance(child, ast.keyword) and child.arg in (*AXES, "strict")):
                yield from _nodes(child)


def _is_left_alone(node: ast.AST, in_class: bool) -> bool:
    if isinstance(node, ast.AnnAssign) and in_class:
        return not ast.unparse(node.annotation).startswith("ClassVar")
    if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log."):
        return True
    return isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr)


def variants(node: Located) -> Iterator[tuple[str, ast.AST]]:
    """Kind and result of every change of a node itself."""
    match node:
        case ast.Compare(ops=[op]):
            yield from (("comparison", _with(node, ops=[new()])) for new in OPERATORS[type(op)])
        case ast.BoolOp(op=op):
            yield from (("and/or", _with(node, op=new())) for new in OPERATORS[type(op)])
        case ast.BinOp(op=op, left=left):
            yield from (("operator", _with(node, op=new())) for new in OPERATORS.get(type(op), ()))
            if isinstance(op, ast.Mult | ast.Div):
                yield "factor", left
            if isinstance(op, ast.Mult):
                yield "factor", node.right
        case ast.AugAssign(op=op):
            yield from (("operator", _with(node, op=new())) for new in OPERATORS.get(type(op), ()))
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert()):
            yield "sign", node.operand
        case ast.Constant(value=bool() as value):
            yield "constant", ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            others = {value + 1, 1 - value if value in (0, 1) else value * 2}
            yield from (("constant", ast.Constant(other)) for other in sorted(others))
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield "return", ast.Return(ast.Constant(None))
        case ast.keyword(arg=name, value=value) if name in AXES:
            other = ast.Constant(int(ast.unparse(value) == "0"))
            yield "axis", _with(node, value=other)
        case ast.Call(func=ast.Attribute(attr="detach", value=value)):
            yield "detach", value
        case ast.Call(func=ast.Attribute(attr="where"), args=[test, one, two]):
            yield "where", _with(node, args=[test, two, one])
        case ast.Name(id=name, ctx=ast.Load()) if name in NAMES:
            yield "min/max", ast.Name(NAMES[name])
        case ast.Attribute(attr=name, ctx=ast.Load()) if name in NAMES:
            yield "min/max", _with(node, attr=NAMES[name])
        case _:
            pass


def _with(node: ast.AST, **changes: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed
