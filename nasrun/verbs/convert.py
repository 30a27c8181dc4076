"""Convert an official benchmark file or folder, once, into a table that opens at once."""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path

from nasrun.errors import ConfigError
from nasrun.files import CONF

EXAMPLES = """\
nasrun convert NAS-Bench-201-v1_1-096897.pth nb201.safetensors
nasrun convert nasbench_full.tfrecord nb101.safetensors
nasrun convert NATS-sss-v1_0-50262-simple nats_size.safetensors

Put the result into data_dir, where conf/tables finds it, or name it in a table of your own
(reader: converted).
"""


def add_arguments(parser: ArgumentParser) -> None:
    """What is converted, and where to."""
    parser.formatter_class, parser.epilog = RawDescriptionHelpFormatter, EXAMPLES
    parser.add_argument("source", type=Path, help="official file, or unpacked folder")
    parser.add_argument("out", type=Path, help="file to write, NAME.safetensors")
    parser.add_argument("--reader", help="format, as in conf/tables; guessed from the name")
    parser.add_argument("--space", help="nb201, nats_size, ...; guessed from the name")


def run(options: Namespace) -> int:
    """Convert, and say what the table holds."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from nasrun.benchmarks.sources import Source, convert
    from nasrun.config import named_space

    path, out, reader, name = options.source, options.out, options.reader, options.space
    if not path.exists():
        raise ConfigError(f"{path} is not there: name an official file, or an unpacked folder")
    if not (reader and name):
        guessed = guess(path)
        reader, name = reader or guessed[0], name or guessed[1]
    space = named_space(name, CONF / "space", "--space")
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task(path.name, total=None)
        table = convert(
            Source(reader, name, [str(path)]), out, space,
            lambda done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip
    print(f"{out}: {len(table.columns)} columns, {out.stat().st_size / 1e6:.1f} MB")
    return 0


def guess(path: Path) -> tuple[str, str]:
    """Reader and space of a file or folder, by its name.

    Raises:
        ConfigError: the name says neither.
    """
    if path.suffix == ".pth":
        return "nasbench201", "nb201"
    if path.suffix == ".tfrecord":
        return "nasbench101", "nb101"
    if "sss" in path.name:
        return "nats_bench", "nats_size"
    if "tss" in path.name:
        return "nats_bench", "nb201"
    raise ConfigError(f"{path.name} does not say what it is: add --reader and --space")
