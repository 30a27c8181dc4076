"""Make the report of finished sweeps again, from their CSV files alone.

Usage: ``python scripts/report.py DIR [DIR ...] [--out DIR] [--report conf/experiment/NAME.yaml]``.
Several sweeps have a report each, or with ``--out`` a joint one there.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from yaml import YAMLError

from nasrun.cells import job_edges
from nasrun.errors import ConfigError, NasrunError
from nasrun.report.experiment import read_node, write_report
from nasrun.report.trials import require_sweeps


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or that of the first refusal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="holds a trials.csv")
    parser.add_argument(
        "--report", type=Path, metavar="YAML",
        help="experiment file whose report: node to use; default: the folder's report.json",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="DIR",
        help="join the sweeps, and write their report here; default: each has its own",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    console = Console()
    try:
        require_sweeps(options.folders)
        sources = options.folders if options.out else ()
        for folder in [options.out] if options.out else options.folders:
            named = options.folders[0] if options.out else folder
            node = experiment_node(options.report) if options.report else read_node(named)
            written = write_report(folder, node, sources, job_edges)
            console.print(written.table)
            for path in written.files:
                console.print(f"wrote {path}", soft_wrap=True, highlight=False)
    except NasrunError as error:
        print(f"report: {error}", file=sys.stderr)
        return error.exit_code
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


if __name__ == "__main__":
    sys.exit(main())
