"""The launcher that a sweeper hands its jobs to."""

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from nasrun.errors import ConfigError

EXTRAS = {
    "joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit", "ray": "ray",
}  # fmt: skip


def make_launcher(
    hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
) -> Launcher:
    """The launcher that ``hydra/launcher`` names.

    Raises:
        ConfigError: its plug-in is not installed.
    """
    plugins = Plugins.instance()
    name = config.hydra.runtime.choices["hydra/launcher"]
    if name in EXTRAS and config.hydra.launcher._target_ not in plugins.class_name_to_class:
        raise ConfigError(
            f"hydra/launcher={name} needs a plug-in that is not installed: "
            f'pip install "nasrun[{EXTRAS[name]}]"'
        )
    return plugins.instantiate_launcher(
        hydra_context=hydra_context, task_function=task_function, config=config
    )
