"""Pictures with masks: what each layout gives, and what is said of those that do not fit."""

import logging
import pickle
import zipfile

import numpy as np
import pytest
from tiny_masks import bright, city_folder, masked_folder, save, striped

from nasrun.errors import ConfigError, DataError
from nasrun.images import IGNORED
from nasrun.spec import metric_named
from nasrun.tasks.cityscapes import LABEL_IDS, NAMES, Cityscapes
from nasrun.tasks.masked_pictures import MaskedPictures, MaskIds
from nasrun.tasks.nuclei import Nuclei
from nasrun.tasks.picture_files import Fit
from nasrun.tasks.segmentation_folder import SegmentationFolder
from nasrun.tasks.trees import Tree


def folder(path, cache, **settings):
    own = {"image_px": 16, "size": [16, 24], "cache_dir": str(cache), **settings}
    return SegmentationFolder(path=str(path), **own).make(None)


def cityscapes(data, cache, **settings):
    own = {
        "name": "cityscapes", "classes": 19, "image_px": 16, "search_split": "v",
        "final_split": "t", "valid_images": 2, "train_images": 4, "test_images": 2,
        "size": [16, 32], "data_dir": str(data), "cache_dir": str(cache), "folders": ["cityscapes"],
    }  # fmt: skip
    return Cityscapes(**{**own, **settings})


def zipped(root, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*.*")):
            archive.write(file, file.relative_to(root))
    return path


def test_a_flat_folder_is_parted_by_draws(tmp_path):
    task = folder(masked_folder(tmp_path / "data"), tmp_path, valid_share=0.25)
    splits = task.load()
    sizes = [len(part) for part in (splits.search_train, splits.search_valid, splits.final_test)]
    assert sizes == [6, 2, 2]
    assert (task.train_images, task.valid_images, task.test_images) == (6, 2, 2)
    assert task.classes == 3
    assert task.metric == metric_named("miou_pct")
    assert "test pictures drawn by seed 0" in splits.source
    for part in (splits.final_train, splits.final_test):
        assert part.pixels.shape[1:] == (3, 16, 24)
        assert part.labels.dtype == np.int8
        assert np.array_equal(bright(part.labels).transpose(0, 3, 1, 2), part.pixels)


@pytest.mark.parametrize("above", [True, False])
@pytest.mark.parametrize("valid", ["val", "validation", None])
def test_parts_of_the_owner_are_kept(tmp_path, above, valid):
    root = tmp_path / "data"
    for part, count in (("train", 5), ("test", 3), (valid, 2)):
        names = (
            (f"{part}/images", f"{part}/masks") if above else (f"images/{part}", f"masks/{part}")
        )
        if part:
            masked_folder(root, count, *names)
    splits = folder(root, tmp_path).load()
    assert len(splits.final_test) == 3
    assert len(splits.search_valid) == (2 if valid else 1)
    assert len(splits.search_train) == (5 if valid else 4)


def test_a_zip_is_read_as_its_folder_is(tmp_path):
    root = masked_folder(tmp_path / "data")
    (root / "classes.txt").write_text("sky\n\nsea\nsand\n")
    save(root / "images/.hidden/p0.png", striped(0))
    found = folder(root, tmp_path).load()
    task = folder(zipped(root, tmp_path / "data.zip"), tmp_path)
    packed = pickle.loads(pickle.dumps(task)).load()
    assert np.array_equal(found.final_train.pixels, packed.final_train.pixels)
    assert np.array_equal(found.final_train.labels, packed.final_train.labels)
    assert packed.class_names == ("sky", "sea", "sand")
    assert list(packed.files) == list(task.files) == ["segmentation_folder/data.zip"]
    assert list(found.files) == [f"segmentation_folder/{name}" for name in ("images", "masks")]


def test_masks_and_pictures_are_brought_to_one_size_alike(tmp_path):
    root = masked_folder(tmp_path / "data", 4, size=(32, 64))
    for fit in Fit:
        splits = folder(root, tmp_path, size=[16, 16], fit=fit).load()
        shown = splits.final_train.pixels[:, 0].astype(int)
        wanted = bright(splits.final_train.labels)[..., 0].astype(int)
        assert splits.final_train.pixels.shape[2:] == (16, 16)
        # Bilinear edges lie between two levels, one or two pixels wide.
        assert (np.abs(shown - wanted) < 41).mean() > 0.9
        assert (shown == wanted).mean() > 0.6
    # Between the classes 0 and 2 lies no 1.
    root = masked_folder(tmp_path / "far", 4, size=(32, 64), write=lambda c: c // 2 * np.uint8(2))
    assert set(np.unique(folder(root, tmp_path, size=[16, 20]).load().final_train.labels)) == {0, 2}


def test_numbers_in_masks_mean_what_is_said(tmp_path):
    def ignoring(classes):
        return np.where(classes == 1, 255, classes).astype(np.uint8)

    def instances(classes):
        return (classes.astype(np.uint16) * 300).astype(np.uint16)

    root = masked_folder(tmp_path / "some", 4, write=ignoring)
    task = folder(root, tmp_path)
    assert task.classes == 3
    assert set(np.unique(task.load().final_train.labels)) == {0, 2, IGNORED}
    for write in (lambda classes: np.where(classes > 0, 255, 0).astype(np.uint8), instances):
        root = masked_folder(tmp_path / str(id(write)), 4, write=write)
        task = folder(root, tmp_path, binary=True)
        labels = task.load().final_train.labels
        assert task.classes == 2
        assert np.array_equal(labels == 1, task.load().final_train.pixels[:, 0] > 50)
    with pytest.raises(DataError, match="have the number 255, which is none of the 3 known"):
        folder(
            masked_folder(tmp_path / "none", 4, write=ignoring), tmp_path, classes=3, ignored=None
        ).load()
    with pytest.raises(DataError, match="have the number 2, which is none of"):
        folder(masked_folder(tmp_path / "few", 4), tmp_path, classes=2).load()
    assert folder(tmp_path / "few", tmp_path, classes=7).load().final_train.labels.max() == 2


def test_a_palette_and_a_bitmap_are_numbers_too(tmp_path):
    for mode in ("P", "1"):
        root = masked_folder(tmp_path / mode, 3)
        for number in range(3):
            save(root / "masks" / f"p{number}.png", striped(number) // 2 * 255, mode)
        labels = folder(root, tmp_path, binary=True).load().final_train.labels
        assert 0.2 < labels.mean() < 0.5


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda r: save(r / "masks/p1.png", striped(1, (8, 24))), "24x8 pixels, but its .* 24x16"),
        (lambda r: (r / "masks/p1.png").unlink(), r"images/p1\.png has no mask .*1 of 4"),
        (lambda r: (r / "images/p1.png").write_bytes(b""), r"images/p1\.png: this picture cannot"),
        (lambda r: (r / "masks/p1.png").write_bytes(b"PNG"), r"masks/p1\.png: this picture"),
        (lambda r: save(r / "masks/p1.png", bright(striped(1))), "one channel of numbers, and"),
        (lambda r: [p.unlink() for p in (r / "images").iterdir()], "expected pictures in images/"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(tmp_path, spoil, sentence):
    root = masked_folder(tmp_path / "data", 4)
    spoil(root)
    with pytest.raises(DataError, match=sentence) as refusal:
        folder(root, tmp_path, classes=3).load()
    assert "\n" not in str(refusal.value)


def test_a_mask_without_a_picture_is_passed_over_with_a_word(tmp_path, caplog):
    root = masked_folder(tmp_path / "data", 4)
    save(root / "masks/extra.png", striped(0))
    with caplog.at_level(logging.WARNING):
        assert folder(root, tmp_path, classes=3).train_images == 2
    assert "1 masks have no picture and are passed over, such as masks/extra.png" in caplog.text


def test_a_damaged_zip_is_one_sentence(tmp_path):
    (tmp_path / "data.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match=r"data\.zip: expected a folder or a zip file"):
        folder(tmp_path / "data.zip", tmp_path)
    with pytest.raises(ConfigError, match=r"task\.path must name a folder \(or a zip\)"):
        folder(tmp_path / "nowhere", tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("size", [8, 24]), ("size", [16]), ("scales", []), ("hard", 1.0), ("image_px", 0),
     ("classes", 1), ("head_width", 2), ("scales", [0.0])],
)  # fmt: skip
def test_settings_out_of_range_are_refused(tmp_path, key, value):
    root = masked_folder(tmp_path / "data", 4)
    with pytest.raises(ConfigError, match=f"task.{key}"):
        folder(root, tmp_path, **{key: value})


def test_a_picture_turned_by_its_exif_data_fits_an_upright_mask(tmp_path):
    from PIL import Image

    save(tmp_path / "images/p.png", bright(striped(0)))
    turned = Image.open(tmp_path / "images/p.png").transpose(Image.Transpose.ROTATE_90)
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "images/p.png", exif=exif)
    save(tmp_path / "masks/p.png", striped(0))
    ids = MaskIds({0: 0, 1: 1, 2: 2})
    decoder = MaskedPictures((16, 24), Fit.crop, ids, tmp_path / "cache")
    part = decoder.part([(tmp_path / "images/p.png", tmp_path / "masks/p.png")])
    assert np.array_equal(part.pixels(np.array([0]))[0], bright(striped(0)).transpose(2, 0, 1))


def test_what_was_decoded_is_kept_until_a_file_changes(tmp_path, monkeypatch):
    root = masked_folder(tmp_path / "data", 3)
    first = folder(root, tmp_path).load().final_train
    kept = sorted((tmp_path / "images").glob("*.npy"))
    again = folder(root, tmp_path).load().final_train
    assert sorted((tmp_path / "images").glob("*.npy")) == kept
    assert np.array_equal(first.labels, again.labels)
    for number in range(3):
        save(root / f"masks/p{number}.png", np.zeros((16, 24), np.uint8) + np.uint8(number > 5))
    assert not folder(root, tmp_path, classes=3).load().final_train.labels.any()


def test_cityscapes_label_ids_become_the_benchmarks_classes(tmp_path):
    city_folder(tmp_path / "cityscapes")
    task = cityscapes(tmp_path, tmp_path / "cache")
    splits = task.load()
    labels = splits.final_test.labels
    assert (labels[:, 0, 0] == IGNORED).all()
    assert (labels[:, 0, 1] == IGNORED).all()
    assert set(np.unique(labels)) == {IGNORED, 0, 1, 2}
    assert np.array_equal(labels[0, 1:], striped(0, (16, 32))[1:])
    assert splits.class_names == NAMES
    assert (len(splits.search_train), len(splits.search_valid), len(labels)) == (4, 2, 2)
    assert set(splits.files) == {
        f"cityscapes/{kind}/{part}/aachen"
        for kind in ("leftImg8bit", "gtFine") for part in ("train", "val")
    }  # fmt: skip
    assert set(task.files) == set(splits.files)


def test_cityscapes_classes_are_those_of_the_official_table():
    """cityscapesscripts' ``labels.py``: name, id and trainId."""
    ids = dict(zip(NAMES, LABEL_IDS, strict=True))
    for name, label in (("road", 7), ("pole", 17), ("sky", 23), ("train", 31), ("bicycle", 33)):
        assert ids[name] == label
    assert (NAMES.index("road"), NAMES.index("sky"), NAMES.index("bicycle")) == (0, 10, 18)


def test_a_city_without_a_mask_is_named(tmp_path):
    root = city_folder(tmp_path / "cityscapes")
    next(root.glob("gtFine/val/aachen/*000001*labelIds.png")).unlink()
    with pytest.raises(DataError, match=r"_000019_leftImg8bit\.png has no mask .* \(1 of 2 pict"):
        cityscapes(tmp_path, tmp_path).load()


def test_the_nuclei_of_another_zip_are_refused(tmp_path):
    masked_folder(tmp_path / "data", 2, masks="instances")
    (tmp_path / "data/annotations").mkdir()
    (tmp_path / "data/annotations/instances_train.json").write_text('{"pictures": []}')
    zipped(tmp_path / "data", tmp_path / "nuclei.zip")
    task = Nuclei("nuclei", 2, 16, "v", "t", 1, 1, test_images=1, data_dir=str(tmp_path))
    with pytest.raises(DataError, match=r"nuclei\.zip: annotations/instances_train\.json"):
        task.load()


@pytest.mark.data
def test_nuclei_are_those_of_the_pack(data_dir, tmp_path):
    if not (data_dir / "dense/nuclei.zip").exists():
        pytest.skip("nuclei.zip is not at hand")
    task = Nuclei(
        "nuclei", 2, 64, "v", "t", 53, 211, test_images=66, data_dir=str(data_dir),
        cache_dir=str(tmp_path), folders=["dense"],
    )  # fmt: skip
    splits = task.load()
    labels = np.concatenate([splits.final_train.labels, splits.final_test.labels])
    assert labels.shape == (330, 64, 64)
    assert labels.mean() == pytest.approx(0.077, abs=0.003)  # 7.7 % of the pixels are nucleus
    inside = np.concatenate([splits.final_train.pixels, splits.final_test.pixels])[:, 0]
    assert inside[labels == 1].mean() > 2 * inside[labels == 0].mean()


def test_a_tree_lists_what_is_not_hidden_of_folders_and_zips(tmp_path):
    root = masked_folder(tmp_path / "data", 2)
    save(root / "images/.ipynb_checkpoints/p0.png", striped(0))
    save(root / "images/deeper/.p0.png", striped(0))
    for tree in (Tree(root), Tree(zipped(root, tmp_path / "x.zip"))):
        assert tree.below("images") == ["images/p0.png", "images/p1.png"]
        assert tree.below("image") == []
