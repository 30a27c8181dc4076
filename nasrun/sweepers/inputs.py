"""What the jobs of a sweep read, looked at before the first of them is played.

A file that is missing is said at once, and once, rather than by each of sixty jobs in its turn.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nasrun import config as configs
from nasrun.errors import NasrunError
from nasrun.spec import Hardware
from nasrun.sweepers.plan import Overrides

# What decides which files a job reads, besides its algorithm.
READ_BY = (
    "space", "task", "evaluator", "hardware", "meta", "scorer", "retrain", "tables", "data_dir",
    "cache_dir",
)  # fmt: skip


def unreadable(examples: Mapping[Overrides, DictConfig]) -> dict[Overrides, NasrunError]:
    """Which of these jobs cannot read what they need, and why.

    Jobs that read the same are looked at once. A job whose config is at fault will say so itself.
    """
    found: dict[Overrides, NasrunError] = {}
    seen: dict[str, NasrunError | None] = {}
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # the jobs will say it
    try:
        for job, config in examples.items():
            if (inputs := _inputs(config)) is None:
                continue
            if inputs not in seen:
                seen[inputs] = _refusal(config)
            if (refusal := seen[inputs]) is not None:
                found[job] = refusal
    finally:
        logging.disable(level)
    return found


def has_target_of_process(config: DictConfig) -> bool:
    """Whether each job of a config is rewarded by a target that it measures for itself."""
    try:
        return configs.build(config.hardware, Hardware, "hardware").has_target_of_process
    except Exception:  # whatever a config may hold: the job explains it
        return False


def _inputs(config: DictConfig) -> str | None:
    """A text that is the same for configs that read the same; None where nobody can tell."""
    try:
        own: dict[str, Any] = {
            key: OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
            for key in READ_BY
            for node in (OmegaConf.select(config, key),)
        }
    except OmegaConfBaseException:
        return None
    return json.dumps([own, str(OmegaConf.select(config, "algorithm._target_"))], default=str)


def _refusal(config: DictConfig) -> NasrunError | None:
    try:
        experiment = configs.check(config, list(_task_folders(config)))
    except Exception:  # whatever a config may hold: the job explains it
        return None
    try:
        _ = experiment.opened().files
    except NasrunError as error:
        return error
    except Exception:
        return None
    return None


def _task_folders(config: DictConfig) -> Iterator[Path]:
    for source in config.hydra.runtime.config_sources:
        if source.schema == "file":
            yield Path(source.path) / "task"
