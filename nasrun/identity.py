"""What of a config can change a result, by which runs are told apart."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from nasrun.record.evaluations import Kept

# To be raised when rows of trials get other columns: old folders are other runs. (Those of
# measurements are a file a run: trials that an earlier version has kept of one are played anew.)
ROWS = 3
# Where files lie, and whether they may be fetched.
PLACES = ("cache_dir", "data_dir", "path", "runtime_path", "paths", "folders", "download")


def recipe(config: DictConfig) -> dict[str, Any]:
    """The part of a config that can change what meta-training learns."""
    groups = _groups(config, ("space", "task", "algorithm", "evaluator", "hardware", "meta"))
    groups["algorithm"].pop("name")
    return groups


def identity(config: DictConfig, files: Mapping[str, str]) -> dict[str, Any]:
    """What can change a result: config and data, without folders, pace and verbosity.

    Args:
        config: the composed config.
        files: data files and their sha256; they stand for the places where the files lie.
    """
    groups = (
        "space", "task", "algorithm", "evaluator", "hardware", "meta", "budget", "retrain", "scorer"
    )  # fmt: skip
    own = {"rows": ROWS, "seed": config.seed, "trials": config.trials, "data": dict(files)}
    left_out = config.record.evaluations
    kept = {} if left_out == Kept.csv.value else {"evaluations": str(left_out)}
    study = _groups(config, ["study"]) if config.get("study") else {}
    return {**_groups(config, groups), **own, **kept, **study}


def _groups(config: DictConfig, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Config groups as plain dicts, without the keys that only say where files lie."""
    return {name: _without_places(_plain(config[name])) for name in names}


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _without_places(content: Any) -> Any:
    if not isinstance(content, dict):
        return content
    node: dict[Any, Any] = content
    return {key: _without_places(value) for key, value in node.items() if key not in PLACES}
