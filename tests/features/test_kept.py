import numpy as np

from nasrun.features.kept import BATCH, kept
from nasrun.progress import heard_by

PIXELS = np.random.default_rng(0).integers(0, 256, (BATCH + 3, 3, 2, 2)).astype(np.uint8)


class Counted:
    def __init__(self):
        self.batches = []

    def __call__(self, pixels):
        self.batches.append(len(pixels))
        return pixels.reshape(len(pixels), -1).astype(np.float32)


def test_pictures_are_looked_at_once(tmp_path):
    of = Counted()
    first = kept(tmp_path, "a", PIXELS, of)
    second = kept(tmp_path, "a", PIXELS, of)
    assert of.batches == [BATCH, 3]
    np.testing.assert_array_equal(first, PIXELS.reshape(len(PIXELS), -1))
    np.testing.assert_array_equal(first, second)


def test_other_settings_pictures_or_shapes_are_others(tmp_path):
    of = Counted()
    changed = PIXELS.copy()
    changed[-1, -1, -1, -1] ^= 1
    kept(tmp_path, "a", PIXELS, of)
    for settings, pixels in (
        ("b", PIXELS),
        ("a", changed),
        ("a", PIXELS.reshape(-1, 3, 1, 4)),
    ):
        of.batches.clear()
        vectors = kept(tmp_path, settings, pixels, of)
        assert of.batches
        np.testing.assert_array_equal(vectors, pixels.reshape(len(pixels), -1))


def test_a_damaged_file_is_replaced(tmp_path):
    of = Counted()
    expected = kept(tmp_path, "a", PIXELS, of)
    (path,) = tmp_path.glob("*.npy")
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    np.testing.assert_array_equal(kept(tmp_path, "a", PIXELS, of), expected)
    assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_is_said(tmp_path, caplog):
    (tmp_path / "features").write_text("a file")
    vectors = kept(tmp_path / "features", "a", PIXELS, Counted())
    assert len(vectors) == len(PIXELS)
    assert "set cache_dir" in caplog.text


def test_progress_is_told(tmp_path):
    said = []
    with heard_by(lambda stages: said.extend((own.text, own.share) for own in stages)):
        kept(tmp_path, "a", PIXELS, Counted())
    assert said[-1] == (f"features of {len(PIXELS)} pictures", 1.0)
    assert [share for _, share in said] == [0.0, BATCH / len(PIXELS), 1.0]
