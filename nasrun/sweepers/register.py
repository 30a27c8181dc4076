"""How Hydra comes to know the sweepers of this package."""

from hydra.core.plugins import Plugins

from nasrun.sweepers.optuna_sweeper import OptunaSweeper

# Hydra 1.3 takes plug-ins from the package ``hydra_plugins`` alone, and imports all of it for every
# Hydra application on the machine. Ours have their names there and stay here.
HOME = "hydra_plugins.nasrun"
SWEEPERS = (OptunaSweeper,)


def register_sweepers() -> None:
    """Make every sweeper known, as ``hydra_plugins.nasrun.CLASS``."""
    known = Plugins.instance().class_name_to_class
    known.update({f"{HOME}.{sweeper.__name__}": sweeper for sweeper in SWEEPERS})
