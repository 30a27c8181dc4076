"""Names that become parts of paths: an own folder's name must not lead out of it."""

import re
import shlex
from pathlib import Path
from typing import Any

from nasrun.errors import ConfigError

FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f/\\]")
PLAIN = re.compile(r"[\w/.+@-]+", re.ASCII)  # which Hydra's grammar and a shell take as it is
NO_TEXTS = re.compile(  # for Hydra's grammar: numbers, and words of its own
    r"[-+]?(?=\.?\d)\d*(_\d+)*\.?\d*(e[-+]?\d+)?|[-+]?(nan|inf)|null|true|false", re.IGNORECASE
)
LONGEST = 100  # bytes; three names and a digest make a folder's, which may have 255


def require_name(name: Any, where: str) -> None:
    r"""Refuse a name that cannot be a folder's; ``where`` is the config key that holds it.

    Raises:
        ConfigError: empty or too long, ``/``, ``\`` or a control character in it, a dot in front.
    """
    if not isinstance(name, str):
        return  # the schema of its group will say so
    if not name.strip() or name.startswith(".") or FORBIDDEN.search(name) or _long(name):
        raise ConfigError(
            f"{where} names folders, so it must be a text of 1 to {LONGEST} bytes without /, \\ "
            f"and control characters, and without a dot in front, got {name!r}"
        )


def _long(name: str) -> bool:
    return len(name.encode(errors="surrogatepass")) > LONGEST


def require_folder(folder: Any, where: str) -> None:
    """Refuse a folder without a name, which would be the one where the command is given.

    And ``~/x``, which a shell leaves as it is behind a ``=``: it would be a folder called ``~``.

    Raises:
        ConfigError: nothing, blanks, no text at all, or ``~`` in front.
    """
    if not isinstance(folder, str | Path) or not str(folder).strip() or "\0" in str(folder):
        raise ConfigError(f"{where} must name a folder (. for this one), got {folder!r}")
    if str(folder).partition("/")[0] == "~":
        rest = str(folder).removeprefix("~")
        raise ConfigError(f"{where}={folder} would be a folder called ~: write {where}=$HOME{rest}")


def command_for(folder: Path) -> str:
    """What to type to go on in ``folder``."""
    return f"nasrun {shlex.quote(f'resume={as_value(folder)}')}"


def as_value(folder: Path) -> str:
    """A folder as Hydra's grammar takes it behind ``key=``."""
    text = str(folder)
    if PLAIN.fullmatch(text) and not NO_TEXTS.fullmatch(text):
        return text
    # A backslash stands for itself, unless a quote follows.
    escaped = re.sub(
        r"(\\*)('|\Z)", lambda found: 2 * found[1] + found[2].replace("'", "\\'"), text
    )
    return f"'{escaped}'"


def verb_for(verb: str, folder: Path) -> str:
    """What to type to have a verb read ``folder``."""
    return f"nasrun {verb} {shlex.quote(str(folder))}"
