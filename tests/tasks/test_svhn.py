import numpy as np
import pytest
import tiny_files

from nasrun.errors import DataError
from nasrun.tasks.base import ValidFrom
from nasrun.tasks.svhn import Svhn


def task(tmp_path):
    sizes = {"train_images": 40, "valid_images": 15, "test_images": 15}
    where = {"data_dir": str(tmp_path), "cache_dir": str(tmp_path / "cache"), "folders": ["svhn"]}
    return Svhn("svhn", 10, 32, "s", "s", valid_from=ValidFrom.test, **sizes, **where)


def test_digits_are_read_and_ten_is_zero(tmp_path):
    train = tiny_files.write_svhn(tmp_path / "svhn")
    splits = task(tmp_path).load()
    assert np.array_equal(splits.search_train.pixels, train)
    assert np.array_equal(splits.search_train.labels, tiny_files.labels(40, 10))


def test_a_missing_file_is_named(tmp_path):
    tiny_files.write_svhn(tmp_path / "svhn")
    (tmp_path / "svhn" / "test_32x32.mat").unlink()
    with pytest.raises(DataError, match=r"test_32x32\.mat.*download=true"):
        task(tmp_path).load()


@pytest.mark.parametrize("keep", [0, 200, 20_000])
def test_a_truncated_file_is_refused(tmp_path, keep):
    tiny_files.write_svhn(tmp_path / "svhn")
    path = tmp_path / "svhn" / "train_32x32.mat"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"train_32x32\.mat: not a complete file"):
        task(tmp_path).load()
