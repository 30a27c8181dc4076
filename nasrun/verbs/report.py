"""Make the report of finished sweeps again, from their CSV files alone, or a run's own page.

Several have a report each, or with --out a joint one there.
"""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from nasrun.errors import ConfigError
from nasrun.files import CONF
from nasrun.resume import refuse_study

DEFAULT = CONF / "config.yaml"  # has the node of sweeps that name no other


def add_arguments(parser: ArgumentParser) -> None:
    """Which sweeps, and what to make of them."""
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="of a sweep or a run")
    parser.add_argument(
        "--report", type=Path, metavar="YAML",
        help="experiment file whose report: node to use; default: that of the last report, "
        "or of any sweep",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="DIR",
        help="join the folders, and write their report here; default: each has its own",
    )  # fmt: skip


def run(options: Namespace) -> int:
    """Write the reports, and say where."""
    from rich.console import Console

    from nasrun.cells import job_edges
    from nasrun.record.collect import pooled, require_whole_below
    from nasrun.report.experiment import report

    for folder in options.folders:
        refuse_study(folder)
        require_whole_below(folder)
    console = Console()
    node = experiment_node(options.report) if options.report else None
    if options.out is not None and (sentence := pooled(options.folders)):
        print(f"warning: {sentence}", file=sys.stderr)
    for written in report(options.folders, options.out, node, job_edges):
        console.print(written.table)
        for path in written.files:
            print(f"wrote {path}")
    return 0


def experiment_node(path: Path) -> dict[str, Any]:
    """The ``report:`` node of an experiment file.

    Raises:
        ConfigError: the file cannot be read or has none.
    """
    try:
        config = OmegaConf.load(path)
    except (OSError, YAMLError) as error:
        raise ConfigError(f"--report {path}: cannot be read ({error})") from None
    node = config.get("report") if isinstance(config, DictConfig) else None
    if not isinstance(node, DictConfig):
        raise ConfigError(f"--report {path}: expected a file with a report: node, found none")
    content = OmegaConf.to_container(node, resolve=True)
    return {str(key): value for key, value in content.items()} if isinstance(content, dict) else {}
