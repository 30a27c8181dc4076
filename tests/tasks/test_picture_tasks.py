import os

import numpy as np
import pytest
import tiny_files

from nasrun.errors import ConfigError, DataError
from nasrun.nets.building import built
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Scale
from nasrun.tasks.aircraft import Aircraft
from nasrun.tasks.base import ValidFrom
from nasrun.tasks.folder_listing import list_folder
from nasrun.tasks.image_folder import ImageFolder
from nasrun.tasks.pets import Pets


def places(tmp_path, folder):
    return {"data_dir": str(tmp_path), "cache_dir": str(tmp_path / "cache"), "folders": [folder]}


def aircraft(tmp_path, **changes):
    sizes = {"train_images": 18, "valid_images": 6, "test_images": 6, "valid_from": ValidFrom.test}
    where = places(tmp_path, "fgvc-aircraft-2013b/data")
    return Aircraft("aircraft", 3, 8, "a", "a", **{**sizes, **where, **changes})


def pets(tmp_path, **changes):
    sizes = {"train_images": 34, "valid_images": 3, "test_images": 3, "valid_from": ValidFrom.test}
    where = places(tmp_path, "oxford-iiit-pet")
    return Pets("pets", 2, 8, "p", "p", **{**sizes, **where, **changes})


def test_aircraft_are_labelled_by_maker(tmp_path):
    tiny_files.write_aircraft(tmp_path / "fgvc-aircraft-2013b")
    splits = aircraft(tmp_path).load()
    assert splits.search_train.labels.tolist() == [0, 1, 2] * 6  # sorted by name, in list order
    assert splits.source.startswith("FGVC-Aircraft, manufacturer level")
    assert len(splits.class_names) == 3
    assert set(splits.files) == {
        "aircraft/images_manufacturer_trainval.txt",
        "aircraft/images_manufacturer_test.txt",
        "aircraft/images",
    }


def test_a_missing_aircraft_is_named(tmp_path):
    tiny_files.write_aircraft(tmp_path / "fgvc-aircraft-2013b")
    (tmp_path / "fgvc-aircraft-2013b/data/images/0000004.jpg").unlink()
    with pytest.raises(DataError, match=r"1 pictures are missing, such as 0000004\.jpg"):
        aircraft(tmp_path).load()


def test_a_list_of_another_form_is_refused(tmp_path):
    tiny_files.write_aircraft(tmp_path / "fgvc-aircraft-2013b")
    (tmp_path / "fgvc-aircraft-2013b/data/images_manufacturer_test.txt").write_text("0000004\n")
    with pytest.raises(DataError, match="expected lines of a number and a label"):
        aircraft(tmp_path).load()


def test_pets_are_labelled_by_breed_and_parted_by_seed(tmp_path):
    tiny_files.write_pets(tmp_path / "oxford-iiit-pet")
    splits = pets(tmp_path).load()
    assert np.bincount(splits.search_train.labels).tolist() == [17, 17]
    everything = np.concatenate(
        [part.pixels for part in (splits.final_train, splits.search_valid, splits.final_test)]
    )
    assert len({picture.tobytes() for picture in everything}) == 40  # nothing twice
    assert "drawn by seed 0" in splits.source
    assert len(splits.class_names) == 2
    assert list(splits.class_names) == sorted(splits.class_names)


def folder(tmp_path, **changes):
    wanted = ImageFolder(
        path=str(tmp_path / "photos"), image_px=8, cache_dir=str(tmp_path / "cache"), **changes
    )
    return wanted.make(lambda name, _: pytest.fail(name))


def test_a_folder_of_classes_is_parted_by_seed(tmp_path):
    tiny_files.write_folder(tmp_path / "photos")
    own = folder(tmp_path, name="animals")
    assert (own.name, own.classes, own.image_px) == ("animals", 3, 8)
    assert (own.train_images, own.valid_images) == (19, 5)
    splits = own.load()
    parts = (splits.search_train, splits.search_valid, splits.final_test)
    assert [len(part) for part in parts] == [19, 5, 6]
    pictures = [picture.tobytes() for part in parts for picture in part.pixels]
    assert len(set(pictures)) == 30
    assert splits.source == "folder photos; test pictures drawn by seed 0; split drawn by seed 0"
    assert set(splits.files) == {f"animals/photos/{name}" for name in ("cat", "dog", "owl")}
    assert (splits.class_names, splits.fit) == (("cat", "dog", "owl"), "crop")
    assert splits.pictures.described == {
        "image_px": 8,
        "mean": list(splits.mean),
        "std": list(splits.std),
        "class_names": ["cat", "dog", "owl"],
        "fit": "crop",
    }
    picked = own.subset([2, 0]).load()
    assert picked.class_names == ("owl", "cat")
    assert not np.array_equal(
        splits.final_test.pixels, folder(tmp_path, seed=1).load().final_test.pixels
    )


def test_parts_of_ones_own_are_kept(tmp_path):
    for part, each in (("train", 10), ("val", 3), ("test", 4)):
        tiny_files.write_folder(tmp_path / "photos" / part, each=each)
    splits = folder(tmp_path).load()
    sizes = [len(p) for p in (splits.search_train, splits.search_valid, splits.final_test)]
    assert sizes == [30, 9, 12]
    assert np.array_equal(splits.final_train.pixels, splits.search_train.pixels)
    assert splits.source == "folder photos; split as published"


def test_without_val_the_training_pictures_are_cut(tmp_path):
    for part, each in (("train", 10), ("test", 4)):
        tiny_files.write_folder(tmp_path / "photos" / part, each=each)
    splits = folder(tmp_path).load()
    sizes = [len(p) for p in (splits.search_train, splits.search_valid, splits.final_train)]
    assert sizes == [24, 6, 30]
    assert len(splits.final_test) == 12


def test_pictures_in_subfolders_of_a_class_count(tmp_path):
    tiny_files.write_folder(tmp_path / "photos")
    tiny_files.write_picture(tmp_path / "photos" / "cat" / "more" / "x.JPG", seed=999)
    (tmp_path / "photos" / "cat" / "notes.txt").write_text("no picture")
    own = folder(tmp_path)
    assert own.train_images + own.valid_images + own.test_images == 31
    assert "image_folder/photos/cat/more" in own.load().files


@pytest.mark.parametrize("parts", [[""], ["train", "test", "val"]])
def test_files_that_are_no_pictures_of_a_class_are_passed_over(tmp_path, caplog, parts):
    """Copies that a notebook leaves could else be in another part than their originals."""
    root = tmp_path / "photos"
    for part in parts:
        tiny_files.write_folder(root / part)
    clean = list_folder(root, 0.2, 0)
    assert clean.origin.startswith("folder photos")
    assert "passed over" not in clean.origin + caplog.text
    last = root / parts[-1]
    tiny_files.write_picture(last / "cat" / ".ipynb_checkpoints" / "0-checkpoint.png")
    tiny_files.write_picture(last / "cat" / "deep" / ".thumbs" / "more" / "0.png")
    tiny_files.write_picture(last / ".trash" / "0.png")
    tiny_files.write_picture(last / "dog" / "._00.png")
    tiny_files.write_picture(last / "beside.png")
    (last / "owl" / "Thumbs.db").write_bytes(b"x")
    (last / "owl" / "notes.txt").write_text("x")
    os.mkfifo(last / "owl" / "pipe.png")
    found = list_folder(root, 0.2, 0)
    assert found.train.paths == clean.train.paths
    assert found.test.paths == clean.test.paths
    assert found.classes == clean.classes
    said = "8 files that are no pictures of a class"
    assert f"; {said} passed over" in found.origin
    assert (
        f"{root}: {said} are passed over, such as {last.relative_to(root) / '.trash'}"
        in caplog.text
    )


def test_what_a_folder_lacks_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"task\.path must name a folder"):
        folder(tmp_path)
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="a folder of pictures for each class, found none"):
        folder(tmp_path)
    tiny_files.write_folder(tmp_path / "photos")
    (tmp_path / "photos" / "pike").mkdir()
    with pytest.raises(DataError, match="pike: no picture in it"):
        folder(tmp_path)


def test_parts_with_other_classes_are_refused(tmp_path):
    tiny_files.write_folder(tmp_path / "photos" / "train")
    tiny_files.write_folder(tmp_path / "photos" / "test", classes=("cat", "dog"))
    with pytest.raises(DataError, match="expected the 3 classes of the training pictures, found 2"):
        folder(tmp_path)


def test_too_few_pictures_of_a_class_are_refused(tmp_path):
    tiny_files.write_folder(tmp_path / "photos", each=2)
    with pytest.raises(DataError, match=r"too few pictures of (cat|dog|owl).* for one in each pa"):
        folder(tmp_path).load()


def test_shares_that_leave_nothing_are_refused_by_their_key(tmp_path):
    tiny_files.write_folder(tmp_path / "photos")
    with pytest.raises(DataError, match=r"task\.valid_share=0\.99 leaves none to train on"):
        folder(tmp_path, valid_share=0.99)
    with pytest.raises(DataError, match=r"no picture left to test on: .* task\.test_share"):
        folder(tmp_path, test_share=0.001)


def test_pictures_that_no_disk_has_room_for_are_refused_before_they_are_decoded(tmp_path):
    tiny_files.write_folder(tmp_path / "photos")
    wanted = ImageFolder(path=str(tmp_path / "photos"), image_px=10**7, cache_dir=str(tmp_path))
    with pytest.raises(DataError, match=r"decoded pictures take .* GB left: lower task\.image_px"):
        wanted.make(lambda name, _: pytest.fail(name)).load()


def test_a_link_to_nowhere_is_passed_over(tmp_path):
    tiny_files.write_folder(tmp_path / "photos")
    (tmp_path / "photos" / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert folder(tmp_path).load().files


def test_networks_for_one_class_alone_are_refused(tmp_path):
    tiny_files.write_folder(tmp_path / "photos", classes=("cat",))
    space = NB201()
    with pytest.raises(ConfigError, match="has one class of pictures"):
        built(space, space.at(np.array([7]))[0], folder(tmp_path), Scale())


@pytest.mark.parametrize("changes", [{"valid_share": 0.0}, {"test_share": 1.0}, {"image_px": 0}])
def test_shares_and_sizes_that_mean_nothing_are_refused(changes):
    with pytest.raises(ConfigError, match=r"task\."):
        ImageFolder(**changes)
