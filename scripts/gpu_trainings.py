"""Train cells on image subsets for a table of our own, until a time is over; go on from there.

Usage: ``python scripts/gpu_trainings.py OUT SECONDS [key=value ...]``. The tasks are those of
``meta=image_subsets``, by default 25 subsets of the Tiny-ImageNet pack at 16 pixels; each gets 15
cells that are drawn uniformly and 5 of the 500 that are best on CIFAR-100 in NAS-Bench-201's table.
``OUT/trainings/trainings.csv`` is a table for ``meta=recorded meta.path=...``, in which no training
is done twice. 20-class subsets for MetaD2A: ``meta.class_counts=[20]``.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir

from nasrun.__main__ import CONF
from nasrun.config import check
from nasrun.meta.image_subsets import ImageSubsets
from nasrun.spec import Archs, CountableSpace, Streams

UNIFORM, BEST, OF = 15, 5, 500
DEFAULTS = (
    "algorithm=catch", "meta=image_subsets", "task@meta.source=in16", "task=cifar100",
    "evaluator=training", "evaluator.score_epochs=null", "evaluator.together=20",
)  # fmt: skip


def ranked() -> Archs:
    """``(15625, L)`` all cells, the best on CIFAR-100 first."""
    made = check(compose("config", ["task=cifar100"]), [CONF / "task"])
    space, table = made.space, made.evaluator.opened(made.space, made.task)
    assert isinstance(space, CountableSpace)
    cells = space.at(np.arange(space.size))
    full = np.full(len(cells), table.fidelities[-1])
    known = table.evaluate(cells, epochs=full, streams=Streams(range(len(cells))))
    return cells[np.argsort(-np.nan_to_num(known.score), kind="stable")]


def chosen(epoch: int, cells: Archs) -> Archs:
    """``(20, L)`` cells of a task: uniform ones, then some of the best."""
    streams = Streams([epoch], "gpu_trainings")
    return np.concatenate(
        [cells[streams.integers(len(cells), UNIFORM)[0]], cells[streams.subsets(OF, BEST)[0]]]
    )


def main(arguments: Sequence[str]) -> None:
    """Train task after task."""
    out, seconds, *overrides = arguments
    ends = time.monotonic() + float(seconds)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        base = [*DEFAULTS, f"cache_dir={out}", *overrides]
        made = check(compose("config", base), [CONF / "task"])
        assert made.meta is not None
        subsets = made.meta.pool
        assert isinstance(subsets, ImageSubsets)
        pool = subsets.opened(made.space, made.task, made.evaluator)
        cells = ranked()
        for epoch in range(subsets.epochs):
            if time.monotonic() > ends:
                print(f"the time is over after {epoch} of {subsets.epochs} tasks")
                return
            task, measuring = pool.problem(epoch)
            archs = chosen(epoch, cells)
            full = np.full(len(archs), measuring.fidelities[-1])
            began = time.monotonic()
            found = measuring.evaluate(archs, epochs=full, streams=Streams([0]))
            print(
                f"{task.name}: {len(archs)} cells, best {np.nanmax(found.score):.2f} %, "
                f"{time.monotonic() - began:.1f} s",
                flush=True,
            )
    print(f"all tasks are on record in {Path(out) / 'trainings' / 'trainings.csv'}")


if __name__ == "__main__":
    main(sys.argv[1:])
