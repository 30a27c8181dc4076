"""Labels made from pictures: right by hand, and nothing of the pictures' own."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from nasrun.errors import ConfigError
from nasrun.evaluators.training import Training
from nasrun.images import IGNORED, Images
from nasrun.nets.building import OfPieces
from nasrun.nets.pretext import Colours, Puzzle
from nasrun.spaces.nb201 import NB201
from nasrun.streams import Streams
from nasrun.tasks.colourisation import Colourisation, lab
from nasrun.tasks.jigsaw_puzzle import JigsawPuzzle
from nasrun.tasks.rotation import Rotation
from nasrun.tasks.synthetic_images import SyntheticImages

PRETEXTS = [Rotation(of="x"), JigsawPuzzle(of="x", share=1.0), Colourisation(of="x")]
IDS = ["rotation", "jigsaw_puzzle", "colourisation"]


def source():
    return SyntheticImages(
        "synthetic_images", 4, 8, "s-valid", "s", valid_images=12, train_images=40, test_images=8
    )


def made(pretext):
    return pretext.make(lambda name, settings: source())


def pictures(n=3, px=8, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (n, 3, px, px), np.uint8)
    return Images(pixels, np.zeros(n, np.int64))


@pytest.mark.parametrize("pretext", PRETEXTS, ids=IDS)
def test_the_labels_of_the_pictures_decide_nothing(pretext):
    images = pictures()
    other = replace(images, labels=np.array([7, 1, 3]))
    found, same = (pretext.relabelled(own, "search_train") for own in (images, other))
    np.testing.assert_array_equal(found.pixels, same.pixels)
    np.testing.assert_array_equal(found.labels, same.labels)


@pytest.mark.parametrize("pretext", PRETEXTS, ids=IDS)
def test_a_task_has_the_sizes_that_it_states(pretext):
    task = made(pretext)
    splits = task.load()
    sizes = (len(splits.search_train), len(splits.search_valid))
    assert sizes == (task.train_images, task.valid_images)
    assert splits.search_train.pixels.shape[1:] == (3, task.image_px, task.image_px)
    assert splits.search_train.labels.max() < task.classes
    assert task.name == f"{pretext.name}[synthetic_images]"


def test_quarter_turns_to_the_left():
    images = pictures(2)
    found = Rotation(of="x").relabelled(images, "search_train")
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    np.testing.assert_array_equal(found.pixels[:2], images.pixels)
    left = found.pixels[2]  # the last column becomes the first row
    np.testing.assert_array_equal(left[:, 0], images.pixels[0, :, :, -1])
    np.testing.assert_array_equal(found.pixels[4], images.pixels[0, :, ::-1, ::-1])
    np.testing.assert_array_equal(np.rot90(found.pixels[7], 1, (1, 2)), images.pixels[1])
    assert not made(Rotation(of="x")).load().flip  # a mirrored 90 degrees would be 270


def test_pieces_put_back_by_their_label_are_the_picture():
    puzzle, images = JigsawPuzzle(of="x", share=1.0, grey=0.0), pictures(20)
    found = puzzle.relabelled(images, "search_train")
    assert sorted(map(tuple, puzzle.permutations.tolist())) == sorted(
        itertools.permutations(range(4))
    )
    assert len(set(found.labels.tolist())) > 8
    for shuffled, label, whole in zip(found.pixels, found.labels, images.pixels, strict=True):
        restored = np.empty_like(whole)
        for place, piece in enumerate(puzzle.permutations[label]):
            (y, x), (to_y, to_x) = (divmod(int(at), 2) for at in (place, piece))
            cut = shuffled[:, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4]
            restored[:, 4 * to_y : 4 * to_y + 4, 4 * to_x : 4 * to_x + 4] = cut
        np.testing.assert_array_equal(restored, whole)


def test_some_training_pictures_are_grey_and_pieces_lie_inside_their_fields():
    puzzle = JigsawPuzzle(of="x")
    assert puzzle.side(32) == 24
    train = puzzle.relabelled(pictures(400), "search_train").pixels
    valid = puzzle.relabelled(pictures(400), "search_valid").pixels
    grey = [(own == own[:, :1]).all(axis=(1, 2, 3)).mean() for own in (train, valid)]
    assert 0.2 < grey[0] < 0.4
    assert grey[1] == 0.0
    # Where all pixels of a field have one value, so has the piece made of it.
    fields = np.repeat(np.repeat(np.arange(4).reshape(2, 2), 4, 0), 4, 1).astype(np.uint8)
    plain = Images(np.broadcast_to(fields, (5, 3, 8, 8)).copy(), np.zeros(5, np.int64))
    found = puzzle.relabelled(plain, "final_test")
    for shuffled, label in zip(found.pixels, found.labels, strict=True):
        values = [shuffled[0, 3 * y : 3 * y + 3, 3 * x : 3 * x + 3] for y in (0, 1) for x in (0, 1)]
        assert [own.min() for own in values] == [own.max() for own in values]
        assert [int(own[0, 0]) for own in values] == puzzle.permutations[label].tolist()


def test_the_network_of_pieces_sees_each_by_itself_standardised():
    seen = []

    class Eye(torch.nn.Module):
        def forward(self, x):
            seen.append(x)
            return x

    x = torch.rand(2, 3, 8, 8)
    OfPieces(Eye(), 2)(x)
    [cut] = seen
    assert cut.shape == (8, 3, 4, 4)
    piece = x[1, :, 4:, :4]  # the third of the second picture
    wanted = (piece - piece.mean((1, 2), keepdim=True)) / piece.std((1, 2), keepdim=True)
    torch.testing.assert_close(cut[6], wanted, rtol=1e-3, atol=1e-3)


def test_a_puzzles_head_reads_the_pieces_of_a_picture_side_by_side():
    head = Puzzle(24, 2).head(5)
    maps = torch.rand(12, 5, 3, 3)
    found = head(maps)
    flat = torch.cat([maps[at].mean((1, 2)) for at in range(4, 8)])
    wanted = head.classifier.weight @ flat + head.classifier.bias
    torch.testing.assert_close(found[1], wanted)


@pytest.mark.parametrize(
    ("rgb", "wanted"),  # by Lindbloom's calculator, D65
    [
        ((255, 255, 255), (100.0, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
    ],
)
def test_colours_in_cie_lab(rgb, wanted):
    np.testing.assert_allclose(lab(np.array(rgb)), wanted, atol=0.06)


def test_pixels_have_the_field_of_their_colour_and_lose_it():
    pretext, images = Colourisation(of="x"), pictures(2, 4)
    images.pixels[0, :, 0, 0] = (255, 0, 0)
    images.pixels[0, :, 1, 0] = 128
    found = pretext.relabelled(images, "search_train")
    assert pretext.fields[found.labels[0, 0, 0]].tolist() == [8, 7]
    assert pretext.fields[found.labels[0, 1, 0]].tolist() == [0, 0]
    assert (found.pixels == found.pixels[:, :1]).all()
    assert found.pixels[0, 0, 0, 0] == round(53.24 * 2.55)
    assert 240 < pretext.outputs < 280


def test_colours_are_judged_by_pixels_that_count():
    objective = Colours(3, 2)
    output = torch.zeros(2, 3, 2, 2)
    output[:, 1] = 1.0
    target = torch.tensor([[[1, 1], [2, IGNORED]], [[1, 0], [0, 0]]], dtype=torch.int16)
    sums = objective.sums(output, target)
    assert sums.tolist() == [3, 7]
    assert objective.score(sums, 2) == pytest.approx(300 / 7)
    hit, miss = (-np.log(np.exp(v) / (np.e + 2)) for v in (1.0, 0.0))
    wanted = (2 * hit + miss) / 3 + (hit + 3 * miss) / 4
    assert float(objective.loss(output, target)) == pytest.approx(wanted, rel=1e-5)


def test_a_head_for_colours_looks_at_single_places():
    head = Colours(3, 4).head(1)
    maps = torch.zeros(1, 1, 2, 2)
    maps[0, 0, 0, 0] = 1.0
    rest = (head(maps) - head(torch.zeros(1, 1, 2, 2)))[0]
    slope = head.classifier.weight[:, 0, 0, 0]
    # Bilinear: the second pixel is a quarter of the way to the next place.
    torch.testing.assert_close(rest[:, 0, 0], slope)
    torch.testing.assert_close(rest[:, 0, 1], 0.75 * slope)
    assert not rest[:, 3, 3].any()


@pytest.mark.parametrize("pretext", PRETEXTS, ids=IDS)
def test_networks_learn_it(pretext, tmp_path):
    space = NB201()
    session = Training(epochs=1, channels=2, cells=1, cache_dir=str(tmp_path)).opened(
        space, made(pretext)
    )
    arch = space.parse("|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|")
    found = session.evaluate(arch[None], epochs=np.array([1]), streams=Streams([0]))
    assert 0.0 <= found.score[0] <= 100.0
    assert session.metric.name.endswith("accuracy_pct")


@pytest.mark.parametrize(
    ("fields", "key"),
    [({"of": "jigsaw_puzzle"}, "of"), ({"orders": 25}, "orders"), ({"share": 0.0}, "share")],
)
def test_senseless_puzzles_are_refused(fields, key):
    with pytest.raises(ConfigError, match=rf"task\.{key}"):
        JigsawPuzzle(**fields)
