"""Which classes a config may name with ``_target_``: asked before the module is imported.

Importing runs a module's code, so a config from elsewhere must not choose which. It may choose from
nasrun's own package of the group, from what lies in a folder that the user puts on the path
(``PYTHONPATH``, or an editable installation), and from installed packages that declare that they
need nasrun.
"""

import importlib.util
import re
import site
import sys
import sysconfig
from functools import cache
from importlib import metadata
from pathlib import Path

from nasrun.errors import ConfigError

INSTALLED = {"site-packages", "dist-packages"}
OWN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def require_own_target(target: object, where: str, *packages: str) -> None:
    """Refuse a class from elsewhere than ``packages`` and what the user has put on the path.

    Args:
        target: what ``_target_`` says.
        where: the node that says so.
        packages: those of the group; none: nasrun's own and Hydra's plug-ins.

    Raises:
        ConfigError: it is no dotted name, or of none of these.
    """
    key = where if where.endswith(("class", "()")) else f"{where}._target_"
    if not isinstance(target, str) or not OWN.fullmatch(target):
        raise ConfigError(f"{key} must be the dotted name of a class, got {target!r}")
    allowed = packages or ("nasrun", "hydra_plugins", "hydra._internal.core_plugins")
    if any(target.startswith(f"{package}.") for package in allowed):
        return
    top = target.partition(".")[0]
    if top == "nasrun" or not (_is_in_own_folder(top) or top in _made_for_nasrun()):
        raise ConfigError(
            f"{key}={target} is none of {', '.join(f'{name}.*' for name in allowed)}, and of no "
            "module in a folder on PYTHONPATH: put the folder of your own module there"
        )


def _is_in_own_folder(top: str) -> bool:
    """Whether a module lies in a folder that is neither Python's nor one of installed packages."""
    if top in sys.builtin_module_names or top in sys.stdlib_module_names:
        return False
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    if spec is None:
        return True  # so that the refusal says that there is none
    places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or [])
    return any(_is_own(Path(place)) for place in places if place)


def _is_own(place: Path) -> bool:
    found = place.resolve()
    if INSTALLED & set(found.parts):  # perhaps of another environment, which a .pth file adds
        return False
    return not any(found.is_relative_to(folder) for folder in _installed())


@cache
def _installed() -> frozenset[Path]:
    """Folders of the standard library and of installed packages."""
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    paths = [*(sysconfig.get_path(kind) for kind in kinds), site.getusersitepackages()]
    return frozenset(Path(path).resolve() for path in [*paths, *site.getsitepackages()])


@cache
def _made_for_nasrun() -> frozenset[str]:
    """Modules of installed packages that say that they need nasrun."""
    return frozenset(
        module
        for module, names in metadata.packages_distributions().items()
        if any(_needs_nasrun(name) for name in names)
    )


def _needs_nasrun(distribution: str) -> bool:
    needs = metadata.requires(distribution) or []
    return any(re.match(r"nasrun\b(?![-.\w])", text) for text in needs)
