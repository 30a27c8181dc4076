"""One picture file decoded to 8 bits of red, green and blue, with word of what that took."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from enum import Enum
from io import BytesIO
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

import numpy as np

from nasrun.errors import DataError
from nasrun.images import Pixels
from nasrun.input_files import require_file
from nasrun.tasks.trees import Member, TreeFile, file_name

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.Image import Transpose

# Named when a file is opened: Pillow would start Ghostscript for an EPS under any name.
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP", "GIF")
LARGEST = 89_000_000  # pixels; from 89.5 million on Pillow suspects a decompression bomb
LARGE = 2**24  # pixels of a picture beside which only one other such is decoded
GREY_MODES = {"1", "L", "LA", "I", "I;16", "I;16L", "I;16B"}
CLEAR_MODES = {"RGBA", "RGBa", "LA", "La", "PA"}
SIXTEEN = {"I;16", "I;16L", "I;16B"}  # modes; colours of 16 bits have none of their own
ORIENTATION = 0x0112  # EXIF tag

_few_large = BoundedSemaphore(2)


class Fit(Enum):
    """How a picture becomes a square: squeezed, or cut to its middle."""

    squash = "squash"
    crop = "crop"


class Change(Enum):
    """What a picture loses or gains on its way to 8 bits of red, green and blue."""

    grey = "grey pictures of %s become three equal channels"
    deep = "pictures of %s with 16 bits a channel keep the upper 8"
    clear = "pictures of %s with transparent parts are laid on white"
    printed = "pictures of %s in CMYK become RGB without a colour profile"
    turned = "pictures of %s are turned upright, as their EXIF data say"
    frames = "pictures of %s have several frames or pages: the first is taken"


Changes = Counter[Change]


def decoded(
    file: TreeFile, px: int | tuple[int, int], fit: Fit, size: tuple[int, int] | None = None
) -> tuple[Pixels, Changes]:
    """``(px, px, 3)`` pixels, or of height and width ``px``, and what changed on the way.

    Grey becomes three equal channels, 16 bits their upper 8, transparency white; CMYK is converted
    without a profile, EXIF's orientation is applied, and of several frames the first is taken.

    ``size`` is the width and height that the picture must have as a viewer shows it.

    Raises:
        DataError: no picture of ``FORMATS``, a damaged one, one of more than ``LARGEST`` pixels,
            one whose values have no known range (32 bits), or one of another ``size``.
    """
    changes = Changes()
    with opened_picture(file) as image:
        colour = _upright(image, changes)
        if size is not None and colour.size != size:
            raise DataError(
                f"{file_name(file)}: a picture of {colour.width}x{colour.height} pixels, but the "
                f"annotations are of one of {size[0]}x{size[1]}: get both from one place"
            )
        high, wide = (px, px) if isinstance(px, int) else px
        return np.asarray(fitted(colour, (high, wide), fit)), changes


def fitted(image: "Picture", size: tuple[int, int], fit: Fit, nearest: bool = False) -> "Picture":
    """The picture in ``size``, height and width; by the ``nearest`` pixel, or bilinearly."""
    from PIL import Image, ImageOps

    how = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
    wide = size[1], size[0]
    return ImageOps.fit(image, wide, how) if fit is Fit.crop else image.resize(wide, how)


@contextmanager
def opened_picture(file: TreeFile) -> "Iterator[Picture]":
    """A picture of bearable size; what fails while it is read is said of the file.

    Raises:
        DataError: no picture of ``FORMATS``, a damaged one, or one of more than ``LARGEST`` pixels.
    """
    from PIL import Image

    if isinstance(file, Path):
        require_file(file)
    try:
        stream = BytesIO(file.read()) if isinstance(file, Member) else file
        with Image.open(stream, formats=FORMATS) as image:
            pixels = image.width * image.height
            if pixels > LARGEST:
                raise ValueError(f"{pixels} pixels are more than {LARGEST}")
            with _few_large if pixels >= LARGE else nullcontext():
                yield image
    except DataError:
        raise
    except Exception as error:  # a damaged picture can fail in any way
        raise DataError(
            f"{file_name(file)}: this picture cannot be decoded ({_first_line(error)}); expected "
            f"one of {', '.join(FORMATS)}: replace it or delete it"
        ) from None


def _upright(image: "Picture", changes: Changes) -> "Picture":
    """The picture as RGB, as a viewer shows it."""
    if getattr(image, "is_animated", False):
        changes[Change.frames] += 1
    # Such as RGB;16B, which the decoder is told; asked for first, because loading forgets it.
    if any("16" in str(tile[3]) for tile in getattr(image, "tile", ())):
        changes[Change.deep] += 1
    turn = _turns().get(image.getexif().get(ORIENTATION, 1))
    colour = _coloured(image, changes)
    if turn is None:
        return colour
    changes[Change.turned] += 1
    return colour.transpose(turn)


def _coloured(image: "Picture", changes: Changes) -> "Picture":
    """The picture as RGB, as it is stored."""
    from PIL import Image

    if image.mode in GREY_MODES:
        changes[Change.grey] += 1
    if image.mode == "CMYK":
        changes[Change.printed] += 1
    if image.mode in SIXTEEN or (image.mode == "I" and image.format in ("PNG", "PPM")):
        changes[Change.deep] = 1
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError("its values have 32 bits and no known range; convert it to 8 or 16 bits")
    if image.mode not in CLEAR_MODES and "transparency" not in image.info:
        return image.convert("RGB")
    whole = image.convert("RGBA")
    if whole.getchannel("A").getextrema() != (255, 255):
        changes[Change.clear] += 1
    ground = Image.new("RGBA", whole.size, "white")
    ground.alpha_composite(whole)
    return ground.convert("RGB")


def _turns() -> "dict[int, Transpose]":
    """What brings a picture upright, by EXIF's number of its orientation."""
    from PIL.Image import Transpose

    return {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
