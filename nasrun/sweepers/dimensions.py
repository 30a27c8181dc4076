"""What a tuning may change: dimensions in Hydra's sweep grammar, as Optuna's distributions."""

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    IntervalSweep,
    Override,
    OverrideType,
    RangeSweep,
    ValueType,
)

from nasrun.errors import ConfigError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

DIGITS = 4  # significant ones of a number between two bounds: enough, and fit to be typed
TINY = 1e-9  # how far from a step a fraction may be that is meant to lie on it
LOG = "log"  # Hydra's tag for a logarithmic scale

Value = str | int | float


@dataclass(frozen=True)
class Numbers:
    """Whole numbers or fractions from ``low`` to ``high``, both included."""

    low: int | float
    high: int | float
    step: int | float | None = None  # None: any number in between (whole numbers: 1)
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int)

    @property
    def example(self) -> Value:
        """One of the values."""
        return self.low

    def distribution(self) -> "BaseDistribution":
        """The same for Optuna."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), self.log, int(self.step or 1))
        return FloatDistribution(self.low, self.high, self.log, self.step)

    @property
    def count(self) -> int | None:
        """How many values there are; None: any number in between."""
        step = self.step or (1 if self.whole else None)
        return None if step is None else int((self.high - self.low) / step + TINY) + 1

    def at(self, index: int) -> Value:
        """The value with this number, where they can be counted."""
        return self.rounded(self.low + index * (self.step or 1))

    def drawn(self, generator: random.Random) -> Value:
        """A value at random."""
        if self.count is not None:
            return self.at(generator.randrange(self.count))
        if not self.log:
            return self.rounded(generator.uniform(self.low, self.high))
        return self.rounded(math.exp(generator.uniform(math.log(self.low), math.log(self.high))))

    def rounded(self, value: Value) -> Value:
        """The value with a few significant digits (on its step, if there is one), within bounds."""
        if self.whole:
            return int(value)
        digits = DIGITS if self.step is None else 12
        return min(max(float(f"{value:.{digits}g}"), self.low), self.high)

    def holds(self, value: Any) -> Value | None:
        """The value if it lies within the bounds, else None."""
        kinds = int if self.whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            return None
        steps = (value - self.low) / self.step if self.step else 0.0
        if not self.low <= value <= self.high or abs(steps - round(steps)) > TINY:
            return None
        return value if self.whole else float(value)


@dataclass(frozen=True)
class Options:
    """One of several values, each as it would stand on the command line."""

    texts: tuple[str, ...]

    @property
    def example(self) -> Value:
        """One of the values."""
        return self.texts[0]

    def distribution(self) -> "BaseDistribution":
        """The same for Optuna."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.texts)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.texts)

    def at(self, index: int) -> Value:
        """The value with this number."""
        return self.texts[index]

    def drawn(self, generator: random.Random) -> Value:
        """A value at random."""
        return generator.choice(self.texts)

    def rounded(self, value: Value) -> Value:
        """The value itself."""
        return value

    def holds(self, value: Any) -> Value | None:
        """The text of the option that means this value, else None."""
        parser = OverridesParser.create()
        means = {text: parser.parse_override(f"key={text}").value() for text in self.texts}
        return next((text for text, meant in means.items() if meant == value), None)


Dimension = Numbers | Options


def split_sweeps(
    params: Mapping[str, str], arguments: list[str]
) -> tuple[dict[str, Dimension], list[str]]:
    """The dimensions among ``params`` and command-line overrides, and the other overrides.

    ``interval``, ``range``, ``choice`` and comma-separated values make a dimension; a tag ``log``
    puts it on a logarithmic scale. What the command line says replaces what ``params`` says.

    Raises:
        ConfigError: a param that is no sweep, a glob, or bounds that leave nothing to choose.
    """
    parser = OverridesParser.create()
    dimensions: dict[str, Dimension] = {}
    for key, text in params.items():
        override = parser.parse_override(f"{key}={text}")
        if not override.is_sweep_override():
            raise ConfigError(
                f"hydra.sweeper.params.{key} must be an interval, a range or a choice, got {text!r}"
            )
        dimensions[key] = _dimension(key, override)
    fixed: list[str] = []
    for argument, override in zip(arguments, parser.parse_overrides(arguments), strict=True):
        if override.is_sweep_override():
            key = override.get_key_element()
            dimensions[key] = _dimension(key, override)
        else:
            fixed.append(argument)
    return dimensions, fixed


def _dimension(key: str, override: Override) -> Dimension:
    if override.type is not OverrideType.CHANGE or "@" in key or "/" in key:
        raise ConfigError(f"only the value of a key can be tuned, got {override.input_line!r}")
    value = override.value()
    if isinstance(value, IntervalSweep):
        found = _interval(value)
    elif isinstance(value, RangeSweep):
        found = _range(value)
    elif override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        raise ConfigError(f"{override.input_line!r} cannot be tuned: name the options")
    else:
        found = Options(_distinct(override.sweep_string_iterator()))
    if isinstance(found, Numbers) and not found.low < found.high:
        raise ConfigError(f"{override.input_line!r} leaves nothing to choose between")
    return found


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts without those that mean what another before them does, as 0.1 and 1e-1 do."""
    parser = OverridesParser.create()
    meanings: dict[str, str] = {}
    for text in texts:
        meanings.setdefault(repr(parser.parse_override(f"key={text}").value()), text)
    return tuple(meanings.values())


def _interval(value: IntervalSweep) -> Numbers:
    low, high = value.start, value.end
    if low is None or high is None:
        raise ConfigError("an interval needs two bounds")
    return Numbers(low, high, log=LOG in value.tags)


def _range(value: RangeSweep) -> Numbers:
    points = list(value.range())
    low, high = min(points, default=0), max(points, default=0)
    step = abs(value.step)
    if isinstance(low, int) and isinstance(step, int):
        return Numbers(low, int(high), step, LOG in value.tags)
    steps = round((float(high) - float(low)) / float(step))
    end = round(float(low) + steps * float(step), 12)  # 0.7, not 0.7000000000000001
    return Numbers(float(low), end, float(step))
