import io
import logging
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from nasrun.errors import DataError
from nasrun.tasks import decoding
from nasrun.tasks.decoding import Change, Fit, decoded
from nasrun.tasks.image_folder import ImageFolder
from nasrun.tasks.picture_files import PictureFiles


def png(width, height, depth, colour, rows, *chunks):
    """A PNG by hand: Pillow writes no colours of 16 bits."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = b"".join(chunk(*each) for each in chunks) + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def read(tmp_path, content, name="a.png", px=2):
    path = tmp_path / name
    path.write_bytes(content)
    pixels, changes = decoded(path, px, Fit.squash)
    return pixels.tolist(), dict(changes)


def saved(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


GREY16 = np.array([[0, 0x1234], [0x80FF, 0xFFFF]], np.uint16)
UPPER = [[[v] * 3 for v in row] for row in [[0, 0x12], [0x80, 0xFF]]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_grey_of_16_bits_keeps_its_range(tmp_path, kind):
    """Pillow's own conversion makes everything above 255 white."""
    found, changes = read(tmp_path, saved(Image.fromarray(GREY16), kind))
    assert found == UPPER
    assert changes == {Change.grey: 1, Change.deep: 1}


@pytest.mark.parametrize(("colour", "samples"), [(2, 3), (6, 4)])
def test_colour_of_16_bits_keeps_its_range_and_it_is_said(tmp_path, colour, samples):
    pixel = struct.pack(f">{samples}H", *(0x1234, 0x80FF, 0xFE01, 0xFFFF)[:samples])
    found, changes = read(tmp_path, png(2, 2, 16, colour, 2 * (b"\0" + 2 * pixel)))
    assert found == 2 * [2 * [[0x12, 0x80, 0xFE]]]
    assert changes == {Change.deep: 1}


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_values_of_32_bits_are_refused(tmp_path, kind):
    content = saved(Image.fromarray(np.arange(4, dtype=kind).reshape(2, 2)), "TIFF")
    with pytest.raises(DataError, match=r"a\.tif: .*32 bits and no known range; convert it"):
        read(tmp_path, content, "a.tif")


def test_what_is_transparent_is_white(tmp_path):
    """The colours below are whatever the program that wrote the file left there."""
    image = Image.new("RGBA", (2, 1), (10, 200, 30, 255))
    image.putpixel((1, 0), (10, 200, 30, 0))
    found, changes = read(tmp_path, saved(image.resize((2, 2), Image.Resampling.NEAREST), "PNG"))
    assert found == 2 * [[[10, 200, 30], [255, 255, 255]]]
    assert changes == {Change.clear: 1}
    half = Image.new("RGBA", (2, 2), (0, 0, 0, 51))  # a fifth opaque: four fifths of white
    assert read(tmp_path, saved(half, "PNG"))[0] == 2 * [2 * [[204, 204, 204]]]
    opaque = read(tmp_path, saved(Image.new("RGBA", (2, 2), (1, 2, 3, 255)), "PNG"))
    assert opaque == (2 * [2 * [[1, 2, 3]]], {})


def test_palettes_show_their_colours(tmp_path):
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 7, 8, 9])
    assert read(tmp_path, saved(image, "PNG")) == (2 * [2 * [[7, 8, 9]]], {})
    found, changes = read(tmp_path, saved(image, "PNG", transparency=1))
    assert found == 2 * [2 * [[255] * 3]]
    assert changes == {Change.clear: 1}


def test_printing_colours_become_light(tmp_path):
    """No ink is white, all of cyan and yellow is green."""
    image = Image.new("CMYK", (2, 2), (255, 0, 255, 0))
    found, changes = read(tmp_path, saved(image, "TIFF"), "a.tif")
    assert found == 2 * [2 * [[0, 255, 0]]]
    assert changes == {Change.printed: 1}


TURNED = {  # what a camera stores for the upright picture 1 2 / 3 4, by EXIF's number
    1: "12/34", 2: "21/43", 3: "43/21", 4: "34/12", 5: "13/24", 6: "24/13", 7: "42/31", 8: "31/42",
}  # fmt: skip


@pytest.mark.parametrize("orientation", TURNED)
def test_pictures_are_turned_upright(tmp_path, orientation):
    stored = [[int(v) for v in row] for row in TURNED[orientation].split("/")]
    image = Image.fromarray(np.array(stored, np.uint8)).convert("RGB")
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = orientation
    found, changes = read(tmp_path, saved(image, "PNG", exif=exif))
    assert [[pixel[0] for pixel in row] for row in found] == [[1, 2], [3, 4]]
    assert changes == ({} if orientation == 1 else {Change.turned: 1})


def test_of_several_frames_the_first_is_taken(tmp_path):
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("red", "blue")]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    found, changes = read(tmp_path, content, "a.gif")
    assert found == 2 * [2 * [[255, 0, 0]]]
    assert changes == {Change.frames: 1}


@pytest.mark.filterwarnings("ignore:Image size")
@pytest.mark.parametrize(
    ("side", "words"),
    [(9_500, "90250000 pixels are more than 89000000"), (30_000, "900000000 pix")],
)
def test_too_many_pixels_are_refused_before_decoding(tmp_path, side, words):
    with pytest.raises(DataError, match=rf"a\.png: this picture cannot be decoded \(.*{words}"):
        read(tmp_path, png(side, side, 8, 2, b""))


def test_changes_are_said_once_with_their_number(tmp_path, caplog):
    paths = [tmp_path / f"{k}.png" for k in range(3)]
    for path in paths:
        path.write_bytes(saved(Image.fromarray(GREY16), "PNG"))
    with caplog.at_level(logging.WARNING):
        PictureFiles(2, Fit.squash, tmp_path / "cache").part(paths, np.zeros(3, np.int64)).take(
            np.arange(3)
        )
    assert f"3 pictures of {tmp_path} with 16 bits a channel keep the upper 8" in caplog.text
    assert len(caplog.records) == 2


def test_names_that_are_no_utf8(tmp_path, caplog):
    root = tmp_path / "photos"
    for name in (b"caf\xe9", b"bar"):
        folder = root / name.decode(errors="surrogateescape")
        folder.mkdir(parents=True)
        for k in range(10):
            path = folder / b"\xff".decode(errors="surrogateescape")
            Image.new("RGB", (4, 4), (k, k, k)).save(f"{path}{k}.png")
    (root / b"caf\xe9".decode(errors="surrogateescape") / "notes.txt").write_text("")
    maker = ImageFolder(path=str(root), image_px=4, cache_dir=str(tmp_path / "cache"))
    with caplog.at_level(logging.WARNING):
        splits = maker.make(lambda name, _: pytest.fail(name)).load()
    assert set(splits.files) == {"image_folder/photos/bar", r"image_folder/photos/caf\xe9"}
    assert r"such as caf\xe9/notes.txt" in caplog.text
    "".join([splits.source, caplog.text, *splits.files]).encode()
