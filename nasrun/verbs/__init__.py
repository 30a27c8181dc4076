"""The verbs of the command line, beside the runs that Hydra composes: ``nasrun report DIR``.

A verb is a first word without ``=``. Each is a module of this package, imported when it is asked
for, with ``add_arguments(parser)`` and ``run(options) -> int``.
"""

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

from nasrun.errors import ConfigError

VERBS = {  # what each does, in a line of the help
    "show": "a run or a sweep: winner, curve, table, drawing",
    "report": "tables, figures and page of sweeps, made again; a run's page",
    "compare": "two runs or sweeps, trial by trial",
    "rerun": "a run or a sweep, played again: are the figures the same?",
    "draw": "an architecture, or a run's winner, as PNG or SVG",
    "convert": "an official benchmark file into a table that opens at once",
    "fetch": "download a public benchmark file",
}
PREFIXES = ("-", "+", "~")  # of Hydra's own words


class Parser(argparse.ArgumentParser):
    """A parser whose refusals are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{self.prog}: {message}; see {self.prog} --help")


def is_verb(arguments: Sequence[str]) -> bool:
    """Whether the words after ``nasrun`` are for this package; Hydra reads all others."""
    first = arguments[0] if arguments else ""
    return bool(first) and "=" not in first and not first.startswith(PREFIXES)


def perform(arguments: Sequence[str]) -> int:
    """Do what a verb and its arguments say; returns the exit code.

    Raises:
        NasrunError: an unknown verb, or what the verb refuses.
    """
    name, *rest = arguments
    if name not in VERBS:
        raise _unknown(name)
    module = import_module(f"{__name__}.{name}")
    parser = Parser(f"nasrun {name}", description=module.__doc__)
    module.add_arguments(parser)
    return module.run(parser.parse_intermixed_args(rest))


def _unknown(name: str) -> ConfigError:
    close = [f"nasrun {verb}" for verb in get_close_matches(name, VERBS, 1)]
    meant = [*close, *(["nasrun resume=DIR"] if name == "resume" else [])]
    hint = f"did you mean {meant[-1]}? " if meant else ""
    return ConfigError(
        f"{name!r} is no verb: {hint}nasrun knows {', '.join(VERBS)}, and key=value for a run"
    )


def described() -> str:
    """The verbs as lines of the help."""
    width = max(map(len, VERBS))
    return "\n".join(f"nasrun {name:{width}}  {does}" for name, does in VERBS.items())
