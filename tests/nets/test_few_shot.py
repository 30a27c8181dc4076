import numpy as np
import pytest
import torch

from nasrun.errors import DataError, UnsupportedError
from nasrun.images import Images
from nasrun.nets.few_shot import EpisodeMaker, FewShot, require_enough

CLASSES, EACH = 6, 7
KIND = FewShot(classes=4, shots=2, queries=3)
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(CLASSES), EACH))
# Each picture's pixels say which one it is, and so which class.
IMAGES = Images(np.arange(CLASSES * EACH, dtype=np.uint8)[:, None, None, None].repeat(3, 1), LABELS)


def episodes(count, seed=0, mean=0.0, std=1.0):
    maker = EpisodeMaker(IMAGES, KIND, (3 * (mean,), 3 * (std,)), torch.device("cpu"))
    return maker.draw(count, torch.Generator().manual_seed(seed))


def test_an_episode_has_different_classes_and_different_pictures():
    drawn = episodes(20)
    assert drawn.support.shape == (20, 4 * 2, 3, 1, 1)
    assert drawn.query.shape == (20, 4 * 3, 3, 1, 1)
    for support, labels, query, asked in zip(*drawn, strict=True):
        rows = np.concatenate([own[:, 0, 0, 0].numpy().astype(int) for own in (support, query)])
        said = torch.cat([labels, asked]).numpy()
        assert len(set(rows)) == len(rows)
        assert np.bincount(labels).tolist() == 4 * [2]
        assert np.bincount(asked).tolist() == 4 * [3]
        behind = {label: set(LABELS[rows[said == label]].tolist()) for label in range(4)}
        assert all(len(own) == 1 for own in behind.values())
        assert len(set.union(*behind.values())) == 4


def test_all_classes_and_pictures_have_their_turn():
    drawn = episodes(200)
    rows = drawn.query[:, :, 0].flatten().int().tolist()
    counts = np.bincount(rows, minlength=len(LABELS))
    assert counts.min() > 0.5 * counts.mean()
    first = LABELS[drawn.support[:, 0, 0, 0, 0].int()]
    assert set(first.tolist()) == set(range(CLASSES))  # a label is no class of its own


def test_pictures_are_normalised():
    plain, scaled = episodes(2), episodes(2, mean=10.0, std=4.0)
    torch.testing.assert_close(scaled.support, (plain.support - 10) / 4)


def test_a_seed_gives_the_same_episodes():
    assert all(torch.equal(*own) for own in zip(episodes(3), episodes(3), strict=True))
    assert not torch.equal(episodes(3).support, episodes(3, seed=1).support)


@pytest.mark.parametrize("kind", [FewShot(7, 1, 1), FewShot(2, 4, 4)])
def test_too_few_classes_or_pictures_are_refused(kind):
    with pytest.raises(DataError, match=r"has 6 classes, the smallest of 7 pictures: lower task"):
        require_enough(IMAGES, kind)


def test_as_many_classes_and_pictures_as_an_episode_takes_are_enough():
    require_enough(IMAGES, FewShot(6, 3, 4))


def test_there_is_no_head_for_ordinary_training():
    for head in (KIND.head, KIND.auxiliary_head):
        with pytest.raises(UnsupportedError, match="use evaluator=few_shot"):
            head(16)
