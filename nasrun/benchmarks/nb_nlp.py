"""Reader of NAS-Bench-NLP's logs: a JSON file for each training of a recurrent cell ([NL]).

``train_logs_*/logs.zip``, or a folder of the files. Cells are written as the benchmark writes them:
a JSON text that gives each node an operation and its inputs ("recepie").
"""

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.benchmarks.curves import Curve
from nasrun.benchmarks.table import Column, Frame
from nasrun.errors import ConfigError, DataError
from nasrun.input_files import BROKEN, read_bytes, read_json_bytes, read_member, require_file
from nasrun.spec import Floats, SearchSpace

MIB = 2**20
FIELDS = {"train_loss": "train_losses", "val_loss": "val_losses"}
AGAIN = "get logs.zip again, from github.com/fmsnew/nas-bench-nlp-release"


def read(path: Path, space: SearchSpace | None = None) -> Frame:
    """Perplexities and losses of every epoch, and seconds, of each cell.

    Of a cell that was trained several times the runs are numbered ``1``, ``2``, ... in the order of
    their files. An epoch that was not reached, or whose loss is not a number, is missing.

    Args:
        path: of the zip or the folder.
        space: texts are its own, so that recipes which differ in names are one cell; None: as they
            stand in the logs.

    Raises:
        DataError: no such logs, damaged ones, or cells that the space does not hold.
    """
    runs: dict[str, list[Mapping[str, Any]]] = {}
    for name, content in _logs(path):
        try:
            log = read_json_bytes(content)
            recipe = json.dumps(json.loads(log["recepie"]))
            recipe = recipe if space is None else space.text(space.parse(recipe))
            _check(log)
        except (AttributeError, ConfigError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path}: {name} is no log of NAS-Bench-NLP ({type(error).__name__}: {error}); "
                f"{AGAIN}"
            ) from None
        runs.setdefault(recipe, []).append(log)
    if not runs:
        raise DataError(f"{path}: expected JSON logs of NAS-Bench-NLP, found none; {AGAIN}")
    return _frame(runs)


def _logs(path: Path) -> Iterator[tuple[str, bytes]]:
    """The JSON files of a zip or a folder, by name."""
    if path.is_dir():
        for file in sorted(path.glob("*.json")):
            yield file.name, read_bytes(file, MIB)
        return
    require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".json"):
                    yield name, read_member(archive, name, MIB)
    except BROKEN as error:
        raise DataError(f"{path}: not a zip of logs ({error}); {AGAIN}") from None


def _check(log: Mapping[str, Any]) -> None:
    """Refuse lists that are not one figure an epoch.

    Raises:
        ValueError: says which.
    """
    epochs = int(log["epochs"])
    for name in ("train_losses", "val_losses", "test_losses", "wall_times"):
        figures = np.array(log[name], np.float64)
        if figures.ndim != 1 or len(figures) > epochs:
            raise ValueError(f"{name} has {figures.size} figures for {epochs} epochs")


def _frame(runs: Mapping[str, list[Mapping[str, Any]]]) -> Frame:
    columns: dict[Column, Floats] = {}
    curves: dict[Curve, Floats] = {}
    for row, logs in enumerate(runs.values()):
        for number, log in enumerate(logs, 1):
            dataset = Path(str(log["data"])).name
            epochs, run = int(log["epochs"]), str(number)
            for metric, field in FIELDS.items():
                curve = Curve(metric, dataset, epochs, run)
                block = curves.setdefault(curve, np.full((len(runs), epochs), np.nan))
                block[row, : len(log[field])] = log[field]
            for metric, field in (("val_score", "val_losses"), ("test_score", "test_losses")):
                for epoch, loss in enumerate(log[field], 1):
                    if metric == "val_score" or epoch == epochs:
                        column = Column(metric, dataset, epochs, epoch, run)
                        figures = columns.setdefault(column, np.full(len(runs), np.nan))
                        figures[row] = np.exp(loss)
            if times := log["wall_times"]:
                seconds = Column("train_s", dataset, epochs, epochs, run)
                columns.setdefault(seconds, np.full(len(runs), np.nan))[row] = np.mean(times)
    return Frame(list(runs), columns, curves)
