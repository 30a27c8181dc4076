"""Play a run or a sweep again into a new folder, and say whether the figures are the same."""

from argparse import ArgumentParser, Namespace
from pathlib import Path


def add_arguments(parser: ArgumentParser) -> None:
    """What is played again, and what is changed of it."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="of a finished run or sweep")
    parser.add_argument(
        "arguments",
        nargs="*",
        default=[],
        metavar="key=value",
        help="how to play: hydra.run.dir=..., hydra.sweep.dir=..., cohort=..., hydra/launcher=...",
    )


def run(options: Namespace) -> int:
    """Leave it to ``nasrun.rerun``."""
    from nasrun.rerun import rerun

    return rerun(options.folder, options.arguments)
