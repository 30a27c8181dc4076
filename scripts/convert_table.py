"""Convert an official benchmark file or folder once into a table that nasrun opens at once.

    python scripts/convert_table.py NAS-Bench-201-v1_1-096897.pth nb201.safetensors
    python scripts/convert_table.py NATS-sss-v1_0-50262-simple nats_size.safetensors

Put the result into data_dir, where ``conf/tables`` finds it, or name it in a table of your own
(``reader: converted``).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from nasrun.__main__ import CONF
from nasrun.benchmarks.sources import Source, convert
from nasrun.config import named_space
from nasrun.errors import ConfigError, NasrunError


def guess(path: Path) -> tuple[str, str]:
    """Reader and space of a file or folder, by its name.

    Raises:
        ConfigError: the name says neither.
    """
    if path.suffix == ".pth":
        return "nasbench201", "nb201"
    if "sss" in path.name:
        return "nats_bench", "nats_size"
    if "tss" in path.name:
        return "nats_bench", "nb201"
    raise ConfigError(f"{path.name} does not say what it is: add --reader and --space")


def run(path: Path, out: Path, reader: str | None, space: str | None) -> str:
    """A sentence on what was converted.

    Raises:
        NasrunError: the source cannot be read, or the result not be written.
    """
    guessed = (reader, space) if reader and space else guess(path)
    reader, space = reader or guessed[0], space or guessed[1]
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task(path.name, total=None)
        table = convert(
            Source(reader, space or "", [str(path)]),
            out,
            named_space(space or "", CONF / "space", "--space"),
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    return f"{out}: {len(table.columns)} columns, {out.stat().st_size / 1e6:.1f} MB"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="official file, or unpacked folder")
    parser.add_argument("out", type=Path, help="file to write, NAME.safetensors")
    parser.add_argument("--reader", help="format, as in conf/tables; guessed from the name")
    parser.add_argument("--space", help="nb201, nats_size, ...; guessed from the name")
    options = parser.parse_args(arguments)
    try:
        print(run(options.source, options.out, options.reader, options.space))
    except NasrunError as error:
        print(f"convert_table: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
