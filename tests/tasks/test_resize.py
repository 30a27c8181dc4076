import numpy as np
import pytest
from PIL import Image

from nasrun.tasks import resize
from nasrun.tasks.resize import resized


@pytest.mark.parametrize("size", [(28, 28), (16, 16), (30, 20), (64, 48)])
@pytest.mark.parametrize("strip", [1000, 4])
def test_the_values_are_pillows(monkeypatch, size, strip):
    monkeypatch.setattr(resize, "STRIP", strip)
    height, width = size
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, height, width), np.uint8)
    planes = [
        np.asarray(Image.fromarray(plane).resize((32, 32), Image.Resampling.BILINEAR))
        for picture in pixels
        for plane in picture
    ]
    assert np.array_equal(resized(pixels, 32), np.reshape(planes, (5, 3, 32, 32)))


def test_pictures_of_that_size_are_left_alone():
    pixels = np.zeros((2, 3, 8, 8), np.uint8)
    assert resized(pixels, 8) is pixels
