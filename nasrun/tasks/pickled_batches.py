"""Reader of batches of pictures: the Python version of CIFAR, and downsampled ImageNet.

A batch is a dict with ``data``, ``(n, 3 * H * W)`` bytes with one plane a channel, and labels. It
is pickled, and read by an unpickler that builds plain data and nothing else, or it is an ``.npz``.
"""

import hashlib
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrun.benchmarks.unpickle import RECORDS, InertArray, load_restricted
from nasrun.errors import DataError
from nasrun.images import Images, Labels, Pixels
from nasrun.input_files import BROKEN, WHOLE, read_bytes, read_member, read_npy, require_file

CHANNELS = 3
NPZ = ".npz"


def read_batches(folder: Path, names: Mapping[str, str | None], key: str, px: int) -> Images:
    """The pictures of some batch files, one after the other.

    Args:
        folder: where the files lie.
        names: the files, and their md5 where one is known.
        key: what the dicts call the labels.
        px: height and width.

    Raises:
        DataError: a file that is missing, of another content, or no such batch.
    """
    check_present(folder, names)
    batches = [_read(folder / name, md5, key, px) for name, md5 in names.items()]
    return Images(
        np.concatenate([batch.pixels for batch in batches]),
        np.concatenate([batch.labels for batch in batches]),
    )


def check_present(folder: Path, names: Iterable[str]) -> None:
    """Refuse a folder that lacks some of these files, before any of them is read.

    Raises:
        DataError: says which are missing.
    """
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder}: {', '.join(missing)} missing; copy the whole data set there")


def _read(path: Path, md5: str | None, key: str, px: int) -> Images:
    batch = _arrays(path, key) if path.suffix == NPZ else _unpickled(path, md5)
    try:
        pixels = _pixels(batch["data"], px)
        labels = _labels(batch[key])
    except (DataError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: expected a dict with data (n, {CHANNELS * px * px}) and {key} "
            f"({type(error).__name__}: {error}); get the file again"
        ) from None
    if len(labels) != len(pixels):
        raise DataError(f"{path}: {len(labels)} labels for {len(pixels)} pictures; get it again")
    return Images(pixels, labels)


def _unpickled(path: Path, md5: str | None) -> Any:
    data = read_bytes(path)
    if md5 is not None and hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
        raise DataError(f"{path}: not the published file (md5 {md5[:12]}...); get it again")
    return load_restricted(data, RECORDS, path, encoding="latin1")


def _arrays(path: Path, key: str) -> dict[str, NDArray[Any]]:
    """Pictures and labels of an ``.npz``; whatever else it holds is not read."""
    require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name: read_member(archive, f"{name}.npy", WHOLE) for name in ("data", key)}
        return {name: read_npy(data) for name, data in members.items()}
    except (KeyError, *BROKEN) as error:
        raise DataError(
            f"{path}: not a complete .npz with data and {key} ({error}); get the file again"
        ) from None


def _pixels(data: object, px: int) -> Pixels:
    array = data.numpy() if isinstance(data, InertArray) else np.asarray(data)
    if array.dtype != np.uint8:
        raise ValueError(f"data is {array.dtype}, expected uint8")
    return array.reshape(-1, CHANNELS, px, px)


def _labels(labels: object) -> Labels:
    array = labels.numpy() if isinstance(labels, InertArray) else np.asarray(labels)
    return array.astype(np.int64)
