"""What a tuning plays: jobs of the configurations, and jobs of the report."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from optuna.distributions import distribution_to_json

from nasrun.config import build
from nasrun.errors import ConfigError
from nasrun.files import TUNING
from nasrun.identity import identity
from nasrun.sweepers.choosing import Sampling
from nasrun.sweepers.dimensions import (
    Dimensions,
    Value,
    Values,
    example_of,
    split_sweeps,
    values_within,
)
from nasrun.sweepers.inputs import has_target_of_process
from nasrun.sweepers.settings import Settings
from nasrun.sweepers.study import SharedStudy, place_of

REPORTED = "reported"  # folder of the jobs whose rows are the sweep's
DEFAULT, TUNED = "default", "tuned"
CHOICE = "hydra.runtime.choices.algorithm"

Compose = Callable[[Sequence[str]], DictConfig]


@dataclass(frozen=True)
class Tuning:
    """A tuning in one folder, worked out.

    ``fixed`` are the command's own overrides, and ``first`` the values that it has without tuning,
    None if they are outside the dimensions. ``removed`` takes the reported tasks out of the tuning
    jobs' meta-training.
    """

    folder: Path
    settings: Settings
    dimensions: Dimensions
    fixed: Sequence[str]
    first: Mapping[str, Value] | None
    removed: Mapping[str, Sequence[str]]
    declared: str
    algorithm: str
    choice: str  # of the group ``algorithm``: a file's name, which need not be the algorithm's

    def study(self) -> SharedStudy:
        """The study of this folder, opened."""
        sampling = Sampling(self.settings.startup, self.settings.sampler_seed)
        return SharedStudy(
            self.folder / TUNING, self.dimensions, sampling, self.declared, self.first
        )

    def tuning_jobs(self, number: int, values: Mapping[str, Value]) -> list[list[str]]:
        """Overrides of a configuration's jobs, by task."""
        return [
            [
                *_tuning_overrides(self.fixed, self.settings, task, self.removed[task]),
                *overrides_of(values),
                f"hydra.sweep.subdir={TUNING}/{place_of(number)}/{task}",
            ]
            for task in self.settings.tasks
        ]

    def places(self, number: int) -> dict[str, Path]:
        """Folders of a configuration's jobs, by task."""
        place = self.folder / TUNING / place_of(number)
        return {task: place / task for task in self.settings.tasks}

    def report_jobs(self, best: Mapping[str, Value]) -> list[list[str]]:
        """Overrides of the reported jobs: for each task the default values, then the tuned ones."""
        variants = (
            (DEFAULT, self.algorithm, ()),
            (TUNED, f"{self.algorithm}_{TUNED}", overrides_of(best)),
        )
        return [
            [
                *self.fixed, f"task={task}", f"algorithm.name={name}", *values,
                f"hydra.sweep.subdir={REPORTED}/{variant}-{task}",
            ]
            for task in self.settings.report_tasks
            for variant, name, values in variants
        ]  # fmt: skip


def overrides_of(values: Mapping[str, Value]) -> list[str]:
    """A configuration as it would stand on the command line."""
    return [f"{key}={value}" for key, value in values.items()]


def make_tuning(
    folder: Path, settings: Mapping[str, Any], arguments: list[str], compose: Compose
) -> Tuning:
    """The tuning that a command asks for.

    Args:
        folder: ``hydra.sweep.dir``.
        settings: ``hydra.sweeper`` without its target.
        arguments: the command's overrides.
        compose: from overrides to the config of a job.

    Raises:
        ConfigError: settings out of range, nothing to tune, the command's seeds overlap those
            of the tuning, the command names a task itself, or its rewards do not compare.
    """
    own = build(OmegaConf.create(dict(settings)), Settings, "hydra.sweeper")
    dimensions, fixed = split_sweeps(own.params, arguments)
    if not dimensions:
        raise ConfigError(
            "nothing to tune: name a key and its values in hydra.sweeper.params, or on the command "
            "line as in 'algorithm.population=range(5,50)'"
        )
    _require_no_task(fixed)
    default = compose(fixed)
    compose([*fixed, *overrides_of({key: example_of(each) for key, each in dimensions.items()})])
    _require_own_seeds(own, default)
    if OmegaConf.select(default, "sweep.split", default=1) != 1:
        raise ConfigError("sweep.split does not apply to a tuning: use hydra.sweeper.parallel")
    if has_target_of_process(default):
        raise ConfigError(
            "each job of a tuning would measure a target of its own, so that rewards of two "
            "settings do not compare: set hardware.target_ms=..."
        )
    configs = {task: compose(_tuning_overrides(fixed, own, task)) for task in own.tasks}
    for task in own.report_tasks:  # a slip of the pen must not show when all is tuned
        compose([*fixed, f"task={task}"])
    removed = {task: _removed(config, own.report_tasks) for task, config in configs.items()}
    return Tuning(
        folder=folder,
        settings=own,
        dimensions=dimensions,
        fixed=fixed,
        first=_first(dimensions, default),
        removed=removed,
        declared=_declared(own, dimensions, configs, removed),
        algorithm=str(default.algorithm.name),
        choice=OmegaConf.select(default, CHOICE) or str(default.algorithm.name),
    )


def _tuning_overrides(
    fixed: Sequence[str], settings: Settings, task: str, removed: Sequence[str] = ()
) -> list[str]:
    """What all configurations share on a task. No final task but the searched one is scored."""
    trials = (f"seed={settings.seed}", f"trials={settings.trials}")
    return [*fixed, f"task={task}", *trials, "retrain.tasks=[]", *removed]


def _require_no_task(fixed: Sequence[str]) -> None:
    for override in fixed:
        if override.startswith("task="):
            raise ConfigError(
                f"{override} does not apply here: hydra.sweeper.tasks are tuned on and "
                "hydra.sweeper.report_tasks reported"
            )


def _require_own_seeds(settings: Settings, config: DictConfig) -> None:
    tuned = range(settings.seed, settings.seed + settings.trials)
    if config.seed < tuned.stop and tuned.start < config.seed + config.trials:
        raise ConfigError(
            f"the reported trials (seed={config.seed} trials={config.trials}) share seeds with "
            f"those of the tuning (seed={settings.seed} trials={settings.trials}): set "
            "hydra.sweeper.seed beyond them"
        )


def _removed(config: DictConfig, report_tasks: Sequence[str]) -> list[str]:
    """Overrides that take the reported tasks out of what a tuning job meta-trains on."""
    pool = OmegaConf.select(config, "meta.tasks") or []
    left = [task for task in pool if task not in report_tasks]
    return [f"meta.tasks=[{','.join(left)}]"] if len(left) < len(pool) else []


def _first(dimensions: Dimensions, config: DictConfig) -> Values | None:
    """The values without tuning, if the dimensions hold all of them."""
    return values_within(
        dimensions, {key: _plain(OmegaConf.select(config, key)) for key in dimensions}
    )


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def _declared(
    settings: Settings,
    dimensions: Dimensions,
    configs: Mapping[str, DictConfig],
    removed: Mapping[str, Sequence[str]],
) -> str:
    """All that decides what the study's figures mean, but for how long it goes on."""
    content = {
        "dimensions": {key: distribution_to_json(each) for key, each in dimensions.items()},
        "sampling": [settings.startup, settings.sampler_seed],
        "jobs": {task: _identity(config) for task, config in configs.items()},
        "removed": dict(removed),
    }
    return json.dumps(content, sort_keys=True)


def _identity(config: DictConfig) -> dict[str, Any]:
    keys = [str(key) for key in config if key != "hydra"]
    return identity(OmegaConf.masked_copy(config, keys), {})
