"""Refusal of numbers out of range, one sentence for each: what every ``__post_init__`` asks.

A field that holds several numbers is asked about each of them. None passes: it means that a field
is not set, and the field's type says whether that is allowed. NaN, an infinity and a truth value
are in no range.

Example: ``require_at_least(self, "algorithm", 1, "population", "sample")`` answers
"algorithm.sample must be at least 1, got 0".
"""

import math
from collections.abc import Iterator
from numbers import Real
from typing import Any

from nasrun.errors import ConfigError

MOST = 20_000_000  # ImageNet has 14 million pictures


def require_at_least(owner: object, group: str, low: int, *keys: str) -> None:
    """Refuse a field of ``owner`` that is below ``low``; ``group`` is where a config sets it.

    What is counted has an end, too: no run has room for more than ``MOST`` of anything.
    """
    _require(owner, group, keys, f"[{low}, inf)", f"must be at least {low}")
    _require(owner, group, keys, f"[{low}, {MOST}]", f"must be at most {MOST:,}")


def require_not_negative(owner: object, group: str, *keys: str) -> None:
    """Refuse a field of ``owner`` that is below zero."""
    _require(owner, group, keys, "[0, inf)", "must not be negative")


def require_positive(owner: object, group: str, *keys: str) -> None:
    """Refuse a field of ``owner`` that is zero or below."""
    _require(owner, group, keys, "(0, inf)", "must be positive and finite")


def require_seeds(owner: object, group: str, key: str) -> None:
    """Refuse a list of seeds that is empty, or has one twice: a mean would count it twice."""
    require_not_negative(owner, group, key)
    seeds = list(getattr(owner, key))
    if not seeds:
        raise ConfigError(f"{group}.{key} must hold at least one seed, got none")
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"{group}.{key} must hold each seed once, got {seeds}")


def require_some(owner: object, group: str, *keys: str) -> None:
    """Refuse a list that is empty, where something is chosen from it."""
    for key in keys:
        if not getattr(owner, key):
            raise ConfigError(f"{group}.{key} must hold at least one number, got none")


def require_within(owner: object, group: str, interval: str, *keys: str) -> None:
    """Refuse a field of ``owner`` outside an interval such as ``(0, 1]``, which 0 is not in."""
    _require(owner, group, keys, interval, f"must be in {interval}")


def _require(owner: object, group: str, keys: tuple[str, ...], interval: str, words: str) -> None:
    low, high = map(float, interval[1:-1].split(","))
    for key in keys:
        where = f"{group}.{key}" if group else key
        for value in _each(getattr(owner, key)):
            if not _finite(value):
                wanted = words if "finite" in words else "must be a finite number"
                raise ConfigError(f"{where} {wanted}, got {value}")
            above = low <= value if interval[0] == "[" else low < value
            below = value <= high if interval[-1] == "]" else value < high
            if not (above and below):
                raise ConfigError(f"{where} {words}, got {value}")


def _each(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        yield from value  # pyright: ignore[reportUnknownVariableType]
    elif value is not None:
        yield value


def _finite(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
