"""Keys of a config, and which of them a wrong one may have been meant for."""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from omegaconf import DictConfig, OmegaConf

SHOWN = 3  # suggestions
# Overrides that say where or how to work, and change no figure.
SILENT = ("resume", "sweep.split", "cohort", "debug", "cache_dir", "data_dir", "report")
UNNAMED = ("hydra", "tables")  # whose keys are no suggestion for one from elsewhere


def key_path(override: str) -> str:
    """The key of ``key=value``, without what may stand before it or after ``@``."""
    return override.lstrip("+~").partition("=")[0].partition("@")[0]


def key_of(override: str) -> str:
    """The key of ``key=value``, without what may stand before it."""
    return override.lstrip("+~").partition("=")[0]


def is_silent(key: str) -> bool:
    """Whether a setting changes no figure: a report is made anew in a moment."""
    return key in SILENT or key.partition(".")[0] == "report"


def said(error: BaseException) -> str:
    """What OmegaConf says of a value, on one line and without the key that it adds below."""
    return " ".join(str(error).partition("\n    full_key")[0].split())


def meant(key: str, config: DictConfig) -> str:
    """A sentence that refuses ``key``, which ``config`` does not have."""
    if (elsewhere := _beyond_reference(key, config)) is not None:
        return elsewhere
    above, _, last = key.rpartition(".")
    node: Any = OmegaConf.select(config, above) if above else config
    if not isinstance(node, DictConfig) or not len(node):
        return f"there is no key {key}{near(key, config)}"
    own = [str(name) for name in node if name != "_target_"]
    if last in own and isinstance(below := node[last], DictConfig):
        return f"{key} is a group of keys: set one of {', '.join(sorted(map(str, below)))}"
    if close := get_close_matches(last, own, SHOWN):
        dot = "." if above else ""
        return f"there is no key {key}: did you mean {_either(f'{above}{dot}{n}' for n in close)}?"
    if elsewhere := _named(last, config):
        return f"there is no key {key}: did you mean {_either(elsewhere)}?"
    return f"there is no key {key}: {above or 'the config'} has {', '.join(sorted(own))}"


def of_experiment(key: str, experiment: str | None, overrides: Sequence[str]) -> str | None:
    """The sentence for a key of an experiment that another choice of the command does not have.

    None where the command has no such choice, or the key is its own.
    """
    group = key.partition(".")[0]
    given = [text for text in overrides if key_path(text) == group]
    if not experiment or not given or any(key_path(text) == key for text in overrides):
        return None
    other = given[-1]
    return f"experiment={experiment} sets {key}, which {other} does not have: leave {other} out"


def _beyond_reference(key: str, config: DictConfig) -> str | None:
    """The sentence for a key below one that refers to another; None where that is not so."""
    node, parts = config, key.split(".")
    for place, part in enumerate(parts[:-1]):
        if not isinstance(node, DictConfig) or part not in node:
            return None
        if OmegaConf.is_interpolation(node, part):
            above = ".".join(parts[: place + 1])
            other = str(OmegaConf.to_container(node, resolve=False)[part])  # pyright: ignore
            source = re.search(r"\$\{([\w.]+)\}", other)  # itself, or what it is made of
            there = ".".join([source[1] if source else other, *parts[place + 1 :]])
            return f"{above} is {other}, so {key} cannot be set: set {there}"
        node = node[part]
    return None


def near(key: str, config: DictConfig) -> str:
    """``: did you mean ...?`` with the keys of ``config`` that are most like ``key``."""
    parts = key.split(".")
    hidden = {key, "hydra"} if len(parts) == 1 else {key}
    tops = {str(name): node for name, node in _content(config).items() if name not in hidden}
    if close := _corrected(parts, tops) or _named(parts[-1], config) or _corrected(parts[:1], tops):
        return f": did you mean {_either(close)}?"
    return f": leave it out, or use one of {', '.join(sorted(tops))}"


def _corrected(parts: Sequence[str], node: Any) -> list[str]:
    """Keys below ``node`` each part of which is the one in ``parts``, or else like it."""
    names = [str(name) for name in node] if isinstance(node, dict) else []
    own = parts[:1] if parts[0] in names else get_close_matches(parts[0], names, SHOWN)
    if len(parts) == 1:
        return list(own)
    below = [f"{name}.{rest}" for name in own for rest in _corrected(parts[1:], node[name])]
    return below[:SHOWN]


def among(key: str, names: Sequence[str]) -> str:
    """``, did you mean ...?`` with those of ``names`` most like ``key``, or else all of them."""
    close = get_close_matches(key, names, SHOWN)
    return f"did you mean {_either(close)}?" if close else f"it has {', '.join(sorted(names))}"


def _named(last: str, config: DictConfig) -> list[str]:
    """Keys below the top whose own name is, or is like, ``last``."""
    content = _content(config)
    paths = list(_paths({top: node for top, node in content.items() if top not in UNNAMED}))
    names = get_close_matches(last, {path.rpartition(".")[2] for path in paths}, 1, 0.8)
    return [path for path in paths if path.rpartition(".")[2] in names and path != last][:SHOWN]


def _content(config: DictConfig) -> dict[Any, Any]:
    content: Any = OmegaConf.to_container(config, resolve=False)
    return content


def _paths(content: dict[Any, Any], above: str = "") -> Iterator[str]:
    for key, value in content.items():
        yield f"{above}{key}"
        if isinstance(value, dict):
            yield from _paths(value, f"{above}{key}.")


def _either(names: Any) -> str:
    return " or ".join(names)
