"""Reader of packs of small pictures: zips of lossless WebP strips with their labels.

A pack is a zip with ``meta.json``, ``labels.npy`` and ``strips/NNN.webp``; a strip is one picture
wide and many tall. A part of a data set is one pack or several, ``NAME_PART_0.zip`` and so on.
``meta.json`` holds the sha256 of the decoded pictures and labels, which are checked.
"""

import hashlib
import io
import math
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.errors import DataError
from nasrun.images import Images, Labels, Pixels
from nasrun.input_files import (
    read_json_bytes,
    read_member,
    read_npy,
    require_file,
    too_large,
)
from nasrun.tasks.parts import Published, in_memory
from nasrun.tasks.places import Places, by_name

FORMAT = "strip-webp-1"
LIMIT = 2**31  # bytes of the pictures in a pack


def read_pack_parts(
    places: Places, paths: Sequence[Path], parts: tuple[str, str], title: str
) -> Published:
    """Training and test part of a data set from its packs, ``NAME_PART_0.zip`` and so on.

    Raises:
        DataError: a pack that is truncated or damaged, or one of several that is missing.
    """
    files = places.hashes(by_name(paths))
    name = paths[0].name.removesuffix(f"_{parts[0]}_0.zip")
    own = ([path for path in paths if path.name.startswith(f"{name}_{part}_")] for part in parts)
    train, test = (in_memory(_read_packs(part)) for part in own)
    return Published(train, test, f"{title}, image pack {name}", files)


def pack_files(folder: Path, name: str, parts: tuple[str, str]) -> list[Path]:
    """The packs of both parts, part by part.

    Raises:
        DataError: there is none of a part.
    """
    return [path for part in parts for path in _pack_files(folder, f"{name}_{part}")]


def _pack_files(folder: Path, stem: str) -> list[Path]:
    """The packs of a part, in their order."""
    found = sorted(folder.glob(f"{stem}_*.zip"), key=lambda path: (len(path.name), path.name))
    if not found:
        raise DataError(f"{folder}: {stem}_0.zip is missing; copy it there")
    return found


def _read_packs(paths: list[Path]) -> Images:
    with ThreadPoolExecutor() as pool:
        packs = list(pool.map(_read_pack, paths))
    found, parts = [meta["part"] for meta, _ in packs], packs[0][0]["parts"]
    if found != list(range(parts)):
        raise DataError(
            f"{paths[0].parent}: expected parts 0 to {parts - 1} of "
            f"{paths[0].name.rpartition('_')[0]}, found {found}; copy the missing files there"
        )
    pixels = np.concatenate([images.pixels for _, images in packs])
    return Images(pixels, np.concatenate([images.labels for _, images in packs]))


def _read_pack(path: Path) -> tuple[dict[str, Any], Images]:
    require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            meta = read_json_bytes(read_member(archive, "meta.json"))
            if meta["format"] != FORMAT:
                raise DataError(f"{path}: expected format {FORMAT}, found {meta['format']}")
            labels = read_npy(read_member(archive, "labels.npy"))
            pixels = _read_strips(archive, meta)
        _check(meta, pixels, labels)
    except DataError:
        raise
    except Exception as error:  # a damaged zip, JSON or picture can fail in any way
        raise DataError(
            f"{path}: not a complete pack ({type(error).__name__}: {error}); copy it again"
        ) from None
    return meta, Images(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), labels.astype(np.int64))


def _read_strips(archive: zipfile.ZipFile, meta: dict[str, Any]) -> Pixels:
    """``(n, H, W, 3)`` pictures."""
    from PIL import Image

    count, height, width = meta["count"], meta["height"], meta["width"]
    shape = (count, height, width, 3)
    if math.prod(shape) > LIMIT:
        raise too_large(archive.filename, f"it claims pictures of shape {shape},", LIMIT)
    pixels = np.empty(shape, np.uint8)
    step = meta["images_per_strip"]
    for number, first in enumerate(range(0, count, step)):
        data = io.BytesIO(read_member(archive, f"strips/{number:03d}.webp"))
        with Image.open(data, formats=("WEBP",)) as strip:
            expected = (width, height * min(step, count - first))
            if strip.size != expected:
                raise ValueError(f"strip {number} has {strip.size} pixels, expected {expected}")
            pixels[first : first + step] = np.asarray(strip).reshape(-1, height, width, 3)
    return pixels


def _check(meta: dict[str, Any], pixels: Pixels, labels: Labels) -> None:
    if len(labels) != len(pixels):
        raise ValueError(f"{len(labels)} labels for {len(pixels)} pictures")
    for key, array in (("sha256_x", pixels), ("sha256_y", labels)):
        if hashlib.sha256(np.ascontiguousarray(array).data).hexdigest() != meta[key]:
            raise ValueError(f"the content has not the {key} that the pack states")
