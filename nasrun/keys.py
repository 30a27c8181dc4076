"""Keys of a config, and which of them a wrong one may have been meant for."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

from nasrun.errors import ConfigError

SHOWN = 3  # suggestions
SLIP = 0.85  # likeness from which on a key is another one, mistyped
NODES = (list, dict, ListConfig, DictConfig)
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


def require_single(values: Mapping[Any, Any], schema: DictConfig, where: str) -> None:
    """Refuse lists and nothing in a list of texts or numbers, at any depth of a node.

    OmegaConf takes lists for anything.

    Raises:
        ConfigError: there is one.
    """
    for key, value in values.items():
        field: Any = _schema_of(key, schema)
        if isinstance(value, (dict, DictConfig)) and isinstance(field, DictConfig):
            require_single(value, field, f"{where}.{key}")
        if isinstance(value, (list, ListConfig)) and isinstance(field, ListConfig):
            kind = field._metadata.element_type
            single = isinstance(kind, type) and issubclass(kind, (str, int, float, Enum))
            if single:
                require_all_single(value, f"{where}.{key}")


def require_all_single(values: Sequence[Any], where: str) -> None:
    """Refuse a list that has more than texts or numbers in it.

    Raises:
        ConfigError: it has a list, a group or nothing.
    """
    if any(value is None or isinstance(value, NODES) for value in values):
        raise ConfigError(
            f"{where} must be a list of single values, as in [a, b], got {list(values)}"
        )


def _schema_of(key: Any, schema: DictConfig) -> Any:
    """The schema of what stands at ``key``; None where it has none, or nothing is known of it."""
    if schema._is_none() or schema._is_missing():
        return None
    kind = schema._metadata.element_type
    if is_dataclass(kind):  # by any key
        return OmegaConf.structured(kind)
    return schema._get_node(key, validate_access=False)


def meant(key: str, config: DictConfig) -> str:
    """A sentence that refuses ``key``, which ``config`` does not have."""
    if (elsewhere := _beyond_reference(key, config)) is not None:
        return elsewhere
    above, _, last = key.rpartition(".")
    node: Any = OmegaConf.select(config, above) if above else config
    if not isinstance(node, DictConfig) or not len(node):
        elsewhere = of_option(key, *_origin(config))
        return elsewhere or f"there is no key {key}{near(key, config)}"
    own = [str(name) for name in node if name != "_target_"]
    if last in own and isinstance(below := node[last], DictConfig):
        return f"{key} is a group of keys: set one of {', '.join(sorted(map(str, below)))}"
    dot = "." if above else ""
    slips, close = (
        [f"{above}{dot}{name}" for name in get_close_matches(last, own, SHOWN, likeness)]
        for likeness in (SLIP, 0.6)
    )
    if not slips and (sentence := of_option(key, *_origin(config))) is not None:
        return sentence
    if likely := slips or _namesakes(key, config) or close or _named(last, config):
        return f"there is no key {key}: did you mean {_either(likely)}?"
    return f"there is no key {key}: {above or 'the config'} has {', '.join(sorted(own))}"


def of_option(key: str, folders: Sequence[Path], choices: Mapping[str, Any]) -> str | None:
    """The sentence for a key that other options of its group have; None where none has.

    Args:
        key: such as ``evaluator.reward``.
        folders: those with the YAML files of the groups.
        choices: the option that was chosen from each group.
    """
    group, _, path = key.partition(".")
    chosen = choices.get(group)
    having = [name for name in _options_with(group, path, folders) if name != chosen]
    if not path or not having:
        return None
    shown = ", ".join(having[:SHOWN])
    more = f" and {len(having) - SHOWN} more" if len(having) > SHOWN else ""
    verb = "has" if len(having) == 1 else "have"
    own = f", {group}={chosen} has not" if isinstance(chosen, str) else ""
    return f"there is no key {key}: {group}={shown}{more} {verb} it{own}"


def _origin(config: DictConfig) -> tuple[list[Path], Mapping[str, Any]]:
    """Where the groups' files lie, and what was chosen from each; empty without Hydra's part."""
    runtime: Any = OmegaConf.select(config, "hydra.runtime")
    if runtime is None:
        return [], {}
    folders = [Path(source.path) for source in runtime.config_sources if source.schema == "file"]
    return folders, runtime.choices


def _options_with(group: str, path: str, folders: Sequence[Path]) -> list[str]:
    """Options of a group whose files, or those of it that they build on, have a key."""
    places = [file for folder in folders for file in (folder / group).glob("*.yaml")]
    files = {file.stem: _mapping(file) for file in places}
    return sorted(name for name in files if _has(files, name, path.split(".")))


def _has(files: Mapping[str, Mapping[Any, Any]], name: str, parts: Sequence[str]) -> bool:
    node: Any = files.get(name, {})
    others = {other: content for other, content in files.items() if other != name}  # no circle
    defaults = node.get("defaults")
    for part in parts:
        if not isinstance(node, dict) or part not in node:
            below = defaults if isinstance(defaults, list) else []
            return any(_has(others, each, parts) for each in below if isinstance(each, str))
        node = node[part]
    return True


def _mapping(file: Path) -> Mapping[Any, Any]:
    """What a YAML file holds; nothing where it is none with keys."""
    try:
        content = yaml.load(
            file.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )  # OmegaConf would make nodes of it
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


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
    close = (
        (len(parts) == 1 and _namesakes(key, config))
        or _corrected(parts, tops)
        or _named(parts[-1], config)
        or _corrected(parts[:1], tops)
    )
    if close:
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
    paths = _named_paths(config)
    names = get_close_matches(last, {path.rpartition(".")[2] for path in paths}, 1, 0.8)
    return [path for path in paths if path.rpartition(".")[2] in names and path != last][:SHOWN]


def _namesakes(key: str, config: DictConfig) -> list[str]:
    """Other keys with the own name of ``key``, or else those that other options have, and which."""
    last = key.rpartition(".")[2]
    own = [path for path in _named_paths(config) if path.rpartition(".")[2] == last and path != key]
    if own:
        return own[:SHOWN]
    folders, choices = _origin(config)
    groups = [str(group) for group in choices if group in config and group not in UNNAMED]
    having = {group: _options_with(group, last, folders) for group in groups}
    return [f"{group}.{last} of {group}={own[0]}" for group, own in having.items() if own][:SHOWN]


def _named_paths(config: DictConfig) -> list[str]:
    content = _content(config)
    return list(_paths({top: node for top, node in content.items() if top not in UNNAMED}))


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
