"""Pictures whose pixels say what their masks and boxes must say after every move."""

import colorsys

import numpy as np
import pytest
import torch

from nasrun.errors import ConfigError
from nasrun.images import IGNORED, NO_BOX, Images
from nasrun.nets.dense_loader import DenseLoader
from nasrun.nets.loader import Augmentation, load_batches

STILL = (0.0,) * 4  # colours as they are
BLACK = (0.0,) * 3


def loader(images, *args, batch=4, std=(50.0,) * 3, **more):
    augmentation = Augmentation(*args, **{"jitter": STILL, **more}) if args or more else None
    own = load_batches(images, BLACK, std, batch, augmentation=augmentation)
    assert isinstance(own, DenseLoader)
    return own


def joined(batches):
    x, y = zip(*batches, strict=True)
    return torch.cat(x), torch.cat(y)


def masked(n=40, size=(8, 8), seed=3, kind=np.int64):
    """Pictures whose every pixel says of which class it is, and the masks that say the same."""
    masks = np.random.default_rng(seed).integers(1, 5, (n, *size)).astype(kind)
    return Images((50 * masks[:, None]).repeat(3, axis=1).astype(np.uint8), masks)


def boxed(n=30, size=(24, 32), seed=5, columns=5):
    """Black pictures with one bright rectangle each, its box, and a row of padding."""
    generator = np.random.default_rng(seed)
    pixels = np.zeros((n, 3, *size), np.uint8)
    boxes = np.zeros((n, 2, columns), np.float32)
    boxes[:, 1, 4] = NO_BOX
    for at in range(n):
        y, x = (np.sort(generator.choice(side, 2, replace=False)) for side in size)
        pixels[at, :, y[0] : y[1], x[0] : x[1]] = 50
        boxes[at, 0, :5] = [x[0], y[0], x[1], y[1], at]
    return Images(pixels, boxes)


def assert_bright(x, target, tolerance):
    """The bright part of each picture is in its box, or there is neither."""
    for image, (box, padding) in zip(x[:, 0], target, strict=True):
        assert padding[4] == NO_BOX
        rows, columns = torch.nonzero(image > 0.5, as_tuple=True)
        if box[4] == NO_BOX:
            continue
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(np.array(found) - box[:4].numpy()).max() <= tolerance


@pytest.mark.parametrize("kind", [np.int64, np.int8])
@pytest.mark.parametrize("px", [8, 72])
def test_masks_are_cropped_and_mirrored_with_their_pictures(kind, px):
    images = masked(12, (px, px), kind=kind)
    own = loader(images, True, 2)
    x, y = joined(own.epoch(0, 0))
    border = y == IGNORED
    assert y.dtype == torch.int64
    assert border.any()
    assert not border.flatten(1).all(dim=1).any()
    torch.testing.assert_close(x[:, 0], torch.where(border, 0, y).float(), atol=2e-3, rtol=0)
    plain_x, plain = joined(own)
    assert torch.equal(plain, torch.from_numpy(images.labels).long())
    torch.testing.assert_close(plain_x[:, 0], plain.float())


def test_every_place_and_both_sides_are_drawn():
    images = Images(
        np.zeros((3000, 3, 4, 4), np.uint8), np.tile(np.arange(16).reshape(4, 4), (3000, 1, 1))
    )
    _, y = joined(loader(images, True, 1).epoch(0, 0))
    _, counts = np.unique(y.flatten(1).numpy(), axis=0, return_counts=True)
    assert len(counts) == 2 * 3 * 3
    assert ((counts - 3000 / 18) ** 2 / (3000 / 18)).sum() < 47  # chi-square, 99.99 %


def test_a_square_that_is_cut_out_of_a_picture_leaves_its_mask_as_it_is():
    x, y = joined(loader(masked(), True, 2).epoch(0, 0))
    holes, same = joined(loader(masked(), True, 2, 4).epoch(0, 0))
    assert torch.equal(same, y)
    assert not torch.equal(holes, x)


def test_scaled_pictures_keep_to_their_masks():
    masks = np.zeros((30, 48, 64), np.int64)
    masks[:, 12:36, 16:32] = 1  # neither its own mirror image nor in the middle
    images = Images((250 * masks[:, None]).repeat(3, axis=1).astype(np.uint8), masks)
    x, y = joined(loader(images, True, std=(250.0,) * 3, scale=(0.5, 2.0), crop=40).epoch(0, 0))
    assert x.shape == (30, 3, 40, 40)
    seen = y != IGNORED
    assert not seen.all()
    assert ((x[:, 0] > 0.5) == (y == 1))[seen].float().mean() > 0.99
    assert (x[:, 0][~seen] <= 0.5).all()
    area = (y == 1).sum(dim=(1, 2))
    assert area.max() > 2 * 24 * 16  # some are larger, some smaller
    assert 0 < area[area > 0].min() < 0.6 * 24 * 16


@pytest.mark.parametrize("columns", [5, 7])
def test_boxes_are_cropped_and_mirrored_with_their_pictures(columns):
    x, y = joined(loader(boxed(columns=columns), True, 3).epoch(0, 0))
    assert y.shape == (30, 2, columns)
    assert y.dtype == torch.float32
    assert_bright(x, y, 0.01)
    labels = y[:, 0, 4]
    assert set(labels[labels != NO_BOX].tolist()) <= set(range(30))
    assert (labels != NO_BOX).sum() >= 25


def test_scaled_boxes_keep_to_their_pictures():
    x, y = joined(loader(boxed(60, (48, 64)), True, scale=(0.5, 2.0), crop=40).epoch(0, 0))
    here = y[:, 0, 4] != NO_BOX
    assert_bright(x, y, 1.01)
    assert 10 < here.sum() < 60  # some have left the crop
    assert (y[:, 0, :4] >= 0).all()
    assert (y[:, 0, :4] <= 40).all()


def test_a_box_of_which_little_is_left_is_no_longer_there():
    pixels = np.zeros((400, 3, 16, 16), np.uint8)
    boxes = np.tile(np.array([[0, 0, 8, 8, 3]], np.float32), (400, 1, 1))
    _, y = joined(loader(Images(pixels, boxes), False, crop=8).epoch(0, 0))
    left = (y[:, 0, 2] - y[:, 0, 0]) * (y[:, 0, 3] - y[:, 0, 1])
    assert ((left >= 0.25 * 64) == (y[:, 0, 4] == 3)).all()
    assert 0 < (y[:, 0, 4] == NO_BOX).sum() < 400


def test_colours_are_altered_as_their_definitions_say():
    own = loader(masked(1), jitter=(0.4, 0.5, 0.5, 0.5))
    pixels = torch.tensor([[[[60, 90, 140], [70, 90, 110]]]], dtype=torch.uint8)

    def altered(**up):
        names = ("brightness", "contrast", "saturation", "hue")
        drawn = torch.tensor([[0.5 + 0.5 * up.get(name, 0.0) for name in names]])
        return own._jittered(pixels, drawn)[0, 0]

    plain = pixels[0, 0].float()
    luma = plain @ torch.tensor([0.299, 0.587, 0.114])
    close = {"atol": 0.3, "rtol": 0}  # YIQ's published matrices have four digits
    torch.testing.assert_close(altered(), plain, **close)
    torch.testing.assert_close(altered(brightness=1.0), 1.4 * plain, **close)
    torch.testing.assert_close(altered(contrast=-1.0), 0.5 * plain + 0.5 * luma.mean(), **close)
    grey = 0.5 * plain + 0.5 * luma[:, None]
    torch.testing.assert_close(altered(saturation=-1.0), grey, **close)
    turned = altered(hue=1.0)  # by half a circle
    torch.testing.assert_close(turned + plain, 2 * luma[:, None].expand(-1, 3), **close)
    hues = [colorsys.rgb_to_hsv(*row)[0] for row in (plain[0] / 255, turned[0] / 255)]
    assert abs(hues[1] - hues[0]) == pytest.approx(0.5, abs=0.05)


def test_one_kind_of_jitter_is_there_without_the_others():
    pixels, drawn = torch.full((1, 1, 1, 3), 100, dtype=torch.uint8), torch.ones(1, 4)
    found = loader(masked(1), jitter=(0.4, 0.0, 0.0, 0.0))._jittered(pixels, drawn)
    torch.testing.assert_close(found.flatten(), torch.full((3,), 140.0), atol=0.3, rtol=0)
    assert loader(masked(1), True)._jittered(pixels, drawn) is pixels


def test_jittered_colours_leave_masks_and_what_is_outside_alone():
    images = masked(8, (16, 16))
    _, still = joined(loader(images, True, 2).epoch(0, 0))
    x, y = joined(loader(images, True, 2, jitter=(0.4, 0.4, 0.4, 0.2)).epoch(0, 0))
    assert torch.equal(y, still)
    assert (x[:, 0][y == IGNORED] == 0).all()
    assert len({round(float(v), 3) for v in x[:, 0][y == 2]}) > 4


def test_an_epoch_depends_on_seed_and_number_alone():
    images = masked(9, (12, 12))
    how = {"scale": (0.5, 2.0), "jitter": (0.4, 0.4, 0.4, 0.2)}
    used = loader(images, True, **how)
    list(used.epoch(5, 0))
    before = torch.random.get_rng_state()
    for one, other in zip(used.epoch(5, 7), loader(images, True, **how).epoch(5, 7), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.equal(joined(used.epoch(5, 8))[0], joined(used.epoch(5, 7))[0])


def test_masks_of_another_size_are_refused():
    images = Images(masked(4, (8, 8)).pixels, masked(4, (4, 4)).labels)
    with pytest.raises(ConfigError, match="cannot move along"):
        loader(images, True)


@pytest.mark.parametrize(
    ("pictures", "batch", "sizes"),
    [(9, 4, [4, 5]), (10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 1, [1, 1, 1]), (1, 4, [1])],
)
def test_no_picture_is_left_over_alone(pictures, batch, sizes):
    own = loader(masked(pictures), False, 0, batch=batch)
    batches = list(own.epoch(0, 0))
    assert [len(x) for x, _ in batches] == sizes
    assert len(own) == len(sizes)  # by which planned steps are counted
    assert len({tuple(y.flatten().tolist()) for _, own in batches for y in own}) == pictures
