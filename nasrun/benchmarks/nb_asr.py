"""Reader of NAS-Bench-ASR's files, ``nb-asr-e40-SEED.pickle`` ([AS] ``nasbench_asr/dataset.py``).

Each is two pickles in a row: a header (``dataset_type``, ``seed``, ``epochs``, ``columns``), then a
row for each of 8,242 models: its hash, the validation error rate of every epoch, the test error
rate at the epoch where that was lowest, and last the cell. Rates are fractions; in per cent here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.benchmarks.source import Source
from nasrun.benchmarks.table import Column, Frame
from nasrun.benchmarks.unpickle import RECORDS, load_in_a_row
from nasrun.errors import ConfigError, DataError
from nasrun.input_files import UNPACKED, read_bytes
from nasrun.spec import CountableSpace, Floats

DATASET = "timit"
COLUMNS = ["model_hash", "val_per", "test_per"]
AGAIN = "get nb-asr-e40-SEED.pickle again, from github.com/SamsungLabs/nb-asr"


def files(source: Source) -> list[Path]:
    """The files of all seeds that are in the first folder with one."""
    found = [path for path in source.candidates() if path.is_file()]
    return [path for path in found if path.parent == found[0].parent]


def read(paths: Sequence[Path], space: CountableSpace) -> Frame:
    """Validation error rate of every epoch and the test error rate, seed by seed.

    Every encoding of a model is listed, so that look-ups go by number: a space of 13,824 is gone
    through once, where a search would ask for the canonical form of each cell that it meets.

    Raises:
        DataError: another file, a damaged one, or one that asks for more than data; files of
            different models.
    """
    columns: dict[Column, Floats] = {}
    archs: list[str] = []
    for path in paths:
        seed, own, valid, test = _run(path)
        if archs and own != archs:
            raise DataError(f"{path}: it has other models than {paths[0].name}; {AGAIN}")
        archs, epochs = own, valid.shape[1]
        for epoch in range(epochs):
            columns[Column("val_score", DATASET, epochs, epoch + 1, seed)] = valid[:, epoch]
        columns[Column("test_score", DATASET, epochs, epochs, seed)] = test
    try:
        listed = np.array([space.parse(text) for text in archs], np.int64)
    except ConfigError as error:
        raise DataError(f"{paths[0]}: {error}; {AGAIN}") from None
    models = {space.canonical(arch): row for row, arch in enumerate(listed)}
    every = space.at(np.arange(space.size))
    rows = np.array([models.get(space.canonical(arch), -1) for arch in every])
    texts = [space.text(arch) for arch in every[rows >= 0]]
    return Frame(texts, {name: own[rows[rows >= 0]] for name, own in columns.items()})


def _run(path: Path) -> tuple[str, list[str], Floats, Floats]:
    """Seed, architectures ``(n,)``, their error rates ``(n, epochs)`` and ``(n,)``, in %."""
    header, rows = load_in_a_row(read_bytes(path, UNPACKED), 2, RECORDS, path)
    try:
        kind, columns = header["dataset_type"], list(header["columns"][:3])
        if kind != "training" or columns != COLUMNS:
            raise ValueError(f"a table of {kind} with the columns {columns}")
        ordered = sorted(rows, key=lambda row: row[0])
        valid = np.array([row[1] for row in ordered], np.float64) * 100.0
        test = np.array([row[2] for row in ordered], np.float64) * 100.0
        if valid.shape != (len(ordered), int(header["epochs"])):
            raise ValueError(f"expected {header['epochs']} epochs of each model")
        archs = [_text(row[-1]) for row in ordered]
        return str(header["seed"]), archs, valid, test
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: not NAS-Bench-ASR's training data ({type(error).__name__}: {error}); {AGAIN}"
        ) from None


def _text(cell: Any) -> str:
    return str([[int(number) for number in node] for node in cell])
