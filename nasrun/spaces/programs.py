"""AutoML-Zero's space: programs that learn."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from nasrun.errors import ConfigError
from nasrun.programs.instructions import INSTRUCTIONS, PLACE, SPREAD, VALUE
from nasrun.programs.interpreter import Memory
from nasrun.programs.program import FUNCTIONS, Line, Misread, Program, read
from nasrun.ranges import require_at_least
from nasrun.spaces.base import misplaced
from nasrun.spaces.genome import GenomeSpace, Uniforms
from nasrun.spec import Archs

EVERY = tuple(INSTRUCTIONS)
FLIPPED = 0.1  # of altered constants, share whose sign is turned; automl_zero/instruction.cc
LOWEST = {"s": 1, "v": 1, "m": 0}  # first addresses that may be written
Draw = Callable[[], float]


@dataclass
class Programs(GenomeSpace):
    """Programs of three functions on scalars, vectors and matrices.

    Real et al., "AutoML-Zero: Evolving Machine Learning Algorithms From Scratch" (ICML 2020),
    section 3, and google-research ``automl_zero`` (``mutator.cc``, ``instruction.cc``). ``s0`` is
    the label, ``s1`` the prediction, ``v0`` the features. Texts are such as
    ``setup{s2=const_s(0.1);}predict{s1=dot(v0,v1);}learn{}``.

    A mutant has one change, drawn uniformly from those that are possible: an argument is altered,
    an instruction drawn anew, one inserted, one removed, or all of a function drawn anew; the
    function is drawn uniformly, too.

    Departures: constants are kept with six digits; a mutant always differs; the programs that an
    evolution starts from are random, or mutants of ``start``.

    Args:
        scalars: addresses of scalars.
        vectors: addresses of vectors.
        matrices: addresses of matrices.
        setup: names of instructions that it may have; an empty list: any.
        predict: the same.
        learn: the same.
        least: fewest instructions of each function, in that order.
        most: most instructions of each.
        mutable: functions that mutations change.
        start: text of the program whose mutants are the first ones; empty: random ones.

    Raises:
        ConfigError: an unknown name, sizes that do not fit, a start that is no program, or no
            function that a mutation can change.
    """

    name: str = "program"
    scalars: int = 5
    vectors: int = 9
    matrices: int = 2
    setup: list[str] = field(default_factory=list[str])
    predict: list[str] = field(default_factory=list[str])
    learn: list[str] = field(default_factory=list[str])
    least: list[int] = field(default_factory=lambda: [0, 0, 0])
    most: list[int] = field(default_factory=lambda: [7, 11, 23])
    mutable: list[str] = field(default_factory=lambda: list(FUNCTIONS))
    start: str = ""

    def __post_init__(self) -> None:
        require_at_least(self, "space", 2, "scalars", "vectors")
        require_at_least(self, "space", 1, "matrices")
        require_at_least(self, "space", 0, "least", "most")
        for key, known in (("setup", EVERY), ("predict", EVERY), ("learn", EVERY),
                           ("mutable", FUNCTIONS)):  # fmt: skip
            if unknown := [name for name in getattr(self, key) if name not in known]:
                raise ConfigError(
                    f"space.{key} names {unknown[0]!r}, which is none of {', '.join(known)}"
                )
        sizes = list(zip(self.least, self.most, strict=False))
        if not len(self.least) == len(self.most) == 3 or any(low > high for low, high in sizes):
            raise ConfigError(
                "space.least and space.most must have three numbers, for setup, predict and learn, "
                f"none of least above that of most; got {self.least} and {self.most}"
            )
        if not self.mutable:
            raise ConfigError("space.mutable must name a function, got []")
        if not any(self._can_change(FUNCTIONS.index(name)) for name in self.mutable):
            raise ConfigError(
                f"a mutation must have something to change in {' or '.join(self.mutable)}: set "
                "space.most above space.least, or allow more instructions"
            )
        _ = self._start  # refused now, if it is no program

    def _can_change(self, at: int) -> bool:
        """Whether there is more than one function of some length."""
        if self.least[at] < self.most[at]:
            return True
        return self.most[at] > 0 and sum(map(self._ways, self._allowed[at])) > 1

    def _ways(self, name: str) -> float:
        """How many different instructions of a name there are."""
        kind = INSTRUCTIONS[name]
        if kind.constants:
            return math.inf
        outputs = self._sizes[kind.output] - LOWEST[kind.output] if kind.output else 1
        return outputs * math.prod(self._sizes[one] for one in kind.inputs)

    @property
    def program_memory(self) -> Memory:
        """How much of each kind a program has."""
        return Memory(self.scalars, self.vectors, self.matrices)

    @property
    def minimal(self) -> str:
        """The start; or else a program of nothing but its fewest instructions, which do nothing."""
        return self._start or Program(*[(Line("nothing"),) * count for count in self.least]).text

    @cached_property
    def _start(self) -> str:
        """The start as programs are written here."""
        return self.read(self.start) if self.start else ""

    @cached_property
    def _sizes(self) -> dict[str, int]:
        return {"s": self.scalars, "v": self.vectors, "m": self.matrices}

    @cached_property
    def _allowed(self) -> list[tuple[str, ...]]:
        """By function, names of its instructions."""
        return [tuple(own) or EVERY for own in (self.setup, self.predict, self.learn)]

    @cached_property
    def _read(self) -> dict[str, Program]:
        """Programs by text, of those that are in use."""
        return {}

    def _program(self, text: str) -> Program:
        if text not in self._read:
            self._read[text] = read(text, self._sizes)
        return self._read[text]

    def _kept(self, program: Program) -> str:
        text = program.text
        self._read[text] = program
        return text

    def programs(self, archs: Archs) -> list[Program]:
        """Those of ``archs (n, 1)``."""
        return [self._program(self.text(arch)) for arch in archs]

    def forget(self, archs: Archs) -> None:
        """Drop the texts and programs of ``archs (n, 1)``."""
        for text in self._dropped(archs):
            self._read.pop(text, None)

    def read(self, text: str) -> str:
        """The program of a text, its constants with six digits."""
        try:
            return self._kept(read(text, self._sizes))
        except Misread as error:
            raise misplaced("a program", text, error.place, error.why) from None

    def drawn(self, uniforms: Uniforms) -> str:
        """A random program, or a mutant of ``start``."""
        if self._start:
            return self.mutated(self._start, uniforms)
        draw = _each(uniforms)
        return self._kept(Program(*[self._function(at, draw) for at in range(len(FUNCTIONS))]))

    def _function(self, at: int, draw: Draw, size: int | None = None) -> tuple[Line, ...]:
        """Random instructions: so many, or a number between the fewest and the most."""
        if size is None:
            size = self.least[at] + int(draw() * (self.most[at] - self.least[at] + 1))
        return tuple([self._line(at, draw) for _ in range(size)])

    def _line(self, at: int, draw: Draw) -> Line:
        """A random instruction of a function."""
        names = self._allowed[at]
        kind = INSTRUCTIONS[name := names[int(draw() * len(names))]]
        output = self._output(kind.output, draw) if kind.output else 0
        inputs = tuple([int(draw() * self._sizes[one]) for one in kind.inputs])
        return Line(name, output, inputs, tuple([_constant(one, draw) for one in kind.constants]))

    def _output(self, kind: str, draw: Draw) -> int:
        return LOWEST[kind] + int(draw() * (self._sizes[kind] - LOWEST[kind]))

    def mutated(self, genome: str, uniforms: Uniforms) -> str:
        """A program with one change."""
        program, draw = self._program(genome), _each(uniforms)
        while True:
            name = self.mutable[int(draw() * len(self.mutable))]
            at = FUNCTIONS.index(name)
            changed = self._changed(at, program[at], draw)
            text = self._kept(program._replace(**{name: changed}))
            if text != genome:
                return text

    def _changed(self, at: int, lines: tuple[Line, ...], draw: Draw) -> tuple[Line, ...]:
        kinds = ["function"]
        if lines:
            kinds += ["argument", "instruction"]
        if len(lines) < self.most[at]:
            kinds.append("insert")
        if len(lines) > self.least[at]:
            kinds.append("remove")
        kind = kinds[int(draw() * len(kinds))]
        if kind == "function":
            return self._function(at, draw, len(lines))
        place = int(draw() * (len(lines) + (kind == "insert")))
        if kind == "remove":
            return lines[:place] + lines[place + 1 :]
        if kind == "insert":
            return (*lines[:place], self._line(at, draw), *lines[place:])
        new = self._altered(lines[place], draw) if kind == "argument" else self._line(at, draw)
        return (*lines[:place], new, *lines[place + 1 :])

    def _altered(self, line: Line, draw: Draw) -> Line:
        """One argument of an instruction changed: its output, an input or a constant."""
        kind = INSTRUCTIONS[line.name]
        if not kind.output:
            return line
        data = len(kind.inputs) + len(kind.constants)
        # Of a setter, the address in half of the cases; elsewhere all arguments alike.
        share = 0.5 if kind.constants else 1 / (1 + data)
        if draw() < share:
            return line._replace(output=self._output(kind.output, draw))
        place = int(draw() * data)
        if place < len(kind.inputs):
            new = int(draw() * self._sizes[kind.inputs[place]])
            return line._replace(inputs=_with(line.inputs, place, new))
        place -= len(kind.inputs)
        new = _moved(kind.constants[place], line.constants[place], draw)
        return line._replace(constants=_with(line.constants, place, new))

    def crossed(self, a: str, b: str, uniforms: Uniforms) -> str:
        """Each function from either parent; nothing that AutoML-Zero has."""
        pair = self._program(a), self._program(b)
        draws = uniforms(len(FUNCTIONS))
        return self._kept(Program(*[pair[int(2 * u)][at] for at, u in enumerate(draws)]))


def _each(uniforms: Uniforms) -> Draw:
    """Uniforms one by one, a block of them at a time."""
    left, block = list[float](), 12  # enough for most changes, but not for a whole function

    def draw() -> float:
        nonlocal block
        if not left:
            left.extend(uniforms(block).tolist()[::-1])
            block = 64
        return left.pop()

    return draw


def _with(values: Sequence[float], place: int, new: float) -> tuple[float, ...]:
    return (*values[:place], new, *values[place + 1 :])


def _rounded(value: float) -> float:
    """As it stands in the text."""
    return float(f"{value:.6g}")


def _constant(kind: str, draw: Draw) -> float:
    """A fresh one: of a value uniform in [-1, 1], else in [0, 1)."""
    if kind == PLACE:
        return _place(draw)
    return _rounded(2 * draw() - 1 if kind == VALUE else draw())


def _place(draw: Draw) -> float:
    """In [0, 1): what rounds up to 1 would lie outside a vector."""
    return min(_rounded(draw()), 1.0 - 1e-6)


def _moved(kind: str, value: float, draw: Draw) -> float:
    """An altered one: its sign turned, or its size times e^N(0, 1); a place is drawn anew."""
    if kind == PLACE:
        return _place(draw)
    if kind != SPREAD and draw() < FLIPPED:
        return -value
    normal = math.sqrt(-2.0 * math.log1p(-draw())) * math.cos(2.0 * math.pi * draw())
    return _rounded(value * math.exp(normal))
