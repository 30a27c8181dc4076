"""What of a program can change its answers."""

from functools import lru_cache
from typing import NamedTuple

from nasrun.programs.instructions import INSTRUCTIONS, PLACE
from nasrun.programs.program import Line, Program

ANSWER = 1 << 3  # the bit of s1
NOTHING = Line("nothing")


class _Flow(NamedTuple):
    """Memory that an instruction writes and reads, a bit for each address."""

    writes: int
    clears: int  # what it writes all of: a constant in one place of a vector leaves the others
    reads: int
    draws: bool  # random numbers, which hang on its place


def _bit(kind: str, address: int) -> int:
    return 1 << (3 * address + "svm".index(kind))


@lru_cache(65_536)
def _flow(line: Line) -> _Flow:
    kind = INSTRUCTIONS[line.name]
    if not kind.output:
        return _Flow(0, 0, 0, False)
    writes, reads = _bit(kind.output, line.output), 0
    for one, at in zip(kind.inputs, line.inputs, strict=True):
        reads |= _bit(one, at)
    draws = kind.run is None and not line.name.startswith("const")
    return _Flow(writes, 0 if PLACE in kind.constants else writes, reads, draws)


def effective(program: Program) -> Program:
    """The instructions that an answer may hang on; the same answers, to the bit.

    Instructions that draw random numbers do so by their place: among them, those that are of no
    effect become ``nothing``, and elsewhere they are left out.
    """
    setup, predict, learn = [[_flow(line) for line in lines[::-1]] for lines in program]
    answered, learnt = ANSWER, 0  # what must be known after predicting, and after learning
    while True:  # examples come again and again: what the next one needs is needed now
        shown = _before(predict, answered)
        needed = ANSWER | shown | _before(learn, shown)
        if needed == answered and shown == learnt:
            break
        answered, learnt = needed, shown
    kept = (
        _needed(program.setup, setup, learnt),
        _needed(program.predict, predict, answered),
        _needed(program.learn, learn, learnt),
    )
    if any(line.draws for flows in (setup, predict, learn) for line in flows):
        return Program(*[tuple([line or NOTHING for line in lines]) for lines in kept])
    return Program(*[tuple(filter(None, lines)) for lines in kept])


def _before(flows: list[_Flow], needed: int) -> int:
    """What must be known before some instructions, last first, if ``needed`` must be after them."""
    for writes, clears, reads, _ in flows:
        if writes & needed:
            needed = (needed & ~clears) | reads
    return needed


def _needed(lines: tuple[Line, ...], flows: list[_Flow], needed: int) -> list[Line | None]:
    """Those that write what is needed after them; None in the place of the others."""
    kept: list[Line | None] = [None] * len(lines)
    at = len(lines)
    for writes, clears, reads, _ in flows:
        at -= 1
        if writes & needed:
            needed = (needed & ~clears) | reads
            kept[at] = lines[at]
    return kept
