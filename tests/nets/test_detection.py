"""Detection's parts by hand, and average precision against the program that defines it."""

import contextlib
import io
import json
import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.images import NO_BOX
from nasrun.nets.average_precision import average_precisions
from nasrun.nets.boxes import generalised_iou, overlaps, suppressed
from nasrun.nets.detection import focal_loss
from nasrun.nets.fcos import FCOS, owners
from nasrun.nets.pyramid import Pyramid, groups_of
from nasrun.nets.retinanet import RetinaNet
from nasrun.nets.vision import load_torchvision

load_torchvision()
from torchvision.models.detection._utils import Matcher  # noqa: E402  (after the line above)


def detector(classes=2, finest=4, extra_levels=0, judged_by="map"):
    return FCOS(classes, 8, 1, finest, extra_levels, judged_by)


def boxes(*rows):
    return torch.tensor(rows, dtype=torch.float32)


def logit(p):
    return math.log(p / (1 - p))


# --- geometry


def test_overlaps_and_giou_by_hand():
    one, other = boxes([0, 0, 4, 2]), boxes([2, 0, 6, 2], [0, 0, 4, 2], [8, 4, 10, 6])
    torch.testing.assert_close(overlaps(one, other), torch.tensor([[4 / 12, 1.0, 0.0]]))
    # Hulls of 12, 8 and 60 around unions of 12, 8 and 12.
    expected = torch.tensor([4 / 12, 1.0, -48 / 60])
    torch.testing.assert_close(generalised_iou(one.expand(3, 4), other), expected)
    assert torch.isfinite(generalised_iou(boxes([1, 1, 1, 1]), boxes([1, 1, 1, 1]))).all()


def test_suppression_by_hand():
    rows = boxes([0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 5], [0, 4, 10, 10], [30, 0, 40, 9])
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.95])
    alike = torch.zeros(5, dtype=torch.int64)
    # The second has 0.9 in common with the first, the third exactly 0.5, the fourth 0.6.
    assert suppressed(rows, scores, alike, 0.5, 9).tolist() == [4, 0, 2]
    assert suppressed(rows, scores, torch.tensor([0, 1, 0, 0, 0]), 0.5, 9).tolist() == [4, 0, 1, 2]
    assert suppressed(rows, scores, alike, 0.5, 2).tolist() == [4, 0]
    assert suppressed(rows[:0], scores[:0], alike[:0], 0.5, 2).tolist() == []
    below = boxes([0, 0, 10, 10], [0, 4, 10, 14], [0, 2, 10, 12])  # 6 and 8 of 14 and 12 lines
    assert suppressed(below, torch.tensor([0.9, 0.8, 0.7]), alike[:3], 0.5, 9).tolist() == [0, 1]


# --- what places are taught


def places(*rows):
    return torch.tensor([rows], dtype=torch.float32)


def targets(*rows):
    return torch.tensor([[*rows]], dtype=torch.float32)


def test_a_place_belongs_to_the_smallest_box_near_whose_centre_it_is():
    own = places((20, 20, 4), (25, 20, 4), (26.2, 20, 4), (20, 29, 4), (60, 60, 4), (1, 1, 64))
    big, small = (10, 10, 30, 30, 0, 0), (18, 18, 22, 22, 1, 0)
    padding = (0, 0, 100, 100, NO_BOX, 0)
    owner, ignored = owners(own, targets(padding, big, small), 8.0)
    # Both; the big one's centre is 5, then 6.2 and 9 away, of which 6 are near.
    assert owner.tolist() == [[2, 1, -1, -1, -1, -1]]
    assert not ignored.any()


def test_a_level_is_for_boxes_of_its_size():
    """Farthest edges of 15, 40 and 100, for levels up to 32, from 32 to 64, and from 64 on."""
    own = places(*((100, 100, stride) for stride in (4, 8, 16)))
    for reach, level in ((15, 0), (40, 1), (100, 2)):
        box = (100 - reach, 98, 100 + reach, 102, 0, 0)
        owner, _ = owners(own, targets(box), 8.0)
        assert (owner[0] >= 0).tolist() == [at == level for at in range(3)]


def test_with_half_the_reach_levels_are_for_boxes_of_half_the_size():
    own = places(*((100, 100, stride) for stride in (4, 8, 16)))
    for reach, level in ((15, 0), (20, 1), (40, 2)):
        box = (100 - reach, 98, 100 + reach, 102, 0, 0)
        owner, _ = owners(own, targets(box), 4.0)
        assert (owner[0] >= 0).tolist() == [at == level for at in range(3)]


def test_places_in_a_crowd_are_passed_over_unless_a_box_has_them():
    own = places((20, 20, 4), (45, 45, 4), (90, 90, 4))
    owner, ignored = owners(own, targets((0, 0, 50, 50, 0, 1), (15, 15, 25, 25, 1, 0)), 8.0)
    assert owner.tolist() == [[1, -1, -1]]
    assert ignored.tolist() == [[False, True, False]]


def test_the_focal_loss_by_hand():
    logits = torch.tensor([logit(0.9), logit(0.9), logit(0.2)])
    expected = [
        0.25 * 0.1**2 * -math.log(0.9),
        0.75 * 0.9**2 * -math.log(0.1),
        0.25 * 0.8**2 * -math.log(0.2),
    ]
    found = focal_loss(logits, torch.tensor([1.0, 0.0, 1.0]))
    torch.testing.assert_close(found, torch.tensor(expected))


def test_the_loss_of_fcos_by_hand():
    """Two pictures: one with a box that two places of three have, one with no box."""
    rows = [
        # logits of two classes, corners, place
        (logit(0.9), logit(0.5), 16, 16, 24, 24, 20, 20, 4),
        (logit(0.5), logit(0.5), 16, 16, 24, 20, 22, 20, 4),
        (logit(0.1), logit(0.2), 0, 0, 9, 9, 60, 60, 4),
    ]
    output = torch.tensor([rows, rows], dtype=torch.float32, requires_grad=True)
    target = torch.zeros(2, 2, 6)
    target[..., 4] = NO_BOX
    target[0, 1] = torch.tensor([16, 16, 24, 24, 0, 0])

    def right(p):
        return 0.25 * (1 - p) ** 2 * -math.log(p)

    def wrong(p):
        return 0.75 * p**2 * -math.log(1 - p)

    far = wrong(0.1) + wrong(0.2)
    focal = right(0.9) + right(0.5) + 2 * wrong(0.5) + far
    first = (focal + (1 - 1) + (1 - 0.5)) / 2
    second = wrong(0.9) + 3 * wrong(0.5) + far
    loss = detector().loss(output, target)
    assert float(loss.detach()) == pytest.approx(first + second, rel=1e-5)
    each = [detector().loss(output[own : own + 1], target[own : own + 1]) for own in range(2)]
    assert [float(own.detach()) for own in each] == pytest.approx([first, second], rel=1e-5)
    loss.backward()
    assert output.grad is not None
    assert output.grad[0, 1, 2:6].any()
    assert not output.grad[1, :, 2:6].any()
    with pytest.raises(ConfigError, match="label_smoothing must be 0"):
        detector().loss(output, target, 0.1)


# --- the network


def test_places_of_the_pyramid_are_centres_of_its_cells():
    head = detector().dense_head((4, 6, 8), (4, 8, 16))
    maps = [torch.randn(2, c, 32 // s, 48 // s) for c, s in zip((4, 6, 8), (4, 8, 16), strict=True)]
    output = head(maps, torch.zeros(2, 3, 32, 48))
    assert output.shape == (2, 8 * 12 + 4 * 6 + 2 * 3, 2 + 4 + 3)
    place = output[1, :, -3:]
    assert place[0].tolist() == [2, 2, 4]
    assert place[13].tolist() == [6, 6, 4]
    assert place[96 + 1].tolist() == [12, 4, 8]
    assert place[-1].tolist() == [40, 24, 16]
    # Distances of about one stride at first, and hardly anything is thought to be there.
    half = (output[..., 4:6] - output[..., 2:4]) / 2 / output[..., -1:]
    assert half.min() > 0.8
    assert half.max() < 1.25
    assert output[..., :2].sigmoid().max() < 0.03
    # Levels share the branches, so that normalisation may keep no statistics.
    assert not any(isinstance(part, nn.BatchNorm2d) for part in head.modules())


def test_the_pyramid_stands_on_maps_that_are_coarse_enough():
    pyramid = Pyramid((4, 6, 8), (4, 8, 16), 8, 5, 2)
    assert pyramid.strides == (8, 16, 32, 64)
    maps = [torch.randn(1, c, 50 // s, 70 // s) for c, s in zip((4, 6, 8), (4, 8, 16), strict=True)]
    shapes = [tuple(level.shape[1:]) for level in pyramid(maps)]
    assert shapes == [(5, 6, 8), (5, 3, 4), (5, 2, 2), (5, 1, 1)]
    with pytest.raises(ConfigError, match=r"task\.finest=32 .* strides are \[4, 8, 16\]"):
        Pyramid((4, 6, 8), (4, 8, 16), 32, 5, 0)


def test_the_pyramid_adds_coarse_maps_to_fine_ones():
    pyramid = Pyramid((1, 1), (4, 8), 4, 1, 0)
    for conv in (*pyramid.lateral, *pyramid.smooth):
        nn.init.dirac_(conv.weight)
        nn.init.zeros_(conv.bias)
    fine, coarse = torch.arange(16.0).reshape(1, 1, 4, 4), torch.tensor([[[[1.0, 2], [3, 4]]]])
    found = pyramid([fine, coarse])
    torch.testing.assert_close(
        found[0] - fine, coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    )
    torch.testing.assert_close(found[1], coarse)


def test_groups_have_eight_channels_or_come_out_even():
    assert [groups_of(channels) for channels in (256, 24, 20, 12, 5)] == [32, 3, 2, 1, 1]


def test_a_space_with_one_map_is_refused():
    with pytest.raises(UnsupportedError, match="use space=residual"):
        detector().head(8)


def test_without_pycocotools_there_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    monkeypatch.setitem(sys.modules, "pycocotools.cocoeval", None)
    with pytest.raises(ConfigError, match=r'pip install "nasrun\[detection\]"'):
        detector().dense_head((4,), (4,))


# --- average precision


def test_average_precision_by_hand():
    """Of a class, two boxes; found: one rightly, one nowhere, the other one, by falling score.

    Precision is 1 up to a recall of a half, that is for 51 of the 101 thresholds, and 2/3 for the
    other 50. The second class has a box that is found with an overlap of 0.8, which counts for 7 of
    the 10 overlaps.
    """
    truth = np.array([[0, 0, 10, 10, 0, 0], [20, 20, 30, 30, 0, 0], [50, 50, 60, 60, 3, 0]])
    found = np.array(
        [
            [0, 0, 10, 10, 0.9, 0], [70, 70, 80, 80, 0.8, 0], [20, 20, 30, 30, 0.7, 0],
            [50, 50, 60, 58, 0.6, 3],
        ]
    )  # fmt: skip
    first = (51 + 50 * 2 / 3) / 101
    figures = average_precisions([truth.astype(float)], [found])
    assert figures["ap50"] == pytest.approx(100 * (first + 1) / 2)
    assert figures["map"] == pytest.approx(100 * (first + 0.7) / 2)


def test_a_crowd_takes_any_number_of_detections_and_counts_for_nothing():
    crowd = np.array([[0, 0, 40, 40, 0, 1], [60, 60, 70, 70, 0, 0]], float)
    found = [[x, 0, x + 9, 9, 0.9, 0] for x in (0, 10, 20, 30)] + [[60, 60, 70, 70, 0.5, 0]]
    assert average_precisions([crowd], [np.array(found)])["map"] == pytest.approx(100.0)
    crowd[0, 5] = 0
    assert average_precisions([crowd], [np.array(found)])["map"] < 20.0


def test_without_boxes_there_is_no_figure_and_without_detections_zero():
    nothing = np.zeros((0, 6))
    truth = np.array([[0, 0, 10, 10, 0, 0]], float)
    assert math.isnan(average_precisions([nothing], [nothing])["map"])
    assert math.isnan(average_precisions([truth + np.eye(6)[5]], [nothing])["map"])
    assert average_precisions([truth, nothing], [nothing, nothing])["map"] == 0.0


corner = st.integers(0, 30)
box = st.tuples(corner, corner, st.integers(1, 30), st.integers(1, 30))
truth = st.tuples(box, st.integers(0, 2), st.booleans())
detection = st.tuples(box, st.integers(0, 2), st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]))
pictures = st.lists(
    st.tuples(st.lists(truth, max_size=4), st.lists(detection, max_size=6)), min_size=1, max_size=4
)


def as_published(content, folder):
    """What the program says of an annotation file and a list of results, as its users call it."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations, results = [], []
    for image, (truths, found) in enumerate(content):
        for rectangle, kind, crowd in truths:
            own = {"id": len(annotations) + 1, "area": rectangle[2] * rectangle[3]}
            own |= {"image_id": image, "category_id": kind, "bbox": list(rectangle)}
            annotations.append(own | {"iscrowd": int(crowd)})
        for rectangle, kind, score in found:
            own = {"image_id": image, "category_id": kind, "bbox": list(rectangle)}
            results.append(own | {"score": score})
    whole = {
        "images": [{"id": image} for image in range(len(content))],
        "annotations": annotations,
        "categories": [{"id": kind} for kind in range(3)],
    }
    path = folder / "instances.json"
    path.write_text(json.dumps(whole))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:2]


@settings(max_examples=60, deadline=None)
@given(content=pictures)
def test_average_precision_is_that_of_a_published_file(content, tmp_path_factory):
    def rows(x, y, w, h):
        return (x, y, x + w, y + h)

    truths = [
        np.array([(*rows(*own), kind, crowd) for own, kind, crowd in each], float).reshape(-1, 6)
        for each, _ in content
    ]
    found = [
        np.array([(*rows(*own), score, kind) for own, kind, score in each], float).reshape(-1, 6)
        for _, each in content
    ]
    figures = average_precisions(truths, found)
    real = any(not crowd for each, _ in content for *_, crowd in each)
    if not real or not any(each for _, each in content):
        assert math.isnan(figures["map"]) or figures["map"] == 0.0
        return
    expected = as_published(content, tmp_path_factory.mktemp("published"))
    assert [figures["map"], figures["ap50"]] == pytest.approx(100 * expected, abs=1e-9)


def test_what_a_head_puts_out_is_tallied_by_picture():
    """Two batches; a detection is judged by the boxes of its own picture, padding left out."""
    objective = detector(judged_by="ap50")
    seen = [
        (logit(0.9), logit(0.01), 0, 0, 10, 10, 5, 5, 4),
        (logit(0.8), logit(0.01), 0, 0, 10, 9, 5, 5, 4),  # suppressed
        (logit(0.01), logit(0.7), 20, 20, 30, 30, 25, 25, 4),
        (logit(0.04), logit(0.04), 40, 40, 50, 50, 45, 45, 4),  # below the least score
    ]
    output = torch.tensor([seen, seen], dtype=torch.float32)
    target = torch.zeros(2, 3, 6)
    target[..., 4] = NO_BOX
    target[0, 0] = torch.tensor([0, 0, 10, 10, 0, 0])
    target[0, 1] = torch.tensor([20, 20, 30, 30, 1, 0])
    target[1, 2] = torch.tensor([20, 20, 30, 30, 1, 0])
    found = objective.detections(output)
    assert [own.shape for own in found] == [(2, 6), (2, 6)]
    torch.testing.assert_close(found[0][0, 4:], torch.tensor([0.9, 0.0]))
    whole = objective.tally()
    whole.add(output, target)
    assert whole.images == 2
    # Class 0: one right before or beside one wrong of the same score; class 1: two of two.
    assert whole.value == pytest.approx(100.0)
    parts = objective.tally()
    for row in (1, 0):
        parts.add(output[row : row + 1], target[row : row + 1])
    # Of equal scores the first picture's comes first, which now is the wrong one: precision 1/2.
    assert parts.value == pytest.approx(75.0)
    training = objective.tally(training=True)
    training.add(output, target)
    assert training.images == 2
    assert math.isnan(training.value)


# --- torchvision's RetinaNet


def retinanet(**changes):
    return RetinaNet(**{"classes": 2, "channels": 8, "layers": 4, "finest": 4, "extra_levels": 0,
                        "judged_by": "map", **changes})  # fmt: skip


def test_retinanet_is_that_of_torchvision():
    """Its own loss, of the same anchors, logits and offsets; and its own way back to boxes."""
    torch.manual_seed(0)
    head = retinanet().dense_head((4, 6), (4, 8))
    maps = [torch.randn(2, c, 32 // s, 48 // s) for c, s in zip((4, 6), (4, 8), strict=True)]
    output = head(maps, torch.zeros(2, 3, 32, 48)).detach()
    assert output.shape == (2, 9 * (8 * 12 + 4 * 6), 2 + 4 + 4)
    logits, offsets, anchors = output.split([2, 4, 4], dim=2)
    sizes = anchors[0, :, 2:] - anchors[0, :, :2]
    assert sizes[:9].prod(dim=1).sqrt().mean() == pytest.approx(4 * 4 * 1.282, rel=0.05)
    assert (anchors[0, :9, :2] + anchors[0, :9, 2:]).abs().max() == 0.0  # around the first corner
    target = torch.zeros(2, 3, 6)
    target[..., 4] = NO_BOX
    target[0, 0] = torch.tensor([4, 4, 24, 20, 1, 0])
    target[0, 2] = torch.tensor([20, 8, 44, 30, 0, 0])
    truths = [
        {"boxes": target[0, [0, 2], :4], "labels": torch.tensor([1, 0])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
    ]
    parts = {"cls_logits": logits, "bbox_regression": offsets}
    matcher = Matcher(0.5, 0.4, allow_low_quality_matches=True)
    matched = [matcher(overlaps(truths[0]["boxes"], anchors[0])), torch.full((len(sizes),), -1)]
    own = head.head.compute_loss(truths, parts, list(anchors), matched)
    expected = 2 * (own["classification"] + own["bbox_regression"])
    torch.testing.assert_close(retinanet().loss(output, target), expected)
    scores, found = retinanet().found(output)
    coded = head.head.regression_head.box_coder.decode_single(offsets[1], anchors[1])
    torch.testing.assert_close(found[1, :, 0], coded)
    torch.testing.assert_close(scores, logits.sigmoid())


def test_anchors_in_a_crowd_teach_nothing():
    anchor = (0, 0, 10, 10)
    output = torch.tensor([[(0.3, -0.2, 0, 0, 0, 0, *anchor)]], dtype=torch.float32)
    target = torch.zeros(1, 1, 6)
    target[0, 0] = torch.tensor([0, 0, 40, 6, 0, 1])
    assert float(retinanet().loss(output, target)) == 0.0
    target[0, 0, 3] = 4
    assert float(retinanet().loss(output, target)) > 0.0


def test_retinanet_has_the_layers_that_torchvision_gives_it():
    with pytest.raises(ConfigError, match=r"task\.layers must be 4 for task\.detector=retinanet"):
        retinanet(layers=2).dense_head((4,), (4,))
