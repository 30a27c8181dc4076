"""Points of a sweep: overrides that go together, as spaces and their tasks do."""

from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from nasrun.errors import ConfigError
from nasrun.keys import key_of


def chosen(points: Sequence[Sequence[str]], given: Sequence[Override]) -> list[Sequence[str]]:
    """The points that have the values which the command line gives for their keys.

    A point without such a key is not chosen: what the key should change there, it would not. A
    setting (``group.key``) with a value that no point has is no choice: it is left out of the
    points, so that the command line's own holds in all of them.

    Raises:
        ConfigError: a value that is given is none of a chosen point, or ``points`` are no lists of
            overrides.
    """
    if not points:
        return [()]
    _require_lists(points)
    had = [_overridden(point) for point in points]
    asked = {
        each.get_key_element(): _values_of(each)
        for each in given
        if any(each.get_key_element() in values for values in had)
    }
    new = {
        key
        for key, values in asked.items()
        if "." in key and not {values_of.get(key) for values_of in had}.issuperset(values)
    }
    choices = {key: values for key, values in asked.items() if key not in new}
    picked = [
        at
        for at, values_of in enumerate(had)
        if all(values_of.get(key) in values for key, values in choices.items())
    ]
    if any(
        value not in {had[at].get(key) for at in picked}
        for key, values in choices.items()
        for value in values
    ):
        words = " ".join(f"{key}={','.join(values)}" for key, values in choices.items())
        known = ", ".join(" ".join(point) for point in points)
        raise ConfigError(f"{words} is none of what this experiment plays: choose among {known}")
    own = [tuple(text for text in points[at] if key_of(text) not in new) for at in picked]
    return list(dict.fromkeys(own))  # two may differ in nothing else


def _require_lists(points: Any) -> None:
    """Refuse what is no list of lists of texts: of a text, each letter would be an override."""
    if isinstance(points, str) or any(
        isinstance(point, str)
        or not isinstance(point, Sequence)
        or any(not isinstance(text, str) for text in point)
        for point in points
    ):
        raise ConfigError(
            "hydra.sweeper.points must be a list of lists of overrides, as in "
            f"[['task=cifar10'],['task=cifar100']], got {points}"
        )


def _values_of(override: Override) -> list[str]:
    """Its values, in words."""
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]


def _overridden(point: Sequence[str]) -> dict[str, str]:
    """What a point says, by key, in the words of ``_values_of``: ``true`` is ``True`` there."""
    overrides = OverridesParser.create().parse_overrides(list(point))
    return {each.get_key_element(): _values_of(each)[0] for each in overrides}
