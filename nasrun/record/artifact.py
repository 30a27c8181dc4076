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
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from nasrun.errors import DataError
from nasrun.files import write_bytes, write_csv, write_json
from nasrun.input_files import read_json_bytes, require_file
from nasrun.locks import file_lock

Array = NDArray[Any]
FORMAT = "nasrun-agents-1"  # to be raised whenever the same inputs would give other arrays
WEIGHTS = "agents.safetensors"
# Packages whose change may make other agents.
LEARNING_CODE = ("nasrun.algorithms", "nasrun.nets", "nasrun.meta", "nasrun.spaces")
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # of statements


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


def code_hash(*parts: object) -> str:
    """Twelve hex digits of the code that meta-training runs: of these parts and what they hold.

    That is their classes, those of the dataclasses in their fields, and what these import, as far
    as ``LEARNING_CODE`` and the classes' own packages reach. Taken once, so that a file that is
    edited while a long run is going does not change what it says of itself.
    """
    modules = {type(part).__module__ for part in parts}
    return _code_hash(tuple(sorted(modules.union(_modules(parts)))))


def _modules(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, Mapping):
            yield from _modules(cast(Mapping[Any, Any], value).values())
        elif isinstance(value, list | tuple):
            yield from _modules(cast(Sequence[Any], value))
        elif is_dataclass(value) and not isinstance(value, type):
            yield type(value).__module__
            yield from _modules(getattr(value, own.name, None) for own in fields(value))


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
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        for name in BLOCKS:  # expressions import nothing, and are most of a tree
            waiting += getattr(node, name, ())


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


def shipped(path: Path, inputs: Mapping[str, Any]) -> Artifact | None:
    """What comes along with nasrun, if it was made from these very inputs; see ``ship``.

    The code is no part of them: it may have changed since.
    """
    if not path.is_file():
        return None
    arrays, about = _loaded(path, f"install nasrun again, or delete {path} to train anew")
    key = artifact_key(inputs)
    if artifact_key(about["inputs"]) != key:
        return None
    return Artifact(key, {name: _widened(array) for name, array in arrays.items()}, about["cost"])


def ship(artifact: Artifact, inputs: Mapping[str, Any], path: Path) -> None:
    """Write an artifact for others: weights in half the bytes, and what they were made from."""
    halved = {name: _halved(np.asarray(array)) for name, array in artifact.arrays.items()}
    _save(path, halved, inputs, artifact.cost)


def _halved(array: Array) -> Array:
    return array.astype(np.float16) if array.dtype == np.float32 else array


def _widened(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _keep(place: Path, inputs: Mapping[str, Any], made: Made) -> None:
    write_csv(place / "evaluations.csv", made.columns, made.rows)
    arrays = {name: np.ascontiguousarray(array) for name, array in made.arrays.items()}
    write_json(place / "timing.json", {"wall_s": round(made.wall_s, 3)})
    write_json(place / "about.json", _about(arrays, inputs, made.cost))
    _save(place / WEIGHTS, arrays, inputs, made.cost)


def _about(
    arrays: Mapping[str, Array], inputs: Mapping[str, Any], cost: Mapping[str, Any]
) -> dict[str, Any]:
    sums = {name: zlib.crc32(array.data) for name, array in arrays.items()}
    about = {"format": FORMAT, "inputs": inputs, "cost": cost, "crc32": sums}
    return json.loads(json.dumps(about, default=str))


def _save(
    path: Path, arrays: Mapping[str, Array], inputs: Mapping[str, Any], cost: Mapping[str, Any]
) -> None:
    """The arrays, and in their header what they were made from, that cost and their sums."""
    from safetensors.numpy import save

    header = {"nasrun": json.dumps(_about(arrays, inputs, cost))}
    write_bytes(path, save(dict(arrays), header))


def _read(place: Path, key: str) -> Artifact:
    path = place / WEIGHTS
    arrays, about = _loaded(path, f"delete {place} to train anew")
    if artifact_key(about["inputs"]) != key:
        raise DataError(f"{path} belongs to another meta-training: delete {place} to train anew")
    return Artifact(key, arrays, about["cost"])


def _loaded(path: Path, cure: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Arrays and header of a file.

    Raises:
        DataError: damaged, of another format or none of ours.
    """
    from safetensors import SafetensorError, safe_open

    require_file(path)
    try:
        handle: Any = safe_open(str(path), framework="numpy")
        header: Any = handle.metadata() or {}
        about: dict[str, Any] = read_json_bytes(header["nasrun"])
        arrays: dict[str, Array] = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        whole = about["crc32"] == {name: zlib.crc32(array.data) for name, array in arrays.items()}
        known = about["format"] == FORMAT and "inputs" in about and "cost" in about
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not what meta-training leaves ({error}); {cure}") from None
    if not whole or not known:
        what = "belongs to another meta-training" if whole else "is damaged"
        raise DataError(f"{path} {what}: {cure}")
    return arrays, about
