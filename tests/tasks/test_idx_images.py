import numpy as np
import pytest
import tiny_files

from nasrun.errors import DataError
from nasrun.tasks.base import ValidFrom
from nasrun.tasks.idx_images import IdxImages, Publisher
from nasrun.tasks.resize import resized

FOLDER = "MNIST/raw"


def task(tmp_path, **changes):
    sizes = {"train_images": 60, "valid_images": 20, "test_images": 20}
    where = {"data_dir": str(tmp_path), "cache_dir": str(tmp_path / "cache"), "folders": [FOLDER]}
    fixed = {"valid_from": ValidFrom.test}
    return IdxImages("mnist", 10, 32, "m", "m", **{**sizes, **where, **fixed, **changes})


@pytest.mark.parametrize("suffix", [".gz", ""])
@pytest.mark.parametrize("joint", ["-", "."])
def test_pictures_become_colour_at_the_tasks_size(tmp_path, suffix, joint):
    train, _ = tiny_files.write_mnist(tmp_path / FOLDER, suffix=suffix, joint=joint)
    splits = task(tmp_path).load()
    expected = np.repeat(resized(train, 32), 3, axis=1)
    assert np.array_equal(splits.search_train.pixels, expected)
    assert np.array_equal(splits.search_train.labels, tiny_files.labels(60, 10))
    assert splits.source == "MNIST, grey as three equal channels; split drawn by seed 0"
    assert [len(splits.search_valid), len(splits.final_test)] == [20, 20]


def test_a_folder_beside_a_file_with_a_dot_is_passed_over(tmp_path):
    tiny_files.write_mnist(tmp_path / FOLDER, suffix="", joint=".")
    for name in ("train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (tmp_path / FOLDER / name).mkdir()
    assert len(task(tmp_path).load().search_train) == 60


def test_a_folder_outside_the_data_is_looked_in(tmp_path):
    tiny_files.write_mnist(tmp_path / "usr" / "share")
    own = task(tmp_path / "data", folders=[FOLDER, str(tmp_path / "usr" / "share")])
    assert len(own.load().search_train) == 60


def test_what_is_missing_is_named_with_the_flag(tmp_path):
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.*or set task\.download=true"):
        task(tmp_path).load()


@pytest.mark.parametrize("kind", ["truncated", "other kind", "no gzip", "empty"])
def test_a_damaged_file_is_refused(tmp_path, kind):
    tiny_files.write_mnist(tmp_path / FOLDER)
    path = tmp_path / FOLDER / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    labels = (tmp_path / FOLDER / "train-labels-idx1-ubyte.gz").read_bytes()
    damaged = {"truncated": whole[:-100], "other kind": labels, "no gzip": b"text", "empty": b""}
    path.write_bytes(damaged[kind])
    with pytest.raises(DataError, match=r"train-images.*not a complete IDX file"):
        task(tmp_path).load()


def test_pictures_without_labels_are_refused(tmp_path):
    tiny_files.write_mnist(tmp_path / FOLDER)
    tiny_files.write_idx(tmp_path / FOLDER / "train-labels-idx1-ubyte.gz", np.zeros(59))
    with pytest.raises(DataError, match="59 labels for the 60 pictures"):
        task(tmp_path).load()


def test_a_download_is_the_publishers(tmp_path, monkeypatch):
    from nasrun.tasks import idx_images

    asked = []
    monkeypatch.setattr(idx_images, "fetch_archives", lambda a, folder: asked.append((a, folder)))
    own = task(tmp_path, download=True, publisher=Publisher.fashion_mnist)
    with pytest.raises(DataError):
        own.load()
    archives, folder = asked[0]
    assert "fashion-mnist" in archives[0].url
    assert folder == tmp_path / "cache" / "downloads" / "images"
    quiet = task(tmp_path)
    with pytest.raises(DataError):
        quiet.load()
    assert len(asked) == 1


def test_a_header_that_claims_more_than_any_data_set_has_is_refused(tmp_path):
    tiny_files.write_mnist(tmp_path / FOLDER, suffix="")
    path = tmp_path / FOLDER / "train-images-idx3-ubyte"
    path.write_bytes((0x803).to_bytes(4, "big") + 3 * (2**31).to_bytes(4, "big"))
    with pytest.raises(DataError, match=r"train-images.*: its header claims shape \(2147483648, "):
        task(tmp_path).load()
