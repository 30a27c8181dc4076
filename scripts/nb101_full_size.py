"""Times of NAS-Bench-101 at its full size, with made-up figures.

    python scripts/nb101_full_size.py FOLDER [--cells 5000]      # twice

The first time it writes a file of some cells in the official format, reads it, and makes the table
of all 423,624 cells with 68 columns. The second time it opens that and searches it by regularised
evolution (500 trials of 50 evaluations). Prints seconds and how resident memory grows.
"""

import argparse
import base64
import gc
import json
import resource
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np

from nasrun.algorithms.rea import REA
from nasrun.benchmarks import nasbench101
from nasrun.benchmarks.merge import Merge
from nasrun.benchmarks.nasbench101 import fingerprint
from nasrun.benchmarks.sources import Source, load_table
from nasrun.benchmarks.store import open_table, write_table
from nasrun.benchmarks.table import Column, Frame, Table
from nasrun.benchmarks.tfrecord import masked_crc32c
from nasrun.budget import Budget
from nasrun.evaluators.tabular import Tabular
from nasrun.experiment import problem_of
from nasrun.hardware.none import NoHardware
from nasrun.nets import nb101_cells as cells
from nasrun.play import play
from nasrun.record.history import History
from nasrun.spaces.nb101 import NB101
from nasrun.spaces.nb101_notation import NAMES
from nasrun.spec import Phase, Task
from nasrun.streams import Streams

TASK = Task("cifar10", 10, 32, "cifar10-valid", "cifar10", 25_000, 25_000)
BUDGETS = (4, 12, 36, 108)
BATCH = 4096  # records whose check sums are computed at a time


def trainings(count: int) -> Iterator[bytes]:
    """The records' data of the last ``count`` cells; accuracies are random."""
    edges, kinds = cells.enumerated()
    edges, kinds = edges[-count:], kinds[-count:]
    random = np.random.default_rng(0)
    for start in range(0, len(edges), BATCH):
        adjacency = cells.adjacency_of(edges[start : start + BATCH])
        for own, operations in zip(adjacency, kinds[start : start + BATCH], strict=True):
            used = np.flatnonzero(cells.used_vertices(own[None])[0])
            matrix = own[np.ix_(used, used)].astype(int)
            labels = [cells.INPUT, *operations[used[1:-1] - 1].tolist(), cells.OUTPUT]
            said = fingerprint(matrix.tolist(), labels)
            bits = "".join(map(str, matrix.ravel()))
            names = ",".join(NAMES[label] for label in labels)
            for epochs in BUDGETS:
                for figures in random.uniform(0.1, 0.95, (3, 6)):
                    packed = base64.b64encode(_metrics(epochs, figures)).decode()
                    yield json.dumps([said, epochs, bits, names, packed]).encode()


def _metrics(epochs: int, figures: np.ndarray) -> bytes:
    """A ModelMetrics of three judgements, without those fields that are zero."""
    judged = [(0.0, 0.0), (epochs / 2, 9.0 * epochs), (float(epochs), 18.0 * epochs)]
    parts = b""
    for (epoch, seconds), (valid, test) in zip(judged, figures.reshape(3, 2), strict=True):
        values = [epoch, seconds, 0.99, valid, test]
        part = b"".join(
            bytes([number << 3 | 1]) + struct.pack("<d", value)
            for number, value in enumerate(values, start=1)
            if value
        )
        parts += b"\x0a" + bytes([len(part)]) + part
    return parts + b"\x10\x80\x80\x80\x04\x19" + struct.pack("<d", 20.0 * epochs)


def write(path: Path, count: int) -> None:
    """A file of ``count`` cells."""
    with path.open("wb") as stream:
        records = trainings(count)
        while batch := list(islice(records, BATCH)):
            lengths = [struct.pack("<Q", len(data)) for data in batch]
            heads, sums = _sums(lengths), _sums(batch)
            for parts in zip(lengths, heads, batch, sums, strict=True):
                stream.write(b"".join(parts))


def _sums(parts: list[bytes]) -> list[bytes]:
    sizes = np.array([len(part) for part in parts])
    data = np.frombuffer(b"".join(parts), np.uint8)
    return [struct.pack("<I", each) for each in masked_crc32c(data, sizes.cumsum() - sizes, sizes)]


def resident_mb() -> float:
    """Of this process, now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


@contextmanager
def measured(what: str) -> Iterator[None]:
    """Print what a step takes."""
    gc.collect()
    before, began, cpu = resident_mb(), time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(f"{what:44} {wall:9.3f} s, CPU {cpu:9.3f} s, {resident_mb() - before:+8.1f} MB")


def full_table(space: NB101) -> Table:
    """All cells, with the columns that the official file gives, in random figures."""
    edges, kinds = cells.enumerated()
    archs = np.concatenate([edges, kinds], axis=1, dtype=np.int64)
    random, columns = np.random.default_rng(0), dict[Column, np.ndarray]()
    for epochs in BUDGETS:
        for epoch in (epochs // 2, epochs):
            for metric in ("val_score", "test_score"):
                for run in ("0", "1", "2"):
                    figures = random.uniform(10, 95, len(archs)).astype(np.float32)
                    columns[Column(metric, "cifar10", epochs, epoch, run)] = figures
        seconds = random.uniform(5, 20, len(archs)).astype(np.float32)
        columns[Column("train_s", "cifar10", epochs, epochs, "mean")] = seconds
    merge = Merge(space)
    merge.add("stand-in", Frame(archs, columns))
    return Table(space, merge.archs, merge.columns(), {}, ["stand-in"])


def main() -> None:
    """Write, read, open, search."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, default=5_000)
    options = parser.parse_args()
    space, folder = NB101(), options.folder
    folder.mkdir(parents=True, exist_ok=True)
    path, out = folder / "stand_in.tfrecord", folder / "nb101.safetensors"
    if not out.exists():
        write(path, options.cells)
        with measured(f"read {options.cells:,} cells, {path.stat().st_size / 1e6:,.0f} MB"):
            nasbench101.read(path, space)
        with measured("make the whole table"):
            write_table(out, full_table(space), space)
        print("run again: memory is that of a process that has not made the table")
        return
    with measured("open the table"):
        table = open_table(out, space)
    archs = space.sample(Streams(range(500)))
    with measured("the first 500 rows"):
        assert (table.row(archs) >= 0).all()
    tables = {"nb101": Source("converted", "nb101", [str(out)])}
    with measured("keep it in the cache"):
        load_table(tables, ["nb101"], space, folder)
    with measured("load from the cache"):
        load_table(tables, ["nb101"], space, folder)
    with measured("open the evaluator"):
        evaluator = Tabular(tables=tables, cache_dir=str(folder)).opened(space, TASK)
    streams, history = Streams(range(500)), History(np.arange(500))
    problem = problem_of(space, TASK, evaluator, NoHardware().opened(space, TASK), streams)
    with measured("REA, 500 trials of 50 evaluations"):
        play(REA(), problem, Budget(evaluations=50), streams, Phase.SEARCH, history)


if __name__ == "__main__":
    main()
