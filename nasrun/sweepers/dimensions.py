"""What a tuning may change: sweeps in Hydra's grammar, as Optuna's distributions."""

from collections.abc import Iterable, Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    IntervalSweep,
    Override,
    OverrideType,
    RangeSweep,
    ValueType,
)
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial

from nasrun.errors import ConfigError

# Significant digits of a fraction: between two bounds enough, and fit to be typed; on a step, all
# but the error of the sum.
DIGITS, DIGITS_OF_A_STEP = 4, 12
LOG = "log"  # Hydra's tag for a logarithmic scale

Dimensions = dict[str, BaseDistribution]  # by key
Value = str | int | float
Values = dict[str, Value]


def split_sweeps(params: Mapping[str, str], arguments: list[str]) -> tuple[Dimensions, list[str]]:
    """The dimensions among ``params`` and command-line overrides, and the other overrides.

    ``interval``, ``range``, ``choice`` and comma-separated values make a dimension; a tag ``log``
    puts it on a logarithmic scale. What the command line says replaces what ``params`` says.

    Raises:
        ConfigError: a param that is no sweep, a glob, or bounds that leave nothing to choose.
    """
    parser = OverridesParser.create()
    dimensions = Dimensions()
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


def _dimension(key: str, override: Override) -> BaseDistribution:
    if override.type is not OverrideType.CHANGE or "@" in key or "/" in key:
        raise ConfigError(f"only the value of a key can be tuned, got {override.input_line!r}")
    if override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        raise ConfigError(f"{override.input_line!r} cannot be tuned: name the options")
    sweep = override.value()
    if not isinstance(sweep, IntervalSweep | RangeSweep):
        return CategoricalDistribution(_distinct(override.sweep_string_iterator()))
    try:
        found = _numbers(sweep)
    except ValueError as error:
        raise ConfigError(f"{override.input_line!r} cannot be tuned: {error}") from None
    if found.single():
        raise ConfigError(f"{override.input_line!r} leaves nothing to choose between")
    return found


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts without those that mean what another before them does, as 0.1 and 1e-1 do."""
    meanings: dict[str, str] = {}
    for text in texts:
        meanings.setdefault(repr(_meant(text)), text)
    return tuple(meanings.values())


def _meant(text: str) -> Any:
    """The value that a text stands for on the command line."""
    return OverridesParser.create().parse_override(f"key={text}").value()


def _numbers(sweep: IntervalSweep | RangeSweep) -> IntDistribution | FloatDistribution:
    """Numbers from the lower bound to the upper one, both included.

    Raises:
        ValueError: bounds that Optuna does not take.
    """
    log = LOG in sweep.tags
    if isinstance(sweep, IntervalSweep):
        low, high, step = sweep.start, sweep.end, None
        assert low is not None
        assert high is not None
    else:
        points = list(sweep.range())
        low, high, step = min(points, default=0), max(points, default=0), abs(sweep.step)
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log, int(step or 1))
    high = round(float(high), DIGITS_OF_A_STEP) if step else high  # 0.7, not 0.7000000000000001
    return FloatDistribution(float(low), float(high), log, step and float(step))


def example_of(dimension: BaseDistribution) -> Value:
    """One of the values."""
    if isinstance(dimension, CategoricalDistribution):
        return str(dimension.choices[0])
    assert isinstance(dimension, IntDistribution | FloatDistribution)
    return dimension.low


def rounded(dimension: BaseDistribution, value: Value) -> Value:
    """The value with a few significant digits (on its step, if there is one), within bounds."""
    if not isinstance(dimension, FloatDistribution):
        return value
    digits = DIGITS if dimension.step is None else DIGITS_OF_A_STEP
    return min(max(float(f"{value:.{digits}g}"), dimension.low), dimension.high)


def values_within(dimensions: Dimensions, values: Mapping[str, Any]) -> Values | None:
    """The values as the dimensions have them, options as texts; None: one lies outside."""
    texts = dict(values)
    for key, dimension in dimensions.items():
        if isinstance(dimension, CategoricalDistribution):
            meaning = [text for text in dimension.choices if _meant(str(text)) == values[key]]
            texts[key] = next(iter(meaning), None)
    try:
        return create_trial(state=TrialState.RUNNING, params=texts, distributions=dimensions).params
    except ValueError:
        return None
