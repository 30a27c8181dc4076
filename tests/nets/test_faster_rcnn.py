"""Faster R-CNN's parts by hand and against torchvision's, of which no compiled operator is used."""

import math

import pytest
import torch

from nasrun.errors import ConfigError
from nasrun.images import NO_BOX
from nasrun.nets.faster_rcnn import PROPOSALS, FasterRCNN, proposed
from nasrun.nets.footprint import footprint
from nasrun.nets.regions import levels_of, pooled
from nasrun.nets.residual import ResidualNetwork
from nasrun.nets.vision import load_torchvision

load_torchvision()
from torchvision.models.detection._utils import BoxCoder, Matcher  # noqa: E402  (after the above)
from torchvision.models.detection.anchor_utils import AnchorGenerator  # noqa: E402
from torchvision.models.detection.roi_heads import fastrcnn_loss  # noqa: E402
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead  # noqa: E402
from torchvision.ops.boxes import box_iou  # noqa: E402
from torchvision.ops.roi_align import _roi_align  # noqa: E402

STRIDES = (4, 8)


def detector(**changes):
    return FasterRCNN(**{"classes": 2, "channels": 8, "layers": 1, "finest": 4, "extra_levels": 0,
                         "judged_by": "map", **changes})  # fmt: skip


def random_boxes(count, px, seed=0):
    generator = torch.Generator().manual_seed(seed)
    corners = px * torch.rand((count, 2, 2), generator=generator)
    return torch.cat([corners.amin(dim=1), corners.amax(dim=1) + 0.5], dim=1).clamp(max=px)


# --- regions


def test_a_box_is_read_from_the_level_of_its_size():
    sides = torch.tensor([0.0, 50, 111, 112, 223, 224, 500])
    boxes = torch.stack([0 * sides, 0 * sides, sides, sides], dim=1)
    assert levels_of(boxes, (4, 8, 16)).tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert levels_of(boxes, (4,)).tolist() == [0] * 7


def test_regions_are_pooled_as_torchvision_does_it():
    torch.manual_seed(0)
    levels = [torch.randn(2, 3, 200 // stride, 240 // stride) for stride in STRIDES]
    boxes = torch.stack([random_boxes(12, 200, seed) for seed in (1, 2)])
    found, own = pooled(levels, boxes, STRIDES), levels_of(boxes, STRIDES)
    assert found.shape == (2, 12, 3, 7, 7)
    assert 0 < int(own.sum()) < own.numel()
    plain = _roi_align.__wrapped__
    for picture in range(2):
        for row in range(12):
            stride, level = STRIDES[own[picture, row]], levels[own[picture, row]]
            roi = torch.tensor([[picture, *boxes[picture, row].tolist()]])
            expected = plain(level, roi, 1 / stride, 7, 7, 2, True)[0]
            torch.testing.assert_close(found[picture, row], expected, rtol=1e-4, atol=1e-4)


# --- proposals


def test_proposals_are_the_best_boxes_and_lie_within_the_picture():
    """Two of one level overlap by more than .7; the same place on another level is no rival."""
    anchors = torch.tensor([[0, 0, 20, 20], [0, 0, 20, 19], [50, 50, 90, 90], [0, 0, 20, 20.0]])
    logits = torch.tensor([[1.0], [2.0], [0.5], [0.0]])
    anchored = torch.cat([logits, torch.zeros(4, 4), anchors], dim=1)[None]
    found = proposed(anchored, [3, 1], torch.zeros(1, 3, 64, 64))
    assert found.shape == (1, PROPOSALS, 4)
    expected = [[0, 0, 20, 19], [50, 50, 64, 64], [0, 0, 20, 20]]
    assert found[0, :3].tolist() == expected
    assert not found[0, 3:].any()
    anchored[0, 3, 5:] = torch.tensor([70, 0, 80, 20])  # beside the picture
    assert proposed(anchored, [3, 1], torch.zeros(1, 3, 64, 64))[0, 2:].any() == 0


# --- what is learnt


def targets(*rows):
    target = torch.zeros(1, len(rows) + 1, 6)
    target[..., 4] = NO_BOX
    for at, row in enumerate(rows, 1):
        target[0, at] = torch.tensor(row)
    return target


TRUTH = ((4, 4, 24, 20, 1, 0), (20, 8, 44, 30, 0, 0))


def test_the_loss_of_anchors_is_torchvisions():
    """Of so few anchors all are learnt from, so that nothing is drawn."""
    anchors = torch.cat([random_boxes(80, 48), torch.tensor([[5, 4, 24, 20.0]])])
    torch.manual_seed(0)
    said = torch.randn(81, 5)
    generator, head = AnchorGenerator(((8,),), ((1.0,),)), RPNHead(8, 1)
    peer = RegionProposalNetwork(generator, head, 0.7, 0.3, 256, 0.5, {}, {}, 0.7)
    truth = [{"boxes": torch.tensor(TRUTH)[:, :4].float()}]
    labels, matched = peer.assign_targets_to_anchors([anchors], truth)
    wanted = peer.box_coder.encode(matched, [anchors])
    expected = sum(peer.compute_loss(said[:, :1], said[:, 1:], labels, list(wanted)))
    output = torch.cat([said, anchors], dim=1)[None]
    torch.testing.assert_close(detector().loss(output, targets(*TRUTH)), expected)
    nothing = detector().loss(output, targets())
    zero = torch.nn.functional.binary_cross_entropy_with_logits(said[:, 0], torch.zeros(81))
    torch.testing.assert_close(nothing, zero)


def proposals_said():
    proposals = random_boxes(60, 48, 3)
    near = [[5, 4, 24, 21], [20, 9, 44, 30], [4, 4, 23, 20.0]]
    proposals = torch.cat([proposals, torch.tensor(near), torch.zeros(5, 4)])
    torch.manual_seed(1)
    return torch.cat([proposals, torch.randn(68, 3), 0.1 * torch.randn(68, 12)], dim=1)


def test_the_loss_of_proposals_is_torchvisions():
    """Those without a surface, which only fill up, are not learnt from."""
    said = proposals_said()
    real = said[:63]
    boxes = torch.tensor(TRUTH)[:, :4].float()
    owner = Matcher(0.5, 0.5)(box_iou(boxes, real[:, :4]))
    labels = torch.where(owner < 0, 0, 1 + torch.tensor([1, 0])[owner.clamp(min=0)])
    assert labels[60:].tolist() == [2, 1, 2]
    wanted = BoxCoder((10.0, 10.0, 5.0, 5.0)).encode_single(boxes[owner.clamp(min=0)], real[:, :4])
    expected = sum(fastrcnn_loss(real[:, 4:7], real[:, 7:], [labels], [wanted]))
    torch.testing.assert_close(detector().loss(said[None], targets(*TRUTH)), expected)
    pair = detector().loss(torch.stack([said, said]), targets(*TRUTH).expand(2, -1, -1))
    torch.testing.assert_close(pair, 2 * expected)
    empty = torch.zeros(1, 4, 19, requires_grad=True)
    detector().loss(empty, targets(*TRUTH)).backward()
    assert empty.grad is not None
    assert not empty.grad.any()


def test_what_lies_in_a_crowd_teaches_nothing():
    anchor = torch.tensor([[[0.3, 0, 0, 0, 0, 0, 0, 10, 10.0]]])
    for height, learns in ((6, False), (4, True)):
        loss = float(detector().loss(anchor, targets((0, 0, 40, height, 0, 1))))
        assert (loss > 0) == learns
        assert math.isfinite(loss)


# --- what is found


def test_every_class_has_its_box_of_a_proposal():
    output = torch.zeros(1, 2, 19)
    output[0, 0, :4] = torch.tensor([10, 10, 30, 20.0])
    output[0, 0, 6] = 3.0  # logit of the second class
    output[0, 0, 11:13] = torch.tensor([1.0, -1.0])  # a tenth of a side along x, and along y back
    scores, boxes = detector().found(output)
    share = 1 / (2 + math.exp(3))
    torch.testing.assert_close(scores[0, 0], torch.tensor([share, math.exp(3) * share]))
    torch.testing.assert_close(boxes[0, 0], torch.tensor([[12.0, 9, 32, 19], [10.0, 10, 30, 20]]))
    assert not scores[0, 1].any()  # there is no second proposal


def network():
    torch.manual_seed(0)
    stages = [[(8, 8, 1)], [(8, 16, 2)]]
    return ResidualNetwork("basic", "convs", 4, stages, detector())


def test_the_network_learns_with_its_anchors_as_a_further_output():
    net, images = network(), torch.randn(2, 3, 64, 48)
    found, anchored = net(images)
    assert found.shape == (2, PROPOSALS, 4 + 3 + 12)
    assert anchored.shape == (2, 3 * (16 * 12 + 8 * 6), 9)
    target = targets(*TRUTH).expand(2, -1, -1)
    (detector().loss(found, target) + detector().loss(anchored, target)).backward()
    assert all(own.grad is not None and own.grad.isfinite().all() for own in net.parameters())
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        output = net.eval()(images)
    assert (output.shape, output.dtype) == (found.shape, torch.float32)
    assert [own.shape[1] for own in detector().detections(output)] == [6, 6]


def test_its_size_is_told_without_weights():
    with torch.device("meta"):
        own = network()
    params_m, flops_m = footprint(own, 48)
    assert params_m == pytest.approx(sum(p.numel() for p in network().parameters()) / 1e6)
    assert flops_m == pytest.approx(footprint(network(), 48)[1])


def test_it_has_the_layers_that_torchvision_gives_it():
    with pytest.raises(ConfigError, match=r"task\.layers must be 1 for task\.detector=faster_rcnn"):
        detector(layers=2).dense_head((4,), (4,))
