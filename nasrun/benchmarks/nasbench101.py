"""Reader of NAS-Bench-101's files, ``nasbench_full.tfrecord`` and ``nasbench_only108.tfrecord``.

A record is a training: a JSON list of the cell's fingerprint, the epochs, the adjacency matrix as
zeros and ones, the operations with commas between them, and a protocol buffer ``ModelMetrics`` in
base64 ([N1] ``api.py``, ``lib/model_metrics.proto``). Every cell was trained three times for each
of 4, 12, 36 and 108 epochs, and judged before, in the middle and at the end.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nasrun.benchmarks.source import Watch
from nasrun.benchmarks.store import open_table
from nasrun.benchmarks.table import Column, Frame
from nasrun.benchmarks.tfrecord import fields_of, read_records
from nasrun.errors import ConfigError, DataError
from nasrun.input_files import read_json_bytes, require_file
from nasrun.nets.nb101_cells import INPUT, OPERATIONS, OUTPUT
from nasrun.spec import Archs, CountableSpace, Floats, SearchSpace

DATASET = "cifar10"
CONVERTED = ".safetensors"
REPEATS = 3
CHECKED = 101  # of so many cells one fingerprint is computed: all would take a minute
# Fields of EvaluationData: epoch (1) and training accuracy (3) are not kept.
SECONDS, VALID, TEST = 2, 4, 5
FIGURES = (("val_score", 1, VALID), ("test_score", 1, TEST), ("val_score", 2, VALID),
           ("test_score", 2, TEST), ("train_s", 2, SECONDS))  # fmt: skip
FAULTS = (ValueError, TypeError, KeyError, IndexError, OverflowError, ConfigError)

LABELS = {"input": INPUT, "output": OUTPUT, **{name: at for at, name in enumerate(OPERATIONS)}}

Trainings = NDArray[np.float32]  # (cells, REPEATS, FIGURES)


@runtime_checkable
class Cells(Protocol):
    """A space of the benchmark's cells: ``nb101``, or a part of it."""

    @property
    def whole(self) -> SearchSpace:
        """``nb101``."""
        ...


class _Collector:
    """Cells of ``space`` and the figures of their trainings, record by record."""

    def __init__(self, space: SearchSpace) -> None:
        self.rows: dict[str, int] = {}
        self.archs: list[Archs] = []
        self.wrong = ""  # a fingerprint that is not its cell's
        self._space = space
        self.trainings: dict[int, Trainings] = {}

    def add(self, record: bytes) -> None:
        """Take a training.

        Raises:
            ValueError: it is none of NAS-Bench-101; and the other ``FAULTS``.
        """
        fingerprint_said, epochs, bits, operations, metrics = read_json_bytes(record)
        if not isinstance(epochs, int) or not 0 < epochs < 1000 or len(fingerprint_said) != 32:
            raise ValueError(f"a cell {fingerprint_said!r:.60} after {epochs!r:.60} epochs")
        row = self.rows.setdefault(fingerprint_said, len(self.rows))
        if row == len(self.archs):
            self.archs.append(self._space.parse(f"{bits} {operations}"))
            if row % CHECKED == 0 and fingerprint(*_cell(bits, operations)) != fingerprint_said:
                self.wrong = self.wrong or fingerprint_said
        figures = self._room(epochs, row)[row]
        free = np.flatnonzero(np.isnan(figures[:, 0]))
        if not len(free):
            raise ValueError(f"{fingerprint_said} was trained more than {REPEATS} times")
        figures[free[0]] = _figures(base64.b64decode(metrics))  # lines may be broken

    def _room(self, epochs: int, row: int) -> Trainings:
        """The figures of trainings of so many epochs, with a place for a row."""
        own = self.trainings.get(epochs)
        if own is None or row >= len(own):
            known = 0 if own is None else len(own)
            wider = np.full((max(1024, 2 * row), REPEATS, len(FIGURES)), np.nan, np.float32)
            if own is not None:
                wider[:known] = own
            self.trainings[epochs] = own = wider
        return own


def _figures(metrics: bytes) -> Floats:
    """``(FIGURES,)`` of a ``ModelMetrics``, accuracies in per cent."""
    judged = [dict(fields_of(part)) for number, part in fields_of(metrics) if number == 1]  # pyright: ignore[reportArgumentType]
    if len(judged) != 3:
        raise ValueError(f"a training was judged {len(judged)} times, not 3")
    figures = [judged[at].get(field, 0.0) for _, at, field in FIGURES]  # a zero is not written
    return np.array(figures, np.float64) * [100, 100, 100, 100, 1]


def read(path: Path, space: SearchSpace, watch: Watch | None = None) -> Frame:
    """Validation and test accuracy in the middle and at the end of every training, and seconds.

    Of the cells of ``space``, which is ``nb101`` or a part of it. Runs are numbered from 0, as the
    trainings of a cell follow each other in the file. Or of a table of ``nb101`` that ``nasrun
    convert`` has made of such a file.

    Raises:
        DataError: not such a file, a damaged or a truncated one.
    """
    if not isinstance(space, Cells):
        raise DataError(f"NAS-Bench-101 has cells of space=nb101 and its parts, not {space.name}")
    whole = space.whole
    if path.suffix == CONVERTED:
        table = open_table(path, whole)
        return _of_space(
            Frame(table.archs, {column: table[column] for column in table.columns}), space, whole
        )
    collector, total = _Collector(whole), require_file(path)
    told = None if watch is None else lambda done: watch(min(done, total), total)
    for number, record in enumerate(read_records(path, told)):
        try:
            collector.add(record)
        except FAULTS as error:
            raise DataError(
                f"{path}: record {number + 1} is no training of NAS-Bench-101 ({error}); get "
                "nasbench_full.tfrecord or nasbench_only108.tfrecord again"
            ) from None
    if not collector.rows:
        raise DataError(f"{path}: expected trainings of NAS-Bench-101, found none: get it again")
    return _of_space(Frame(_archs(collector, path, whole), _columns(collector)), space, whole)


def _of_space(frame: Frame, space: SearchSpace, whole: SearchSpace) -> Frame:
    """The figures of the cells of ``space``, each under the first of its encodings there."""
    if type(space) is type(whole):
        return frame
    assert isinstance(space, CountableSpace)
    archs = space.at(np.arange(space.size))
    networks, first = np.unique(space.canonical_keys(archs), return_index=True)
    known = whole.canonical_keys(np.asarray(frame.archs))
    _, there, rows = np.intersect1d(networks, known, return_indices=True)
    columns = {column: figures[rows] for column, figures in frame.columns.items()}
    return Frame(archs[first[there]], columns)


def _archs(collector: _Collector, path: Path, space: SearchSpace) -> Archs:
    """``(n, 26)`` the cells, after a look at whether their fingerprints are the benchmark's."""
    archs, wrong = np.stack(collector.archs), collector.wrong
    if not wrong and len(np.unique(space.canonical_keys(archs))) < len(archs):
        wrong = "(two that are the same)"
    if wrong:
        raise DataError(
            f"{path}: {wrong} is not the fingerprint of its cell, which NAS-Bench-101 would "
            "give: it is another benchmark's file, or a changed one"
        )
    return archs


def _columns(collector: _Collector) -> dict[Column, NDArray[np.float32]]:
    columns = dict[Column, NDArray[np.float32]]()
    for epochs, found in sorted(collector.trainings.items()):
        figures = np.full((len(collector.rows), *found.shape[1:]), np.nan, np.float32)
        known = min(len(figures), len(found))
        figures[:known] = found[:known]
        for place, (metric, at, _) in enumerate(FIGURES):
            epoch = epochs if at == 2 else epochs // 2
            for run in range(REPEATS if metric != "train_s" else 0):
                columns[Column(metric, DATASET, epochs, epoch, str(run))] = figures[:, run, place]
        with np.errstate(invalid="ignore"):
            there = ~np.isnan(figures[..., -1])
            seconds = np.nansum(figures[..., -1], axis=1) / there.sum(axis=1) / epochs
        columns[Column("train_s", DATASET, epochs, epochs, "mean")] = seconds
    return columns


def _cell(bits: str, operations: str) -> tuple[list[list[int]], list[int]]:
    """Matrix and labels of a record whose cell has been parsed."""
    labels = [LABELS[name] for name in operations.split(",")]
    size = len(labels)
    rows = [bits[size * row : size * (row + 1)] for row in range(size)]
    return [[int(bit) for bit in row] for row in rows], labels


def fingerprint(matrix: Sequence[Sequence[int]], labels: Sequence[int]) -> str:
    """The benchmark's MD5 of a cell, the same for isomorphic ones; 0.1 ms each.

    [N1] ``lib/graph_util.py``, ``hash_module``: a vertex begins with the MD5 of the text of (edges
    that leave it, edges that enter it, label); as often as there are vertices it becomes that of
    the sorted hashes of those before it, of those after it, and its own.

    Args:
        matrix: adjacency of the pruned cell.
        labels: of its vertices, -1 the input, -2 the output, else the operation's number.
    """
    used = _on_paths(matrix)
    after = [[to for to, vertex in enumerate(used) if matrix[at][vertex]] for at in used]
    before = [[at for at in range(len(used)) if to in after[at]] for to in range(len(used))]
    hashes = [
        _md5(str((len(out), len(into), labels[at])))
        for at, out, into in zip(used, after, before, strict=True)
    ]
    for _ in used:
        hashes = [
            _md5(f"{_joined(hashes, into)}|{_joined(hashes, out)}|{own}")
            for own, out, into in zip(hashes, after, before, strict=True)
        ]
    return _md5(str(sorted(hashes)))


def _joined(hashes: Sequence[str], places: Sequence[int]) -> str:
    return "".join(sorted([hashes[at] for at in places]))


def _on_paths(matrix: Sequence[Sequence[int]]) -> list[int]:
    """Vertices on a path from the first to the last."""
    last = len(matrix) - 1
    reached, leads = {0}, {last}
    for vertex in range(1, last + 1):
        if any(matrix[at][vertex] for at in reached):
            reached.add(vertex)
    for vertex in range(last - 1, -1, -1):
        if any(matrix[vertex][to] for to in leads):
            leads.add(vertex)
    return sorted(reached & leads)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
