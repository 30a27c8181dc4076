"""Times of NAS-Bench-101 at its full size, on a file with made-up figures in the official format.

    python scripts/nb101_full_size.py FOLDER [--budgets 4 12 36 108]

writes ``FOLDER/nasbench_stand_in.tfrecord`` of all 423,624 cells unless it is there, converts it as
``nasrun convert`` does, opens the table from the cache, and searches it by regularised evolution
(500 trials of 50 evaluations). Prints the seconds of each step and how resident memory grows.
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
from nasrun.benchmarks.nasbench101 import fingerprint
from nasrun.benchmarks.sources import Source, convert, load_table
from nasrun.benchmarks.tfrecord import masked_crc32c
from nasrun.budget import Budget
from nasrun.evaluators.tabular import Tabular
from nasrun.experiment import problem_of
from nasrun.hardware.none import NoHardware
from nasrun.play import play
from nasrun.record.history import History
from nasrun.spaces import nb101_cells as cells
from nasrun.spaces.nb101 import NB101
from nasrun.spaces.nb101_notation import NAMES
from nasrun.spec import Phase, Task
from nasrun.streams import Streams

TASK = Task("cifar10", 10, 32, "cifar10-valid", "cifar10", 25_000, 25_000)
BATCH = 4096  # records whose check sums are computed at a time


def trainings(budgets: list[int]) -> Iterator[bytes]:
    """The records' data; accuracies are random."""
    edges, kinds = cells.enumerated()
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
            for epochs in budgets:
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


def write(path: Path, budgets: list[int]) -> None:
    """The whole file."""
    with path.open("wb") as stream:
        records = trainings(budgets)
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


def main() -> None:
    """Write, convert, open, search."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budgets", type=int, nargs="+", default=[4, 12, 36, 108])
    options = parser.parse_args()
    space, folder = NB101(), options.folder
    folder.mkdir(parents=True, exist_ok=True)
    path, out = folder / "nasbench_stand_in.tfrecord", folder / "nb101.safetensors"
    if not path.exists():
        with measured("write the stand-in"):
            write(path, options.budgets)
    if not out.exists():
        with measured(f"convert {path.stat().st_size / 1e6:,.0f} MB"):
            convert(Source("nasbench101", "nb101", [str(path)]), out, space)
    tables = {"nb101": Source("converted", "nb101", [str(out)])}
    with measured("first load of the converted table"):
        load_table(tables, ["nb101"], space, folder)
    with measured("load from the cache"):
        table = load_table(tables, ["nb101"], space, folder)
    with measured("the first 500 rows"):
        table.row(space.sample(Streams(range(500))))
    with measured("open the evaluator"):
        evaluator = Tabular(tables=tables, cache_dir=str(folder)).opened(space, TASK)
    del table
    streams = Streams(range(500))
    problem = problem_of(space, TASK, evaluator, NoHardware().opened(space, TASK), streams)
    with measured("REA, 500 trials of 50 evaluations"):
        play(REA(), problem, Budget(evaluations=50), streams, Phase.SEARCH, History(np.arange(500)))


if __name__ == "__main__":
    main()
