"""What meta-training leaves behind, kept under a hash of all that it was made from.

An artifact is a folder of the cache: ``agents.safetensors`` (arrays, and in its header what they
were made from, what that cost, and a CRC-32 of each array), the same facts as ``about.json`` for
people, and ``evaluations.csv``, one row a measurement. The arrays are written last: where they are,
the artifact is complete.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np

import nasrun
from nasrun.errors import DataError
from nasrun.files import write_bytes, write_csv, write_json

FORMAT = "nasrun-agents-1"  # to be raised whenever the same inputs would give other arrays
WEIGHTS = "agents.safetensors"
LEARNING_CODE = ("algorithms", "nets", "meta")  # packages whose change makes other agents


@dataclass(frozen=True)
class Made:
    """Fresh from meta-training: arrays, what they cost, and the rows of ``evaluations.csv``."""

    arrays: Mapping[str, Any]
    cost: Mapping[str, Any]
    columns: Sequence[str]
    rows: Iterable[Sequence[Any]]


@dataclass(frozen=True)
class Artifact:
    """What was learnt, under which key it is kept, and what it cost."""

    key: str
    arrays: Mapping[str, Any]
    cost: Mapping[str, Any]


def code_hash() -> str:
    """Twelve hex digits of the code that meta-training runs."""
    root = Path(nasrun.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(file for name in LEARNING_CODE for file in (root / name).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def artifact_key(inputs: Mapping[str, Any]) -> str:
    """Sixteen hex digits that change with whatever the agents were made from."""
    text = json.dumps({"format": FORMAT, **inputs}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fetch(folder: Path, inputs: Mapping[str, Any], make: Callable[[], Made]) -> Artifact:
    """The artifact of ``inputs``: from ``folder``, or made now and kept there for all others.

    Of several processes that want the same one, the first makes it and the others wait.

    Raises:
        DataError: the folder cannot be written; the artifact is damaged or another's.
    """
    key = artifact_key(inputs)
    place = folder / key
    try:
        place.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(place / ".lock"):
            if not (place / WEIGHTS).exists():
                _keep(place, inputs, make())
            return _read(place, key)
    except OSError as error:
        raise DataError(
            f"cannot keep what meta-training learnt in {place}: {error.strerror or error}; free "
            "some space or set cache_dir"
        ) from error


def _keep(place: Path, inputs: Mapping[str, Any], made: Made) -> None:
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array) for name, array in made.arrays.items()}
    about = {
        "format": FORMAT,
        "inputs": inputs,
        "cost": made.cost,
        "crc32": {name: zlib.crc32(array.data) for name, array in arrays.items()},
    }
    write_csv(place / "evaluations.csv", made.columns, made.rows)
    write_json(place / "about.json", json.loads(json.dumps(about, default=str)))
    write_bytes(place / WEIGHTS, save(arrays, {"nasrun": json.dumps(about, default=str)}))


def _read(place: Path, key: str) -> Artifact:
    from safetensors import SafetensorError, safe_open

    path = place / WEIGHTS
    try:
        handle: Any = safe_open(str(path), framework="numpy")
        header: Any = handle.metadata() or {}
        about = json.loads(header["nasrun"])
        arrays: dict[str, Any] = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        found = artifact_key(about["inputs"])
        whole = about["crc32"] == {name: zlib.crc32(array.data) for name, array in arrays.items()}
        cost = dict(about["cost"])
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"{path}: not what meta-training leaves ({error}); delete {place} to train anew"
        ) from None
    if about["format"] != FORMAT or found != key or not whole:
        what = "is damaged" if whole is False else "belongs to another meta-training"
        raise DataError(f"{path} {what}: delete {place} to train anew")
    return Artifact(key, arrays, cost)
