import numpy as np
import pytest

from nasrun.images import Images
from nasrun.tasks.parts import channel_moments, in_colour, in_memory


def test_moments_are_those_of_each_channel():
    pixels = np.random.default_rng(0).integers(0, 256, (11_000, 3, 4, 4), np.uint8)
    mean, std = channel_moments(pixels)
    assert mean == pytest.approx(pixels.mean(axis=(0, 2, 3)))
    assert std == pytest.approx(pixels.std(axis=(0, 2, 3)))


def test_a_channel_without_contrast_can_be_divided_by():
    assert channel_moments(np.full((2, 3, 4, 4), 7, np.uint8)) == ((7.0,) * 3, (1.0,) * 3)


def test_grey_pictures_get_three_channels():
    pixels = np.arange(32, dtype=np.uint8).reshape(2, 1, 4, 4)
    assert in_colour(pixels).shape == (2, 3, 4, 4)
    assert (in_colour(pixels) == pixels).all()


def test_all_rows_in_order_are_no_copy():
    images = Images(np.zeros((3, 3, 4, 4), np.uint8), np.array([3, 4, 5]))
    part = in_memory(images)
    assert part.take(np.arange(3)).pixels is images.pixels
    assert part.take(np.array([1, 0])).labels.tolist() == [4, 3]
