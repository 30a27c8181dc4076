import hashlib
import pickle
import zipfile

import numpy as np
import pytest
import tiny_files

from nasrun.errors import ConfigError, DataError
from nasrun.tasks import cifar10, cifar100, downsampled_imagenet
from nasrun.tasks.base import ValidFrom
from nasrun.tasks.cifar10 import Cifar10
from nasrun.tasks.cifar100 import Cifar100
from nasrun.tasks.downsampled_imagenet import DownsampledImageNet


@pytest.fixture
def unchecked(monkeypatch):
    """Miniature files cannot have the md5 of the official ones."""
    for module in (cifar10, cifar100):
        monkeypatch.setattr(module, "MD5", dict.fromkeys(module.MD5, None))
    empty = dict.fromkeys(downsampled_imagenet.MD5_16, None)
    monkeypatch.setattr(downsampled_imagenet, "MD5_16", empty)


def places(tmp_path, folder):
    return {"data_dir": str(tmp_path), "cache_dir": str(tmp_path / "cache"), "folders": [folder]}


def small_cifar10(tmp_path, **changes):
    sizes = {"train_images": 60, "valid_images": 40, "test_images": 20}
    where = places(tmp_path, "cifar-10-batches-py")
    return Cifar10("cifar10", 10, 32, "v", "f", **{**sizes, **where, **changes})


def small_imagenet(tmp_path, **changes):
    sizes = {"train_images": 60, "valid_images": 3, "test_images": 3}
    where = places(tmp_path, "ImageNet16")
    fixed = {"classes": 3, "valid_from": ValidFrom.test}
    return DownsampledImageNet(
        "imagenet16_3", image_px=16, search_split="i", final_split="i",
        **{**fixed, **sizes, **where, **changes},
    )  # fmt: skip


def test_cifar10_is_read_as_python_2_wrote_it(tmp_path, unchecked):
    train, test = tiny_files.write_cifar10(tmp_path / "cifar-10-batches-py")
    splits = small_cifar10(tmp_path).load()
    assert np.array_equal(splits.final_test.pixels, test)
    assert np.array_equal(splits.final_test.labels, tiny_files.labels(20, 10))
    found = {picture.tobytes() for picture in splits.final_train.pixels}
    assert found == {picture.tobytes() for picture in train}
    assert splits.source.startswith("CIFAR-10, official files; split drawn by seed 0")
    digest = hashlib.sha256((tmp_path / "cifar-10-batches-py" / "test_batch").read_bytes())
    assert splits.files["cifar10/test_batch"] == digest.hexdigest()


def test_the_files_have_to_be_the_official_ones(tmp_path):
    tiny_files.write_cifar10(tmp_path / "cifar-10-batches-py")
    with pytest.raises(DataError, match="data_batch_1: not the published file"):
        small_cifar10(tmp_path).load()


def test_cifar100_has_fine_labels(tmp_path, unchecked):
    _, test = tiny_files.write_cifar100(tmp_path / "cifar-100-python")
    task = Cifar100(
        "cifar100", 100, 32, "c", "c", train_images=400, valid_images=100, test_images=100,
        valid_from=ValidFrom.test, **places(tmp_path, "cifar-100-python"),
    )  # fmt: skip
    splits = task.load()
    pieces = np.concatenate([splits.search_valid.pixels, splits.final_test.pixels])
    assert {p.tobytes() for p in pieces} == {p.tobytes() for p in test}
    assert np.bincount(splits.final_train.labels).tolist() == [4] * 100
    # Sorted names, and the superclasses' first and last members, as the data set's page lists them.
    assert list(splits.class_names) == sorted(splits.class_names)
    assert len(set(splits.class_names)) == 100
    assert (splits.class_names[4], splits.class_names[47]) == ("beaver", "maple_tree")


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_imagenet_has_its_first_classes_counted_from_0(tmp_path, unchecked, protocol):
    tiny_files.write_imagenet(tmp_path / "ImageNet16", protocol=protocol)
    splits = small_imagenet(tmp_path).load()
    assert np.bincount(splits.search_train.labels).tolist() == [20, 20, 20]
    first = tiny_files.pixels(12, 16, seed=0)[[0, 1, 2, 6, 7, 8]]  # labels 1 to 6, twice
    assert np.array_equal(splits.search_train.pixels[:6], first)
    assert splits.source.startswith("ImageNet at 16x16, official batches")
    assert len(splits.files) == 11


def test_arrays_are_the_same_pictures(tmp_path, unchecked):
    """As image-net.org offers them today: train_data_batch_1.npz and so on."""
    tiny_files.write_imagenet(tmp_path / "pickled" / "ImageNet16")
    tiny_files.write_imagenet(tmp_path / "arrays" / "ImageNet16", npz=True)
    pickled, arrays = (small_imagenet(tmp_path / kind).load() for kind in ("pickled", "arrays"))
    for part in ("search_train", "search_valid", "final_train", "final_test"):
        ours, theirs = getattr(arrays, part), getattr(pickled, part)
        assert np.array_equal(ours.pixels, theirs.pixels)
        assert np.array_equal(ours.labels, theirs.labels)
    assert sorted(arrays.files) == sorted(f"{name}.npz" for name in pickled.files)


def npy(shape, data=b"", kind="|u1"):
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (npy((2**40, 768)), r"needs \d+ bytes, it has 0"),
        (npy((1, 768), bytes(768), "|O"), "it holds Python objects"),
        (npy((1, 5), bytes(5)), "expected a dict with data"),
        (None, "not a complete .npz with data and labels"),
        (b"\x93NUMPY", "not a complete .npz with data and labels"),
    ],
    ids=["huge", "objects", "width", "missing", "truncated"],
)
def test_other_arrays_are_refused(tmp_path, data, sentence):
    folder = tmp_path / "ImageNet16"
    tiny_files.write_imagenet(folder, npz=True)
    with zipfile.ZipFile(folder / "train_data_batch_3.npz", "w") as archive:
        archive.writestr("labels.npy", npy((1,), b"\1"))
        if data is not None:
            archive.writestr("data.npy", data)
    with pytest.raises(DataError, match=rf"train_data_batch_3\.npz.*{sentence}"):
        small_imagenet(tmp_path).load()


def test_larger_pictures_are_read_without_sums(tmp_path):
    tiny_files.write_imagenet(tmp_path / "ImageNet32", px=32)
    own = small_imagenet(tmp_path, stored_px=32, folders=["ImageNet32"])
    assert own.load().search_train.pixels.shape == (60, 3, 16, 16)  # task.image_px
    with pytest.raises(ConfigError, match="one of"):
        small_imagenet(tmp_path, stored_px=8)


def test_a_missing_batch_is_named(tmp_path, unchecked):
    tiny_files.write_imagenet(tmp_path / "ImageNet16")
    (tmp_path / "ImageNet16" / "train_data_batch_7").unlink()
    with pytest.raises(DataError, match="train_data_batch_7 missing"):
        small_imagenet(tmp_path).load()


def test_nothing_is_offered_for_download(tmp_path):
    with pytest.raises(DataError, match="after a login") as refusal:
        small_imagenet(tmp_path).load()
    assert "download=true" not in str(refusal.value)


class Harmful:
    def __reduce__(self):
        return print, ("harm",)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (pickle.dumps(Harmful()), "refused: it asks for builtins.print"),
        (pickle.dumps({"data": [[0]]}), "expected a dict with data"),
        (pickle.dumps({"data": np.zeros((2, 5), np.uint8), "labels": [1, 1]}), "expected a dict"),
        (pickle.dumps({"data": np.zeros((1, 768)), "labels": [1]}), "float64, expected uint8"),
        (pickle.dumps({"data": np.zeros((2, 768), np.uint8), "labels": [1]}), "1 labels for 2"),
        (pickle.dumps({"data": np.zeros((2, 768), np.uint8)})[:-90], "not a complete pickle"),
        (b"", "not a complete pickle"),
    ],
    ids=["harmful", "no labels", "width", "floats", "count", "truncated", "empty"],
)
def test_a_file_that_is_no_batch_is_refused(tmp_path, unchecked, capsys, content, sentence):
    tiny_files.write_imagenet(tmp_path / "ImageNet16")
    (tmp_path / "ImageNet16" / "train_data_batch_3").write_bytes(content)
    with pytest.raises(DataError, match=f"train_data_batch_3.*{sentence}"):
        small_imagenet(tmp_path).load()
    assert capsys.readouterr().out == ""
