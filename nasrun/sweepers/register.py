"""How Hydra comes to know the sweepers and launchers of this package."""

from hydra.core.plugins import Plugins
from hydra.plugins.plugin import Plugin

from nasrun.sweepers.optuna_sweeper import OptunaSweeper
from nasrun.sweepers.split import SplitSweeper

# Hydra 1.3 takes plug-ins from the package ``hydra_plugins`` alone, and imports all of it for every
# Hydra application on the machine. Ours have their names there and stay here.
HOME = "hydra_plugins.nasrun"


def register_sweepers() -> None:
    """Make every sweeper and launcher known, as ``hydra_plugins.nasrun.CLASS``."""
    plugins: list[type[Plugin]] = [OptunaSweeper, SplitSweeper]
    known = Plugins.instance().class_name_to_class
    if any(name.startswith("hydra_plugins.hydra_submitit_launcher.") for name in known):
        from nasrun.sweepers.submitit_launchers import LocalLauncher, SlurmLauncher

        plugins += [LocalLauncher, SlurmLauncher]
    known.update({f"{HOME}.{plugin.__name__}": plugin for plugin in plugins})
