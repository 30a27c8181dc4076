"""Pictures in files of any format and size, decoded once to squares of bytes and kept."""

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasrun.images import Pixels, Targets
from nasrun.input_files import shown
from nasrun.streams import Ints
from nasrun.tasks.decoding import Changes, Fit, decoded
from nasrun.tasks.kept_array import each, kept_array
from nasrun.tasks.parts import Part
from nasrun.tasks.trees import Member, TreeFile, file_state

Size = tuple[int, int]  # width and height

log = logging.getLogger("nasrun")

FORMAT = "nasrun-pictures-2"  # to be raised whenever the same files would give other pixels
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
        return kept_array(
            self.cache / f"{self._key(paths, sizes)}.npy",
            (len(paths), 3, self.px, self.px),
            np.uint8,
            lambda out: self._decode_into(out, paths, sizes),
        )

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
        for at, (pixels, own) in each(self._decode, list(zip(paths, sizes, strict=True))):
            out[at] = pixels.transpose(2, 0, 1)
            changes += own
        for change, count in changes.items():
            log.warning(f"%d {change.value}", count, shown(_folder(paths)))

    def _decode(self, item: tuple[TreeFile, Size | None]) -> tuple[Pixels, Changes]:
        """``(px, px, 3)`` pixels, and what changed on the way."""
        path, size = item
        return decoded(path, self.px, self.fit, size)


def _folder(files: Sequence[TreeFile]) -> Path:
    """The archive of the files, or the innermost folder that holds all of them."""
    places = {file.archive if isinstance(file, Member) else file.parent for file in files}
    return Path(os.path.commonpath(places))


def is_picture(path: Path) -> bool:
    """Whether this is a file with the name of a picture; a pipe or a device is not."""
    named = path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    return named and path.is_file()
