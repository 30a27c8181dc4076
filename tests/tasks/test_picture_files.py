import logging
import os

import numpy as np
import pytest
import tiny_files
from PIL import Image

from nasrun.errors import DataError
from nasrun.tasks import kept_array, picture_files
from nasrun.tasks.picture_files import Fit, PictureFiles


@pytest.fixture
def paths(tmp_path):
    names = [tmp_path / "photos" / f"{k}.png" for k in range(5)]
    for k, path in enumerate(names):
        tiny_files.write_picture(path, (40, 30), seed=k)
    return names


def pixels(paths, tmp_path, px=8, fit=Fit.squash, rows=None):
    part = PictureFiles(px, fit, tmp_path / "cache").part(paths, np.arange(len(paths)))
    return part.take(np.arange(len(paths)) if rows is None else rows).pixels


def pillow(path, box=None):
    with Image.open(path) as image:
        return np.asarray(image.resize((8, 8), Image.Resampling.BILINEAR, box)).transpose(2, 0, 1)


def test_pictures_are_squashed_or_cropped(paths, tmp_path):
    assert np.array_equal(pixels(paths, tmp_path), [pillow(path) for path in paths])
    middle = [pillow(path, (5, 0, 35, 30)) for path in paths]
    assert np.array_equal(pixels(paths, tmp_path, fit=Fit.crop), middle)


def test_rows_come_in_the_order_asked_for(paths, tmp_path):
    own = pixels(paths, tmp_path, rows=np.array([3, 1]))
    assert np.array_equal(own, [pillow(paths[3]), pillow(paths[1])])


def test_pictures_are_decoded_once(paths, tmp_path, monkeypatch):
    first = pixels(paths, tmp_path)
    monkeypatch.setattr(PictureFiles, "_decode", None)
    assert np.array_equal(pixels(paths, tmp_path), first)


def test_a_changed_picture_is_decoded_anew(paths, tmp_path):
    first = pixels(paths, tmp_path)
    tiny_files.write_picture(paths[2], (30, 30), seed=9)
    second = pixels(paths, tmp_path)
    assert (first != second).any(axis=(1, 2, 3)).tolist() == [False, False, True, False, False]


def test_a_damaged_cache_is_made_anew(paths, tmp_path):
    first = pixels(paths, tmp_path)
    for kept in (tmp_path / "cache").glob("*.npy"):
        kept.write_bytes(kept.read_bytes()[:100])
    assert np.array_equal(pixels(paths, tmp_path), first)


def test_many_pixels_stay_on_disk(paths, tmp_path, monkeypatch):
    first = pixels(paths, tmp_path)
    monkeypatch.setattr(kept_array, "MAPPED_BYTES", 10)
    mapped = pixels(paths, tmp_path)
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, first)


def test_grey_pictures_become_colour_and_it_is_said(tmp_path, caplog):
    colour, grey = tmp_path / "a" / "a.png", tmp_path / "b" / "b.png"
    for each in (colour, grey):
        each.parent.mkdir()
    tiny_files.write_picture(colour)
    array = tiny_files.write_picture(grey, (8, 8), "L")
    with caplog.at_level(logging.WARNING):
        own = pixels([colour, grey], tmp_path)
    assert (own[1] == array).all()
    assert f"1 grey pictures of {tmp_path} become" in caplog.text  # not of one of its folders


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK", "LA"])
def test_any_mode_is_read(tmp_path, mode):
    path = tmp_path / "a.tif"
    Image.new("RGB", (9, 9), (200, 100, 50)).convert(mode if mode != "LA" else "L").convert(
        mode
    ).save(path)
    assert pixels([path], tmp_path).shape == (1, 3, 8, 8)


@pytest.mark.parametrize("content", [b"", b"no picture", "half"])
def test_a_broken_picture_is_named_and_nothing_is_kept(paths, tmp_path, content):
    whole = paths[3].read_bytes()
    paths[3].write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(DataError, match=r"3\.png: this picture cannot be decoded.*replace it"):
        pixels(paths, tmp_path)
    assert not list((tmp_path / "cache").iterdir())
    paths[3].write_bytes(whole)
    assert len(pixels(paths, tmp_path)) == 5


def test_a_postscript_file_under_another_name_starts_nothing(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **k: started.append(a))
    path = tmp_path / "x.jpg"
    Image.new("RGB", (8, 8)).save(path, "EPS")
    with pytest.raises(DataError, match=r"x\.jpg: this picture cannot be decoded.*expected one of"):
        pixels([path], tmp_path)
    assert not started


@pytest.mark.parametrize("suffix", sorted(picture_files.SUFFIXES))
def test_every_suffix_has_its_decoder(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    mode, colour = ("L", 200) if suffix == ".pgm" else ("RGB", (200, 200, 200))
    Image.new(mode, (8, 8), colour).save(path)
    np.testing.assert_allclose(pixels([path], tmp_path), 200, atol=3)


def test_a_pipe_is_no_picture(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    assert not picture_files.is_picture(tmp_path / "x.png")
    tiny_files.write_picture(tmp_path / "y.png")
    assert picture_files.is_picture(tmp_path / "y.png")


def test_a_cache_that_cannot_be_written_is_named(paths, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="set cache_dir"):
        pixels(paths, tmp_path)
