"""The images of a one-shot search: training batches, each with validation batches beside it."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from nasrun.algorithms.reduction import Reduction
from nasrun.errors import ConfigError
from nasrun.images import Images, SearchImages, draw
from nasrun.nets.loader import Augmentation, load_batches
from nasrun.streams import Streams

JUDGING = 512  # images of a batch that judges; [A] has the same for a candidate's only batch

Batches = Iterator[tuple[Tensor, Tensor]]


class SharedData:
    """Batches of a task's search split on a device.

    Training images are mirrored and cropped; so are the validation images that an architecture is
    learnt from, but not those that judge.

    Args:
        images: those that a search may see.
        scale: how many images, and how large; None: all, as they are.
        batch: images of a training batch, and of a validation batch.
        device: where.
        channels_last: layout of the batches.
        seed: of order and augmentation.

    Raises:
        ConfigError: more images asked for than there are, or larger ones.
    """

    def __init__(
        self,
        images: SearchImages,
        scale: Reduction,
        batch: int,
        device: torch.device,
        channels_last: bool,
        seed: int,
    ) -> None:
        train = _some(images.train, scale.train_images, "train_images")
        valid = _some(images.valid, scale.valid_images, "valid_images")
        px = 1
        if images.train.pixels.ndim > 2:  # a text has no pixels
            px = scale.image_px or images.train.pixels.shape[2]
            train, valid = _shrunk(train, px), _shrunk(valid, px)
        augmentation = Augmentation.standard(px, images.flip)
        moments, layout = (images.mean, images.std), (device, augmentation, channels_last)
        self._train = load_batches(train, *moments, batch, *layout)
        self._valid = load_batches(valid, *moments, batch, *layout)
        self._judge = load_batches(valid, *moments, JUDGING, device, None, channels_last)
        self._seed, self._batch, self._images = seed, batch, len(valid)

    @property
    def steps(self) -> int:
        """Training batches of an epoch."""
        return len(self._train)

    def training(self, epoch: int) -> Batches:
        """All training images, shuffled and altered."""
        return self._train.epoch(self._seed, epoch)

    def validating(self, epoch: int) -> Batches:
        """Validation images without end, shuffled and altered; whole batches where there are."""
        least = min(self._batch, self._images)
        turn = 0
        while True:
            # Turns of an epoch lie apart from the epochs themselves: an epoch has few of them.
            batches = self._valid.epoch(self._seed + 1, (epoch << 20) + turn)
            yield from (pair for pair in batches if len(pair[1]) >= least)
            turn += 1

    def judging(self) -> Batches:
        """All validation images as they are."""
        return iter(self._judge)

    def glimpse(self, draws: Streams) -> Batches:
        """One batch of random validation images as they are."""
        yield next(self._judge.epoch(int(draws.integers(2**48)[0, 0]), 0))


def _some(images: Images, count: int | None, key: str) -> Images:
    if count is None:
        return images
    if count > len(images):
        raise ConfigError(f"scale.{key}={count} is more than the task's {len(images)}")
    rows = draw(images.labels, count, 0, f"scale/{key}")  # pictures may stand class by class
    return Images(images.pixels[rows], images.labels[rows])


def _shrunk(images: Images, px: int) -> Images:
    """The images at ``px`` x ``px`` pixels, smoothed as they are made smaller."""
    size = images.pixels.shape[2]
    if px == size:
        return images
    if px > size:
        raise ConfigError(f"scale.image_px={px} is more than the task's {size}")
    pixels = torch.from_numpy(images.pixels)
    small = F.interpolate(pixels, (px, px), mode="bilinear", antialias=True)
    return Images(small.numpy(), images.labels)
