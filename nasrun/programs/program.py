"""Programs as values and as texts."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from nasrun.programs.instructions import INSTRUCTIONS, NOTHING, PLACE

FUNCTIONS = ("setup", "predict", "learn")
NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]\d+)?"
CALL = re.compile(
    rf"(?:([svm]\d+)=)?([a-z_]+)\(((?:[svm]\d+|{NUMBER})(?:,(?:[svm]\d+|{NUMBER}))*)?\);"
)


class Line(NamedTuple):
    """One instruction with its addresses and constants."""

    name: str
    output: int = 0
    inputs: tuple[int, ...] = ()
    constants: tuple[float, ...] = ()


@lru_cache(65_536)  # programs are rewritten line by line, millions of times
def written(line: Line) -> str:
    """Such as ``s2=sub_s(s0,s1);``."""
    kind = INSTRUCTIONS[line.name]
    given = [f"{one}{at}" for one, at in zip(kind.inputs, line.inputs, strict=True)]
    given += [f"{constant:.6g}" for constant in line.constants]
    to = f"{kind.output}{line.output}=" if kind is not NOTHING else ""
    return f"{to}{line.name}({','.join(given)});"


class Program(NamedTuple):
    """What is done once, for each example to predict, and for each example to learn from."""

    setup: tuple[Line, ...] = ()
    predict: tuple[Line, ...] = ()
    learn: tuple[Line, ...] = ()

    @property
    def text(self) -> str:
        """Such as ``setup{s2=const_s(0.1);}predict{s1=dot(v0,v1);}learn{}``."""
        parts = ["".join(map(written, own)) for own in self]
        return "".join([f"{name}{{{part}}}" for name, part in zip(FUNCTIONS, parts, strict=True)])


class Misread(ValueError):
    """A text that is no program: ``place`` and ``why``."""

    def __init__(self, place: int, why: str) -> None:
        super().__init__(why)
        self.place, self.why = place, why


def read(text: str, addresses: Mapping[str, int]) -> Program:
    """The program of a text.

    Args:
        text: as ``Program.text`` has it.
        addresses: how many of each kind of memory there are.

    Raises:
        Misread: it is none.
    """
    place, functions = 0, list[tuple[Line, ...]]()
    for name in FUNCTIONS:
        place = _expected(f"{name}{{", text, place)
        lines = list[Line]()
        while text[place : place + 1] != "}":
            found = CALL.match(text, place)
            if found is None:
                raise Misread(place, "expected an instruction such as s1=dot(v0,v1); or }")
            lines.append(_line(found, addresses))
            place = found.end()
        place = _expected("}", text, place)
        functions.append(tuple(lines))
    if place != len(text):
        raise Misread(place, "the text should end here")
    return Program(*functions)


def _expected(token: str, text: str, place: int) -> int:
    if not text.startswith(token, place):
        raise Misread(place, f"expected {token}")
    return place + len(token)


def _line(found: re.Match[str], addresses: Mapping[str, int]) -> Line:
    to, name, given = found[1] or "", found[2], (found[3] or "").split(",")
    given = [one for one in given if one]
    kind = INSTRUCTIONS.get(name)
    if kind is None:
        raise Misread(found.start(2), f"expected one of {', '.join(INSTRUCTIONS)}")
    kinds = [one[0] if one[0] in addresses else "" for one in given]
    wanted = [*kind.inputs, *[""] * len(kind.constants)]
    if kinds != wanted or to[:1] != kind.output:
        form = ",".join([*kind.inputs, *kind.constants])
        raise Misread(found.start(), f"expected {kind.output or 'nothing'} = {name}({form})")
    memory = [one for one in (to, *given) if one[:1] in addresses]
    if outside := [one for one in memory if int(one[1:]) >= addresses[one[0]]]:
        raise Misread(found.start(), f"there is no {outside[0]}")
    if to in ("s0", "v0"):
        raise Misread(found.start(), f"{to} is given and may not be written")
    inputs = tuple(int(one[1:]) for one in given[: len(kind.inputs)])
    constants = tuple(float(one) for one in given[len(kind.inputs) :])
    for what, constant in zip(kind.constants, constants, strict=True):
        if what == PLACE and not 0.0 <= constant < 1.0:
            raise Misread(found.start(), f"expected a place in [0, 1), got {constant:g}")
    return Line(name, int(to[1:] or 0), inputs, constants)
