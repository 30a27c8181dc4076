"""How Hydra comes to know the sweepers and launchers of this package."""

import hydra
from hydra.core.plugins import Plugins
from hydra.plugins.plugin import Plugin

from nasrun.sweepers.optuna_sweeper import OptunaSweeper
from nasrun.sweepers.split import SplitSweeper

# Hydra 1.3 takes plug-ins from the package ``hydra_plugins`` alone, and imports all of it for every
# Hydra application on the machine. Ours have their names there and stay here. Hydra 1.4 wants a
# class to be where its name says.
HOME = "hydra_plugins.nasrun"
IS_HYDRA_13 = hydra.__version__.startswith("1.3")


def plugin_name(path: str) -> str:
    """What ``_target_`` of a plug-in at ``path`` has to be, for the Hydra at hand."""
    return f"{HOME}.{path.rpartition('.')[2]}" if IS_HYDRA_13 else path


def register_sweepers() -> None:
    """Make every sweeper and launcher known under its ``plugin_name``."""
    plugins: list[type[Plugin]] = [OptunaSweeper, SplitSweeper]
    known = Plugins.instance().class_name_to_class
    if any(name.startswith("hydra_plugins.hydra_submitit_launcher.") for name in known):
        from nasrun.sweepers.submitit_launchers import LocalLauncher, SlurmLauncher

        plugins += [LocalLauncher, SlurmLauncher]
    for plugin in plugins:
        known[plugin_name(f"{plugin.__module__}.{plugin.__name__}")] = plugin
