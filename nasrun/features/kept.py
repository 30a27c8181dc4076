"""Features of pictures on disk, so that a data set is looked at once."""

import hashlib
import io
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nasrun.files import write_whole
from nasrun.images import Pixels
from nasrun.locks import file_lock
from nasrun.progress import stage, tell
from nasrun.spec import Vectors

log = logging.getLogger("nasrun")

FORMAT = "nasrun-features-1"  # to be raised whenever the same pictures would give other vectors
BATCH = 64  # pictures at a time; bounds the memory


def kept(folder: Path, settings: str, pixels: Pixels, of: Callable[[Pixels], Vectors]) -> Vectors:
    """``(n, d)`` vectors of ``pixels (n, C, H, W)``: from ``folder``, or computed now and kept.

    Of several processes that want the same ones, the first computes them and the others wait. A
    folder that cannot be written costs the time again, and a warning; a damaged file is replaced.

    Args:
        folder: of the cache.
        settings: all that the vectors depend on besides the pictures.
        pixels: of the pictures, 0 to 255.
        of: computes the vectors of a batch.
    """
    path = folder / f"{_key(settings, pixels)}.npy"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file_lock(path.with_suffix(".lock")):
            if (vectors := _read(path, len(pixels))) is None:
                vectors = in_batches(pixels, of)
                buffer = io.BytesIO()
                np.save(buffer, vectors)
                write_whole(path, buffer.getvalue())
    except OSError as error:
        reason = error.strerror or error
        log.warning("cannot keep features of pictures in %s (%s): set cache_dir", folder, reason)
        vectors = in_batches(pixels, of)
    return vectors


def in_batches(pixels: Pixels, of: Callable[[Pixels], Vectors]) -> Vectors:
    """``(n, d)`` vectors of ``pixels``, computed in batches; says how far it is."""
    count = len(pixels)
    parts: list[Vectors] = []
    with stage(f"features of {count:,} pictures"):
        for first in range(0, count, BATCH):
            parts.append(of(pixels[first : first + BATCH]))
            tell(min(1.0, (first + BATCH) / count))
    return np.concatenate(parts)


def _key(settings: str, pixels: Pixels) -> str:
    digest = hashlib.sha256(f"{FORMAT} {settings} {pixels.shape}\n".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()[:24]


def _read(path: Path, count: int) -> Vectors | None:
    """The vectors of a file; None where it is not there, or not whole."""
    try:
        vectors = np.load(path)
    except (OSError, ValueError, EOFError):
        return None
    whole = vectors.ndim == 2 and len(vectors) == count and vectors.dtype == np.float32
    return vectors if whole else None
