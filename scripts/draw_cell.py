"""Draw a cell: ``python scripts/draw_cell.py ARCH OUT.png``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from nasrun.__main__ import CONF
from nasrun.config import named_space
from nasrun.errors import NasrunError
from nasrun.report.draw import draw_cell


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code of the command: 0, or that of the error it printed."""
    parser = argparse.ArgumentParser(description="Draw the cell of an architecture as PNG or SVG.")
    parser.add_argument("arch", metavar="ARCH", help="the architecture's text, in quotes")
    parser.add_argument("out", metavar="OUT", type=Path, help="file ending in .png or .svg")
    parser.add_argument("--space", default="nb201", help="a search space of conf/space")
    given = parser.parse_args(arguments)
    try:
        space = named_space(given.space, CONF / "space", "--space")
        draw_cell(space.graph(space.parse(given.arch)), given.out, given.arch)
    except NasrunError as error:
        print(f"draw_cell: {error}", file=sys.stderr)
        return error.exit_code
    print(f"wrote {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
