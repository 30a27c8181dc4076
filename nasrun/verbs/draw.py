"""Draw the cell of an architecture, in the terminal and as PNG or SVG."""

import os.path
from argparse import ArgumentParser, Namespace
from pathlib import Path

from nasrun.errors import ConfigError
from nasrun.files import CONF
from nasrun.report.draw import cell_lines, draw_cell
from nasrun.spec import Edges


def add_arguments(parser: ArgumentParser) -> None:
    """What is drawn, and where to."""
    parser.add_argument("arch", metavar="ARCH", help="its text, in quotes; or a run's folder")
    parser.add_argument(
        "overrides", metavar="space=...", nargs="*", default=[],
        help="the search space, and whatever else it takes; default: nb201",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE", help="ends in .png or .svg")


def run(options: Namespace) -> int:
    """Draw."""
    edges, title = _cell(options.arch, options.overrides)
    for line in cell_lines(edges):
        print(line)
    if options.out is None:
        print("--out FILE.png (or .svg) makes a picture of it")
    else:
        draw_cell(edges, options.out, title)
        print(f"wrote {options.out}")
    return 0


def _cell(arch: str, overrides: list[str]) -> tuple[Edges, str]:
    """The edges of what was named, and its text."""
    if os.path.isdir(arch):  # Path(arch).is_dir() fails where the name is as long as a genotype
        from nasrun.results import Results

        found = Results.of(arch).best
        return found.edges, found.text
    for word in overrides:
        if "=" not in word:
            raise ConfigError(f"expected space=NAME after the architecture, found {word!r}: "
                              "a picture's file goes after --out")  # fmt: skip
    from hydra import compose, initialize_config_dir

    from nasrun.config import build
    from nasrun.spec import SearchSpace

    with initialize_config_dir(str(CONF), version_base="1.3"):
        space = build(compose("config", overrides).space, SearchSpace, "space")
    return space.graph(space.parse(arch)), arch
