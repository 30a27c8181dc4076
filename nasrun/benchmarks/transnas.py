"""Reader of TransNAS-Bench-101's official file, ``transnas-bench_v10141024.pth``.

A pickle in torch's wrapping: ``data[space][arch][task]`` holds ``total_epochs``, ``metrics`` (a
list of one figure an epoch for each name) and ``model_info`` ([T] ``api/api.py``).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.benchmarks.curves import Curve
from nasrun.benchmarks.nasbench201 import pickle_in
from nasrun.benchmarks.table import Column, Frame
from nasrun.benchmarks.unpickle import RECORDS, load_restricted
from nasrun.errors import DataError
from nasrun.input_files import UNPACKED, read_up_to
from nasrun.spec import Floats

SPACES = {"transnas_micro": "micro", "transnas_macro": "macro"}
# What a task is judged by: our name of the task, then the official one and its metric. A loss is
# read with its sign turned, as NASLib and the benchmark's own best_archs do.
SCORES = {
    "class_scene": ("class_scene", "top1"),
    "class_object": ("class_object", "top1"),
    "jigsaw": ("jigsaw", "top1"),
    "room_layout": ("room_layout", "neg_loss"),
    "segmentsemantic": ("segmentsemantic", "acc"),
    "segmentsemantic_miou": ("segmentsemantic", "mIoU"),
    "normal": ("normal", "ssim"),
    "autoencoder": ("autoencoder", "ssim"),
}
PARTS = {"val_score": ("valid", "val"), "test_score": ("test",)}
SHARES = ("acc", "mIoU")  # in percent; a file that has them as fractions is told by their size


def read(path: Path, space: str) -> Frame:
    """Validation and test figures of every epoch, seconds and latency of a space's networks.

    ``time_elapsed`` is taken for the seconds of each epoch, and where it never falls for those
    since the beginning: the benchmark does not say which.

    Raises:
        DataError: not the official file, or a damaged one; or one that asks for more than data.
    """
    if space not in SPACES:
        raise DataError(f"{path}: it holds {', '.join(SPACES)}, not space={space}")
    with pickle_in(path, "TransNAS-Bench-101") as (stream, _):
        whole = read_up_to(stream, path, max(UNPACKED, path.stat().st_size))
        content = load_restricted(whole, RECORDS, path)
    try:
        networks: Mapping[str, Mapping[str, Any]] = content["data"][SPACES[space]]
        if not networks:
            raise ValueError(f"no network of the {SPACES[space]} space")
        columns: dict[Column, Floats] = {}
        curves: dict[Curve, Floats] = {}
        for task, (official, metric) in SCORES.items():
            runs = [tasks.get(official) for tasks in networks.values()]
            columns.update(_columns(task, metric, runs))
            curves.update(_losses(task, runs))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            f"{path}: not laid out as TransNAS-Bench-101 ({type(error).__name__}: {error}); get "
            "transnas-bench_v10141024.pth again"
        ) from None
    return Frame(list(networks), columns, curves)


def _columns(
    task: str, metric: str, runs: Sequence[Mapping[str, Any] | None]
) -> Iterable[tuple[Column, Floats]]:
    known = [run for run in runs if run is not None]
    if not known:
        return
    epochs = int(known[0]["total_epochs"])
    for part, prefixes in PARTS.items():
        curves = np.stack([_curve(run, prefixes, metric, epochs) for run in runs])
        if metric in SHARES and np.nanmax(curves, initial=0.0) <= 1.0:
            curves *= 100.0
        if not np.isnan(curves).all():
            for epoch in range(epochs):
                yield Column(part, task, epochs, epoch + 1, "mean"), curves[:, epoch]
    seconds = np.array([_epoch_s(run) for run in runs])
    latency_ms = np.array([_info(run, "inference_time") for run in runs]) * 1000.0
    for name, figures in (("train_s", seconds), ("latency_ms", latency_ms)):
        if not np.isnan(figures).all():
            yield Column(name, task, epochs, epochs, "mean"), figures


def _losses(task: str, runs: Sequence[Mapping[str, Any] | None]) -> Iterable[tuple[Curve, Floats]]:
    """Losses of every epoch; the scores' own are columns."""
    epochs = next((int(run["total_epochs"]) for run in runs if run is not None), 0)
    for part, prefixes in (("train_loss", ("train",)), ("val_loss", PARTS["val_score"])):
        curves = np.stack([_curve(run, prefixes, "loss", epochs) for run in runs])
        if not np.isnan(curves).all():
            yield Curve(part, task, epochs, "mean"), curves


def _curve(
    run: Mapping[str, Any] | None, prefixes: Sequence[str], metric: str, epochs: int
) -> Floats:
    """``(epochs,)`` figures of a run; NaN where it has none."""
    metrics = {} if run is None else run["metrics"]
    for prefix in prefixes:
        for name, sign in ((f"{prefix}_{metric}", 1.0), (f"{prefix}_{metric[4:]}", -1.0)):
            if name in metrics and (sign > 0 or metric.startswith("neg_")):
                curve = sign * np.array(metrics[name], np.float64)
                if curve.shape != (epochs,):
                    raise ValueError(f"{name} has {curve.size} figures for {epochs} epochs")
                return curve
    return np.full(epochs, np.nan)


def _epoch_s(run: Mapping[str, Any] | None) -> float:
    seconds = np.array([] if run is None else run["metrics"].get("time_elapsed", []), np.float64)
    if not len(seconds):
        return np.nan
    rises = len(seconds) > 1 and bool((np.diff(seconds) > 0).all())
    return float(seconds[-1] / len(seconds) if rises else seconds.mean())


def _info(run: Mapping[str, Any] | None, name: str) -> float:
    return np.nan if run is None else float(run.get("model_info", {}).get(name, np.nan))
