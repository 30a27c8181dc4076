"""Shell completion: what Hydra offers, less what the command would refuse, and the verbs.

Every TAB loads this module, so it imports Hydra alone.
"""

from importlib.util import find_spec

from hydra.plugins.completion_plugin import CompletionPlugin

from nasrun.composition import known_keys
from nasrun.errors import NasrunError
from nasrun.verbs import VERBS, is_verb

ADDED = ("experiment", "tracker")  # groups of which no run has an option unless it is added by +
NEEDED = {  # packages without which an option is refused
    "algorithm=tpe": "optuna",
    "hydra/launcher=joblib": "hydra_plugins.hydra_joblib_launcher",
    "hydra/launcher=ray": "hydra_plugins.hydra_ray_launcher",
    "hydra/launcher=submitit_local": "hydra_plugins.hydra_submitit_launcher",
    "hydra/launcher=submitit_slurm": "hydra_plugins.hydra_submitit_launcher",
    "hydra/sweeper=tune": "optuna",
    "tracker=mlflow": "mlflow",
    "tracker=tensorboard": "tensorboard",
}
_hydras = CompletionPlugin._query


def offer_what_is_accepted() -> None:
    """Make Hydra's completion, in every shell, that of this module."""
    CompletionPlugin._query = _query  # pyright: ignore[reportAttributeAccessIssue]


def _query(plugin: CompletionPlugin, config_name: str | None, line: str) -> list[str]:
    """What may stand at the end of ``line``, which lacks the command's own name."""
    words = line.split()
    typed = words.pop() if words and line[-1] != " " else ""
    if is_verb(words):
        return []  # the shell goes on with files
    try:
        offered = _hydras(plugin, config_name, line)
    except NasrunError:  # a line that is refused as it stands
        return []
    added = [f"+{group}=" for group in ADDED] if typed in ("", "+") else []
    verbs = [verb for verb in VERBS if verb.startswith(typed)] if not words else []
    return sorted({*filter(_is_accepted, offered), *added, *verbs})


def _is_accepted(text: str) -> bool:
    """Whether the command takes an option or a key that Hydra offers."""
    if text.startswith("~"):
        return False  # every group is needed
    option = text.removeprefix("+")
    group = option.partition("=")[0]
    if (package := NEEDED.get(option)) is not None and not _is_there(package):
        return False
    if text.startswith("+"):
        return group in ADDED
    if "/" in group and not group.startswith("hydra/"):
        return False  # a part of other files: by_space/
    return not group.isidentifier() or group == "hydra" or group in known_keys()


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # nor is the package that it lies in
        return False
