"""What meta-training leaves behind, kept under a hash of all that it was made from.

An artifact is a folder of the cache: ``agents.safetensors`` (arrays, and in its header what they
were made from, what that cost, and a CRC-32 of each array), the same facts as ``about.json`` for
people, ``evaluations.csv``, one row a measurement, and ``timing.json``. The arrays are written
last: where they are, the artifact is complete.
"""

import ast
import hashlib
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.errors import DataError
from nasrun.files import write_bytes, write_csv, write_json
from nasrun.input_files import read_json_bytes, require_file
from nasrun.locks import file_lock

FORMAT = "nasrun-agents-1"  # to be raised whenever the same inputs would give other arrays
WEIGHTS = "agents.safetensors"
# Packages whose change may make other agents.
LEARNING_CODE = ("nasrun.algorithms", "nasrun.nets", "nasrun.meta", "nasrun.spaces")


@dataclass(frozen=True)
class Made:
    """Fresh from meta-training: arrays, what they cost, and the rows of ``evaluations.csv``.

    ``wall_s``, how long this machine took, is kept in a file of its own: all others are the same,
    byte for byte, whenever agents are made from the same.
    """

    arrays: Mapping[str, Any]
    cost: Mapping[str, Any]
    columns: Sequence[str]
    rows: Iterable[Sequence[Any]]
    wall_s: float


@dataclass(frozen=True)
class Artifact:
    """What was learnt, under which key it is kept, and what it cost."""

    key: str
    arrays: Mapping[str, Any]
    cost: Mapping[str, Any]


def code_hash(*classes: type) -> str:
    """Twelve hex digits of the code that meta-training runs: these classes and what they import.

    Followed as far as ``LEARNING_CODE`` and the classes' own packages reach, and taken once, so
    that a file that is edited while a long run is going does not change what it says of itself.
    """
    return _code_hash(tuple(sorted({cls.__module__ for cls in classes})))


@cache
def _code_hash(modules: tuple[str, ...]) -> str:
    own = {name.rpartition(".")[0] or name for name in modules}
    roots = tuple(f"{name}." for name in {*own, *LEARNING_CODE})
    found, waiting = dict[str, bytes](), list(modules)
    while waiting:
        name = waiting.pop()
        path = _source(name)
        if name in found or path is None:
            continue
        found[name] = path.read_bytes()
        waiting += [other for other in _imported(found[name]) if other.startswith(roots)]
    digest = hashlib.sha256()
    for name, source in sorted(found.items()):
        digest.update(name.encode() + source)
    return digest.hexdigest()[:12]


def _source(module: str) -> Path | None:
    """The file of a module, loaded or not; None for a name inside one."""
    top, *below = module.split(".")
    file = getattr(sys.modules.get(top), "__file__", None)
    if file is None:
        return None
    if not below:
        return Path(file)
    path = Path(file).parent.joinpath(*below)
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in files if candidate.is_file()), None)


def _imported(source: bytes) -> Iterator[str]:
    """Names of the modules that a source imports, whether at the top or inside a function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


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
        with file_lock(place / ".lock"):
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
    write_json(place / "timing.json", {"wall_s": round(made.wall_s, 3)})
    write_json(place / "about.json", json.loads(json.dumps(about, default=str)))
    write_bytes(place / WEIGHTS, save(arrays, {"nasrun": json.dumps(about, default=str)}))


def _read(place: Path, key: str) -> Artifact:
    from safetensors import SafetensorError, safe_open

    path = place / WEIGHTS
    require_file(path)
    try:
        handle: Any = safe_open(str(path), framework="numpy")
        header: Any = handle.metadata() or {}
        about = read_json_bytes(header["nasrun"])
        arrays: dict[str, Any] = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        found = artifact_key(about["inputs"])
        whole = about["crc32"] == {name: zlib.crc32(array.data) for name, array in arrays.items()}
        cost, kind = dict(about["cost"]), about["format"]
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not what meta-training leaves ({error}); delete {place} to train anew"
        ) from None
    if kind != FORMAT or found != key or not whole:
        what = "is damaged" if whole is False else "belongs to another meta-training"
        raise DataError(f"{path} {what}: delete {place} to train anew")
    return Artifact(key, arrays, cost)
