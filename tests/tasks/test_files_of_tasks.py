"""The files of a task's images are named without reading a picture: a pool may never need them."""

import pytest
import tiny_files
from test_idx_images import FOLDER
from test_idx_images import task as mnist
from test_image_packs import pack_task, write
from test_mini_imagenet import task as mini_imagenet
from test_pickled_batches import small_cifar10, small_imagenet, unchecked  # noqa: F401
from test_picture_tasks import aircraft, folder, pets
from test_svhn import task as svhn

from nasrun.tasks.synthetic_images import SyntheticImages


def written(writer, make, *where, **options):
    def made(tmp_path):
        writer(tmp_path.joinpath(*where), **options)
        return make(tmp_path)

    return made


def packs(tmp_path):
    write(tmp_path)
    return pack_task(tmp_path)


TASKS = {
    "CIFAR-10": written(tiny_files.write_cifar10, small_cifar10, "cifar-10-batches-py"),
    "packs": packs,
    "ImageNet": written(tiny_files.write_imagenet, small_imagenet, "ImageNet16"),
    "ImageNet, npz": written(tiny_files.write_imagenet, small_imagenet, "ImageNet16", npz=True),
    "MNIST": written(tiny_files.write_mnist, mnist, FOLDER),
    "SVHN": written(tiny_files.write_svhn, svhn, "svhn"),
    "aircraft": written(tiny_files.write_aircraft, aircraft, "fgvc-aircraft-2013b"),
    "mini-ImageNet": written(tiny_files.write_mini_imagenet, mini_imagenet, "mini-imagenet"),
    "pets": written(tiny_files.write_pets, pets, "oxford-iiit-pet"),
    "folder": written(tiny_files.write_folder, folder, "photos"),
    "synthetic": lambda _: SyntheticImages("made up", 3, 8, "s", "s", 6, 6, test_images=6),
}


@pytest.mark.parametrize("name", TASKS)
def test_files_are_named_before_pictures_are_read(tmp_path, monkeypatch, unchecked, name):  # noqa: F811
    own = TASKS[name](tmp_path)
    some = own.subset([1, 0])
    early = dict(own.files)
    assert dict(some.files) == early
    assert own.loaded is None
    assert early == dict(own.load().files)
    assert bool(early) == (name != "synthetic")
    monkeypatch.setattr(type(own), "paths", None)
    assert dict(own.files) == early
