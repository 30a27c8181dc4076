import zipfile

import numpy as np
import pytest
import tiny_files

from nasrun.errors import DataError
from nasrun.tasks import cifar10
from nasrun.tasks.base import ValidFrom
from nasrun.tasks.cifar10 import Cifar10
from nasrun.tasks.image_pack import ImagePack


def pack_task(tmp_path, **changes):
    sizes = {"train_images": 24, "valid_images": 6, "test_images": 6}
    where = {"data_dir": str(tmp_path), "cache_dir": str(tmp_path / "cache")}
    fixed = {"valid_from": ValidFrom.test, "pack": "in16"}
    return ImagePack("in16", 3, 8, "i", "i", **{**sizes, **where, **fixed, **changes})


def write(tmp_path):
    train = [
        tiny_files.write_pack(tmp_path / "images", "in16", "train", number=n, parts=2, seed=n)
        for n in (0, 1)
    ]
    return np.concatenate(train), tiny_files.write_pack(tmp_path / "images", "in16", "val", seed=2)


def test_packs_are_joined_in_order(tmp_path):
    train, val = write(tmp_path)
    splits = pack_task(tmp_path).load()
    assert np.array_equal(splits.search_train.pixels, train)
    both = np.concatenate([splits.search_valid.pixels, splits.final_test.pixels])
    assert {p.tobytes() for p in both} == {p.tobytes() for p in val}
    assert splits.source == "Tiny-ImageNet, image pack in16; split drawn by seed 0"
    names = ["in16_train_0.zip", "in16_train_1.zip", "in16_val_0.zip"]
    assert list(splits.files) == [f"in16/{name}" for name in names]


def test_a_missing_part_is_named(tmp_path):
    write(tmp_path)
    (tmp_path / "images" / "in16_train_1.zip").unlink()
    with pytest.raises(DataError, match=r"expected parts 0 to 1 of in16_train, found \[0\]"):
        pack_task(tmp_path).load()
    (tmp_path / "images" / "in16_val_0.zip").unlink()
    with pytest.raises(DataError, match=r"in16_val_0\.zip is missing"):
        pack_task(tmp_path).load()


def test_a_truncated_pack_is_refused(tmp_path):
    write(tmp_path)
    path = tmp_path / "images" / "in16_train_1.zip"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"in16_train_1\.zip: not a complete pack"):
        pack_task(tmp_path).load()


@pytest.mark.parametrize("member", ["strips/001.webp", "labels.npy"])
def test_a_pack_without_one_of_its_files_is_refused(tmp_path, member):
    write(tmp_path)
    path = tmp_path / "images" / "in16_train_1.zip"
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist() if name != member}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    with pytest.raises(DataError, match=r"in16_train_1\.zip: not a complete pack"):
        pack_task(tmp_path).load()


def test_other_pictures_than_the_pack_states_are_refused(tmp_path):
    write(tmp_path)
    path = tmp_path / "images" / "in16_train_1.zip"
    other = tiny_files.write_pack(tmp_path / "other", "in16", "train", number=1, parts=2, seed=9)
    assert other.shape == (12, 3, 8, 8)
    with zipfile.ZipFile(tmp_path / "other" / path.name) as archive:
        strip = archive.read("strips/000.webp")
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**content, "strips/000.webp": strip}.items():
            archive.writestr(name, data)
    with pytest.raises(DataError, match="has not the sha256_x that the pack states"):
        pack_task(tmp_path).load()


def test_cifar10_comes_from_either_and_the_source_says_which(tmp_path, monkeypatch):
    for number in (0, 1):
        tiny_files.write_pack(
            tmp_path, "cifar10", "train", 20, 32, 10, number=number, parts=2, seed=number
        )
    tiny_files.write_pack(tmp_path, "cifar10", "test", 20, 32, 10, seed=2)
    sizes = {"train_images": 25, "valid_images": 15, "test_images": 20}
    where = {"data_dir": str(tmp_path), "cache_dir": str(tmp_path / "cache")}
    folders = {"folders": ["cifar-10-batches-py", "."]}
    own = Cifar10("cifar10", 10, 32, "v", "f", **sizes, **where, **folders)
    assert own.load().source.startswith("CIFAR-10, image pack cifar10;")
    monkeypatch.setattr(cifar10, "MD5", dict.fromkeys(cifar10.MD5, None))
    tiny_files.write_cifar10(tmp_path / "cifar-10-batches-py")
    both = Cifar10("cifar10", 10, 32, "v", "f", **sizes, **where, **folders)
    assert both.load().source.startswith("CIFAR-10, official files;")


@pytest.mark.data
def test_the_real_pack_is_cut_by_the_published_list(data_dir, tmp_path):
    where = {"data_dir": str(data_dir), "cache_dir": str(tmp_path)}
    own = Cifar10(
        "cifar10", 10, 32, "v", "f", 25_000, 25_000,
        split_list="nb201/splits/cifar-split.txt", **where,
    )  # fmt: skip
    splits = own.load()
    assert len(splits.final_train) == 50_000
    counts = np.bincount(splits.search_train.labels)
    assert counts.sum() == 25_000
    assert counts.min() > 2_400
    joined = np.concatenate([splits.search_train.pixels, splits.search_valid.pixels])
    assert np.array_equal(joined, splits.final_train.pixels)
    # The first two pictures of the official order: a frog to train on, a truck to validate.
    assert splits.class_names[splits.search_train.labels[0]] == "frog"
    assert splits.class_names[splits.search_valid.labels[0]] == "truck"
