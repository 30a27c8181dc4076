"""Pictures in files of any format and size, decoded once to squares of bytes and kept."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasrun.drafts import draft_of, remove_abandoned
from nasrun.errors import DataError
from nasrun.images import Pixels, Targets
from nasrun.input_files import shown
from nasrun.streams import Ints
from nasrun.tasks.decoding import Changes, Fit, decoded
from nasrun.tasks.parts import Part
from nasrun.tasks.trees import Member, TreeFile, file_state

Size = tuple[int, int]  # width and height

log = logging.getLogger("nasrun")

FORMAT = "nasrun-pictures-2"  # to be raised whenever the same files would give other pixels
MAPPED_BYTES = 256 * 2**20  # what is larger stays on disk and is mapped into memory
CHUNK = 256  # pictures that are decoded at a time
BAR_FROM = 1_000  # pictures from which decoding takes long enough to show a bar
SUFFIXES = {".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp", ".gif"}


@dataclass(frozen=True)
class PictureFiles:
    """How files are decoded: to ``px`` pixels a side, and where the result is kept."""

    px: int
    fit: Fit
    cache: Path

    def part(
        self, paths: Sequence[TreeFile], labels: Targets, sizes: Sequence[Size] | None = None
    ) -> Part:
        """A part whose pictures are decoded when their pixels are asked for.

        ``sizes`` are those which the pictures must have, where ``labels`` are of places in them.
        """

        def pixels(rows: Ints) -> Pixels:
            own = [sizes[row] for row in rows] if sizes else [None] * len(rows)
            return self._decoded([paths[row] for row in rows], own)

        return Part(labels, pixels)

    def _decoded(self, paths: Sequence[TreeFile], sizes: Sequence[Size | None]) -> Pixels:
        """``(n, 3, px, px)`` pixels, from the cache if these files were decoded before."""
        kept = self.cache / f"{self._key(paths, sizes)}.npy"
        shape = (len(paths), 3, self.px, self.px)
        if (pixels := _opened(kept, shape)) is not None:
            return pixels
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(kept.parent)
            with tempfile.TemporaryDirectory(dir=kept.parent, **draft_of("decode")) as temporary:
                path = Path(temporary) / kept.name
                out = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
                self._decode_into(out, paths, sizes)
                out.flush()
                del out
                path.replace(kept)
        except OSError as error:
            raise DataError(
                f"cannot keep decoded pictures in {kept.parent} ({error.strerror or error}): set "
                "cache_dir to a folder with space"
            ) from None
        pixels = _opened(kept, shape)
        assert pixels is not None
        return pixels

    def _key(self, paths: Sequence[TreeFile], sizes: Sequence[Size | None]) -> str:
        """What the pixels depend on: which files, as far as the system tells, and the square."""
        digest = hashlib.sha256(f"{FORMAT} {self.px} {self.fit.value}".encode())
        for path, size in zip(paths, sizes, strict=True):
            digest.update(b"\n" + file_state(path) + (f" {size}".encode() if size else b""))
        return digest.hexdigest()[:24]

    def _decode_into(
        self, out: Pixels, paths: Sequence[TreeFile], sizes: Sequence[Size | None]
    ) -> None:
        changes = Changes()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for first in _watched(range(0, len(paths), CHUNK), len(paths)):
                chunk = slice(first, first + CHUNK)
                found = pool.map(self._decode, paths[chunk], sizes[chunk])
                for at, (pixels, own) in enumerate(found, first):
                    out[at] = pixels.transpose(2, 0, 1)
                    changes += own
        for change, count in changes.items():
            log.warning(f"%d {change.value}", count, shown(_folder(paths[0])))

    def _decode(self, path: TreeFile, size: Size | None) -> tuple[Pixels, Changes]:
        """``(px, px, 3)`` pixels, and what changed on the way."""
        return decoded(path, self.px, self.fit, size)


def _folder(file: TreeFile) -> Path:
    return file.archive if isinstance(file, Member) else file.parent


def _opened(path: Path, shape: tuple[int, ...]) -> Pixels | None:
    """The pixels of a cache file; None where it is not there, or not whole."""
    try:
        pixels = np.load(path, mmap_mode="r" if np.prod(shape) > MAPPED_BYTES else None)
    except (OSError, ValueError, EOFError):
        return None
    return pixels if pixels.shape == shape and pixels.dtype == np.uint8 else None


def _watched(starts: range, count: int) -> Iterator[int]:
    """The starts of the chunks, with a progress bar on the terminal if there are many pictures."""
    if count < BAR_FROM:
        yield from starts
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(f"decoding {count} pictures", total=count)
        for first in starts:
            yield first
            progress.advance(bar, CHUNK)


def is_picture(path: Path) -> bool:
    """Whether this is a file with the name of a picture; a pipe or a device is not."""
    named = path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    return named and path.is_file()
