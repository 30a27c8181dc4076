import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrun.errors import ConfigError
from nasrun.images import Images
from nasrun.nets.large_loader import LargeLoader
from nasrun.nets.loader import Augmentation, Loader, SmallLoader, load_batches

MEAN, STD = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)
ALL = Augmentation(flip=True, pad=2, cutout=4)


def pictures(n=23, px=8, seed=0):
    generator = np.random.default_rng(seed)
    pixels = generator.integers(1, 256, (n, 3, px, px), np.uint8)  # 0 would look like padding
    return Images(pixels, np.arange(n))


def loader(images, augmentation=None, batch=5, **more) -> Loader:
    return load_batches(images, MEAN, STD, batch, augmentation=augmentation, **more)


def joined(batches):
    x, y = zip(*batches, strict=True)
    return torch.cat(x), torch.cat(y)


def normalised(pixels):
    moments = (np.array(v, np.float32)[:, None, None] for v in (MEAN, STD))
    mean, std = moments
    return torch.from_numpy((pixels.astype(np.float32) - mean) / std)


def test_without_augmentation_all_images_come_in_order():
    images = pictures()
    own = loader(images, ALL)
    x, y = joined(own)
    assert torch.equal(y, torch.arange(23))
    torch.testing.assert_close(x, normalised(images.pixels))
    assert [len(labels) for _, labels in own] == [5, 5, 5, 5, 3]
    assert len(own) == 5


@pytest.mark.parametrize("augmentation", [None, ALL], ids=["plain", "augmented"])
def test_an_epoch_has_every_image_once(augmentation):
    images = pictures()
    _, labels = joined(loader(images, augmentation).epoch(7, 0))
    assert sorted(labels.tolist()) == list(range(23))
    assert labels.tolist() != list(range(23))


def test_shuffled_images_keep_their_labels():
    images = pictures()
    x, labels = joined(loader(images).epoch(1, 2))
    torch.testing.assert_close(x, normalised(images.pixels[labels.numpy()]))


def slow_crops(picture, pad):
    """Every crop of a padded picture and of its mirror image, one by one."""
    for image in (picture, picture[:, :, ::-1]):
        padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
        px = image.shape[1]
        for down in range(2 * pad + 1):
            for along in range(2 * pad + 1):
                yield padded[:, down : down + px, along : along + px]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 1000))
def test_an_augmented_image_is_a_crop_of_the_padded_picture_or_its_mirror(seed, epoch):
    images = pictures(n=6)
    own = Augmentation(flip=True, pad=1)
    x, labels = joined(loader(images, own).epoch(seed, epoch))
    for image, label in zip(x, labels.tolist(), strict=True):
        crops = list(slow_crops(images.pixels[label], 1))
        assert any(torch.allclose(image, normalised(crop), atol=1e-5) for crop in crops)


def test_crops_and_mirrors_are_uniform():
    """4,000 draws of 18 equally likely images: chi-square below its 99.99% quantile of 47."""
    images = pictures(n=1, px=4)
    crops = np.stack([normalised(c) for c in slow_crops(images.pixels[0], 1)])
    many = Images(np.repeat(images.pixels, 4000, axis=0), np.zeros(4000, np.int64))
    x, _ = joined(loader(many, Augmentation(flip=True, pad=1), 4000).epoch(3, 0))
    distance = np.abs(x.numpy()[:, None] - crops[None]).max(axis=(2, 3, 4))
    counts = np.bincount(distance.argmin(axis=1), minlength=18)
    expected = 4000 / 18
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 47, counts


def test_without_flip_nothing_is_mirrored():
    images = pictures(n=40)
    x, labels = joined(loader(images, Augmentation()).epoch(0, 0))
    torch.testing.assert_close(x, normalised(images.pixels[labels.numpy()]))


@pytest.mark.parametrize("length", [1, 3, 4, 16])
def test_cutout_removes_one_square(length):
    images = pictures(n=30)
    x, labels = joined(loader(images, Augmentation(cutout=length)).epoch(0, 0))
    gone = ((x - normalised(images.pixels[labels.numpy()])).abs() > 1e-4).any(dim=1)
    for hole in gone:
        rows, columns = hole.any(dim=1).nonzero(), hole.any(dim=0).nonzero()
        height, width = (int(at.max() - at.min()) + 1 for at in (rows, columns))
        assert hole.sum() == height * width  # a full rectangle
        assert max(height, width) <= length
    assert (x.movedim(1, -1)[gone] == 0).all()  # the mean colour


def test_an_epoch_depends_on_seed_and_number_alone():
    images = pictures()
    fresh, used = loader(images, ALL), loader(images, ALL)
    for number in range(3):
        list(used.epoch(5, number))
    for a, b in zip(fresh.epoch(5, 7), used.epoch(5, 7), strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])
    first, _ = joined(fresh.epoch(5, 7))
    assert not torch.equal(first, joined(fresh.epoch(5, 8))[0])
    assert not torch.equal(first, joined(fresh.epoch(6, 7))[0])
    assert not torch.equal(joined(fresh.epoch(0, 1))[1], joined(fresh.epoch(1, 0))[1])


@pytest.mark.parametrize("px", [8, 72])
def test_the_global_generator_is_left_alone(px):
    own = loader(pictures(n=3, px=px), ALL)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    list(own.epoch(0, 0))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_channels_come_last_in_memory_if_asked():
    images = pictures()
    for last in (True, False):
        for x, _ in loader(images, ALL, channels_last=last).epoch(0, 0):
            assert x.is_contiguous(memory_format=torch.channels_last) == last
            assert x.is_contiguous() != last
    same = [
        joined(loader(images, ALL, channels_last=last).epoch(0, 0))[0] for last in (True, False)
    ]
    assert torch.equal(*same)


def test_pixels_are_not_changed():
    images = pictures()
    before = images.pixels.copy()
    list(loader(images, ALL).epoch(0, 0))
    assert np.array_equal(images.pixels, before)


def test_pictures_that_cannot_be_written_are_read(tmp_path):
    """A cache file that is mapped into memory."""
    for px, kind in ((8, SmallLoader), (72, LargeLoader)):
        images = pictures(n=4, px=px)
        np.save(tmp_path / "pixels.npy", images.pixels)
        mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
        own = loader(Images(mapped, images.labels))
        assert isinstance(own, kind)
        torch.testing.assert_close(joined(own)[0], normalised(images.pixels))


def test_large_pictures_are_cropped_to_parts_and_jittered():
    images = pictures(n=7, px=72)
    own = loader(images, Augmentation(flip=True))
    assert isinstance(own, LargeLoader)
    x, labels = joined(own.epoch(2, 3))
    assert x.shape == (7, 3, 72, 72)
    assert sorted(labels.tolist()) == list(range(7))
    again, _ = joined(loader(images, Augmentation(flip=True)).epoch(2, 3))
    assert torch.equal(x, again)
    assert not torch.equal(x, normalised(images.pixels[labels.numpy()]))
    plain, labels = joined(loader(images).epoch(2, 3))
    torch.testing.assert_close(plain, normalised(images.pixels[labels.numpy()]))


def test_a_large_picture_is_altered_by_its_own_draws():
    one = pictures(n=1, px=72)
    same = Images(np.repeat(one.pixels, 4, axis=0), np.arange(4))
    x, _ = joined(loader(same, Augmentation(flip=True)).epoch(0, 0))
    assert len({image.numpy().tobytes() for image in x}) == 4


def test_the_standard_padding_is_the_benchmarks():
    assert Augmentation.standard(32, flip=True) == Augmentation(flip=True, pad=4)
    assert Augmentation.standard(16, flip=True).pad == 2


@pytest.mark.parametrize(
    "bad", [{"pad": -1}, {"cutout": -1}, {"area": 0.0}, {"jitter": (-1, 0, 0, 0)}]
)
def test_sizes_that_mean_nothing_are_refused(bad):
    with pytest.raises(ConfigError, match="augmentation"):
        Augmentation(**bad)
    with pytest.raises(ConfigError, match="at least 1 image"):
        loader(pictures(), batch=0)


@pytest.mark.parametrize("shape", [(5, 8, 8), (5, 4, 4), (5, 3, 8, 8)])
def test_targets_that_cannot_move_with_a_picture_are_refused(shape):
    kind = np.float32 if shape == (5, 8, 8) else np.int64
    images = Images(pictures(5).pixels, np.zeros(shape, kind))
    with pytest.raises(ConfigError, match="cannot move along"):
        loader(images, ALL)
    assert joined(loader(images))[1].shape == shape


def test_numbers_without_a_place_pass_as_they_are():
    images = Images(pictures(5).pixels, np.random.default_rng(0).normal(size=(5, 2)))
    _, y = joined(loader(images, ALL).epoch(0, 0))
    np.testing.assert_array_equal(np.sort(y.numpy(), axis=0), np.sort(images.labels, axis=0))
