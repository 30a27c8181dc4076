"""Reader of MetaD2A's published records: cells of NAS-Bench-201 trained on subsets of ImageNet.

Lee et al., "Rapid Neural Architecture Search by Learning to Generate Graphs from Datasets" (ICLR
2021): ``meta_train_task_lst.pt`` has 5,000 tasks of 20 classes each, numbered from 1 in the order
of the ILSVRC development kit; ``meta_train_tasks_predictor.pt`` has 4,630 records, each the number
of a task, a cell and its accuracy; ``meta_train_tasks_predictor_idx.pt`` is the permutation whose
first 400 records validate. The files hold graph objects and tensors that nothing here needs: they
are passed over, and nothing but plain data is built.
"""

import io
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.benchmarks.checksum import sha256
from nasrun.benchmarks.unpickle import RECORDS, Allowed, Inert, find_allowed, read_bytes
from nasrun.errors import DataError
from nasrun.spec import Floats, Ints

TASKS = "meta_train_task_lst.pt"
PREDICTOR = "meta_train_tasks_predictor.pt"
PERMUTATION = "meta_train_tasks_predictor_idx.pt"
FILES: Mapping[str, str] = {  # and their sha256
    TASKS: "0debce65d5084841e5ce43cf6f229bdb5574074ae8e30c51f28cefbc25b8ce3e",
    PREDICTOR: "0da4ed96b88f9151de0ffce3a63c54741bca5337451bab6c10d10f6c5d7137a4",
    PERMUTATION: "4bd2f1bf566efe5d316bc1a17801d5e196a98f5b9a888109664ac10826f98e3a",
}
VALIDATION = 400  # records that the permutation puts first
# Records from here on were judged otherwise: the accuracies before are multiples of 0.2 % and 17
# points higher (inferred from the file).
SECOND_JUDGEMENT = 4152
MAGIC = 0x1950A86A20F9469CFC6C  # opens the wrapping that torch used before 1.6
ALLOWED: Allowed = {
    **RECORDS,
    ("torch._utils", "_rebuild_tensor_v2"): Inert,
    ("torch", "FloatStorage"): Inert,
    ("torch", "LongStorage"): Inert,
    ("igraph", "Graph"): Inert,
}


@dataclass(frozen=True)
class PublishedRecords:
    """``n`` records: ``cells`` as texts, ``accuracy (n,)`` in %, ``task (n,)`` rows of ``classes``.

    ``classes (tasks, 20)`` number ImageNet's classes from 0, in the order of the ILSVRC development
    kit. ``judgement (n,)`` is 0 or 1: accuracies of different judgements do not compare.
    ``validation (n,)`` marks the published validation part.
    """

    cells: Sequence[str]
    accuracy: Floats
    task: Ints
    classes: Ints
    judgement: Ints
    validation: "np.ndarray[Any, np.dtype[np.bool_]]"


def read(folder: Path) -> PublishedRecords:
    """The records in the three files of ``folder``.

    Raises:
        DataError: a file that is missing, is not the published one, or asks for more than data.
    """
    for name, digest in FILES.items():
        _require(folder / name, digest)
    records = _from_zip(folder / PREDICTOR)
    tasks, permutation = _plain(folder / TASKS), _tensor(folder / PERMUTATION)
    count = len(records["acc"])
    validation = np.zeros(count, np.bool_)
    validation[permutation[:VALIDATION]] = True
    return PublishedRecords(
        cells=records["str"],
        accuracy=np.array(records["acc"], np.float64),
        task=np.array(records["task"], np.int64),
        classes=np.array(tasks, np.int64) - 1,
        judgement=(np.arange(count) >= SECOND_JUDGEMENT).astype(np.int64),
        validation=validation,
    )


def _require(path: Path, digest: str) -> None:
    if not path.exists():
        raise DataError(
            f"{path} is not there: put MetaD2A's published files into that folder, or set "
            "meta.data_dir"
        )
    if sha256(path, path.with_suffix(".sha256.json")) != digest:
        raise DataError(f"{path}: not the published file (another sha256); get it again")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return find_allowed(ALLOWED, module, name)

    def persistent_load(self, pid: Any) -> Any:
        return Inert(pid)


def _from_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        inside = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        return _Unpickler(io.BytesIO(archive.read(inside))).load()


def _stream(path: Path) -> io.BytesIO:
    """The file behind the three small pickles with which it begins."""
    stream = io.BytesIO(read_bytes(path))
    if _Unpickler(stream).load() != MAGIC:
        raise DataError(f"{path}: expected a file of torch.save, found something else")
    for _ in range(2):
        _Unpickler(stream).load()
    return stream


def _plain(path: Path) -> Any:
    return _Unpickler(_stream(path)).load()


def _tensor(path: Path) -> Ints:
    """``(n,)`` the one tensor of 64-bit integers in a file: a count and the bytes at its end."""
    stream = _stream(path)
    _Unpickler(stream).load()  # the tensor's shape, which its storage repeats
    _Unpickler(stream).load()  # names of the storages: one
    count = int.from_bytes(stream.read(8), "little")
    return np.frombuffer(stream.read(8 * count), "<i8")
