import json
import logging

import numpy as np
import pytest

from nasrun.errors import DataError
from nasrun.images import NO_BOX
from nasrun.tasks.coco_file import read_instances

RUN_LENGTHS = {"counts": [3, 4, 5], "size": [3, 4]}


def box(image=7, category=9, bbox=(1, 2, 3, 4), **more):
    return {"image_id": image, "category_id": category, "bbox": list(bbox), **more}


def content(*annotations, **changes):
    """Two pictures; classes whose ids have a gap and are not in order."""
    pictures = [
        {"id": 7, "file_name": "a.jpg", "width": 20, "height": 10},
        {"id": 3, "file_name": "b/c.jpg", "width": 8, "height": 8},
    ]
    classes = [{"id": 90, "name": "toothbrush"}, {"id": 9, "name": "boat"}]
    whole = {"images": pictures, "annotations": list(annotations), "categories": classes}
    return {**whole, **changes}


def read(folder, whole):
    path = folder / "instances.json"
    path.write_text(whole if isinstance(whole, str) else json.dumps(whole))
    return read_instances(path)


def test_boxes_are_corners_with_a_class_and_whether_a_crowd(tmp_path):
    polygon = [[1.0, 2.0, 4.0, 2.0, 4.0, 6.0]]
    found = read(
        tmp_path,
        content(
            box(bbox=(1.5, 2, 3, 4.25), segmentation=polygon, area=6, iscrowd=0, id=5),
            box(3, 90, (0, 0, 8, 8), segmentation=RUN_LENGTHS, iscrowd=1),
            box(category=90),
        ),
    )
    assert found.category_ids == (9, 90)
    assert found.names == ("boat", "toothbrush")
    assert [picture.name for picture in found.pictures] == ["a.jpg", "b/c.jpg"]
    assert found.sizes == [(20, 10), (8, 8)]
    np.testing.assert_array_equal(
        found.pictures[0].boxes, [[1.5, 2, 4.5, 6.25, 0, 0], [1, 2, 4, 6, 1, 0]]
    )
    np.testing.assert_array_equal(found.pictures[1].boxes, [[0, 0, 8, 8, 1, 1]])


def test_targets_are_in_pixels_of_the_square_and_padded(tmp_path):
    found = read(tmp_path, content(box(bbox=(5, 5, 10, 5)), box(bbox=(0, 0, 2, 1))))
    targets = found.targets(40)
    assert targets.shape == (2, 2, 6)
    np.testing.assert_allclose(targets[0], [[10, 20, 30, 40, 0, 0], [0, 0, 4, 4, 0, 0]])
    assert targets[1, :, 4].tolist() == [NO_BOX, NO_BOX]
    empty = read(tmp_path, content())
    assert empty.targets(40)[..., 4].tolist() == [[NO_BOX], [NO_BOX]]


def test_boxes_outside_of_the_picture_are_clipped_or_left_out_and_counted(tmp_path, caplog):
    boxes = [(-4, 2, 6, 4), (20, 0, 5, 5), (3, 3, 0, 4), (3, 3, 4, -1), (15, 5, 5.5, 5.5)]
    with caplog.at_level(logging.WARNING, "nasrun"):
        found = read(tmp_path, content(*(box(bbox=own) for own in boxes)))
    np.testing.assert_array_equal(
        found.pictures[0].boxes, [[0, 2, 2, 6, 0, 0], [15, 5, 20, 10, 0, 0]]
    )
    said = sorted(record.getMessage() for record in caplog.records)
    assert [words.partition(" boxes ")[0] for words in said] == ["1", "1", "2"]
    assert said[0].endswith("instances.json lie outside of their pictures and are left out")
    assert said[1].endswith("reach over the edge of their pictures and are clipped")
    assert said[2].endswith("have no width or no height and are left out")


def test_files_of_one_data_set_are_joined_and_others_refused(tmp_path):
    one = read(tmp_path, content(box()))
    assert len((one + one).pictures) == 4
    assert [picture.name for picture in one.some(np.array([1])).pictures] == ["b/c.jpg"]
    other = read(tmp_path, content(categories=[{"id": 9, "name": "boat"}]))
    with pytest.raises(DataError, match="other categories, such as 90"):
        one + other
    renamed = content(categories=[{"id": 9, "name": "ship"}, {"id": 90, "name": "toothbrush"}])
    with pytest.raises(DataError, match=r"such as (boat|ship)"):
        one + read(tmp_path, renamed)


WRONG = {
    "cut short": (json.dumps(content(box()))[:-20], "found no JSON"),
    "deep": ("[" * 200_000, "found no JSON"),
    "a list": ([], "found no list 'images'"),
    "no annotations": (content(annotations=None), "no list 'annotations'"),
    "no categories": (content(categories=[]), "an empty list 'categories'"),
    "a picture twice": (content(images=2 * content()["images"][:1]), "the id 7 twice among the im"),
    "a class twice": (content(categories=2 * [{"id": 1, "name": "a"}]), "id 1 twice among the cat"),
    "a text for a picture": (content(images=["a.jpg"]), "among the images 'a.jpg' with no mapping"),
    "no size": (content(images=[{"id": 7, "file_name": "a"}]), "with no 'width'"),
    "size 0": (
        content(images=[{"id": 7, "file_name": "a", "width": 0, "height": 3}]),
        "a size of 0x3 pixels",
    ),
    "an id that is a truth": (content(categories=[{"id": True, "name": "a"}]), "id 'True', which"),
    "a class without a name": (content(categories=[{"id": 1, "name": 2}]), "which is no text"),
    "a picture unheard of": (content(box(image=4)), "no entry for the image_id 4"),
    "a class unheard of": (content(box(category=1)), "no entry for the category_id 1"),
    "three numbers": (content(box(bbox=(1, 2, 3))), "a bbox other than"),
    "a text in a box": (content(box(bbox=(1, 2, 3, "4"))), "holds '4', which is no number"),
    "NaN in a box": (content(box(bbox=(1, 2, 3, float("nan")))), "holds 'nan'"),
    "a huge number": (content(box(bbox=(1, 2, 3, 10**400))), "among the annotations"),
    "half a crowd": (content(box(iscrowd=2)), "iscrowd '2'"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_instances_file_is_refused_in_one_sentence(wrong, tmp_path):
    whole, words = WRONG[wrong]
    with pytest.raises(DataError) as refusal:
        read(tmp_path, whole)
    sentence = str(refusal.value)
    assert words in sentence
    assert sentence.startswith(f"{tmp_path / 'instances.json'}: expected an instances file as COCO")
    assert "\n" not in sentence
    assert len(sentence) < 500
