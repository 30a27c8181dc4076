"""Batches of images for a network: pixels on its device, shuffled and augmented there.

Small pictures stay on the device as bytes and are cropped, mirrored, cut out and normalised a
whole batch at a time; there are no worker processes to wait for. What is drawn for an epoch depends
on the seed and the epoch alone, never on the device or on the epochs before, so that a training
that goes on from a checkpoint sees what it would have seen.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from nasrun.errors import ConfigError
from nasrun.images import Images, Pixels, Targets, are_boxes, are_masks
from nasrun.ranges import require_not_negative, require_positive, require_within

SMALL_PX = 64  # larger pictures are cropped and resized one by one, as ImageNet's are


@dataclass(frozen=True)
class Augmentation:
    """How training images are altered.

    Small pictures are mirrored, padded by ``pad`` black pixels on every side and cropped to their
    size, and lose a square of ``cutout`` pixels (DeVries and Taylor, 2017). Larger ones are cropped
    to a random part of at least ``area`` of their surface, mirrored, and jittered in brightness,
    contrast, saturation and hue. Pictures with masks or boxes are mirrored, made larger or smaller
    by a factor in ``scale``, cropped to ``crop`` pixels a side (0: to their size) with ``pad``
    pixels of play, and jittered.

    Raises:
        ConfigError: a negative size or jitter, or an area outside (0, 1].
    """

    flip: bool = False
    pad: int = 0
    cutout: int = 0
    area: float = 0.08
    jitter: Sequence[float] = (0.4, 0.4, 0.4, 0.2)
    scale: Sequence[float] = (1.0, 1.0)
    crop: int = 0

    def __post_init__(self) -> None:
        require_not_negative(self, "augmentation", "pad", "cutout", "jitter", "crop")
        require_positive(self, "augmentation", "scale")
        require_within(self, "augmentation", "(0, 1]", "area")

    @classmethod
    def standard(cls, px: int, flip: bool, cutout: int = 0) -> Self:
        """NAS-Bench-201's: mirror, then crop with 4 pixels of padding at 32, 2 at 16."""
        return cls(flip=flip, pad=px // 8, cutout=cutout)


class Loader(ABC):
    """The images of one part of a task, batch by batch; the last batch may be smaller.

    Args:
        images: what to load.
        mean: by channel, of values 0 to 255.
        std: the same.
        batch: images of a batch.
        device: where batches go.
        augmentation: what ``epoch`` does to images; None: nothing.
        channels_last: whether batches are laid out in memory with the channels last.

    Raises:
        ConfigError: a batch below 1; targets that an augmentation would leave where they are.
    """

    def __init__(
        self,
        images: Images,
        mean: Sequence[float],
        std: Sequence[float],
        batch: int,
        device: "torch.device | str" = "cpu",
        augmentation: Augmentation | None = None,
        channels_last: bool = True,
    ) -> None:
        if batch < 1:
            raise ConfigError(f"a batch must have at least 1 image, got {batch}")
        self.batch, self.device = batch, torch.device(device)
        self.augmentation = augmentation or Augmentation()
        self._augments, self._channels_last = augmentation is not None, channels_last
        if self._augments:
            self._check_movable(images)
        self._keep_targets(images.labels)
        width = images.pixels.shape[-1]
        # Normalising is one product and one sum over whole lines of interleaved channels.
        scale = 1.0 / torch.tensor(std, dtype=torch.float32)
        self._scale = scale.repeat(width).to(self.device)
        self._shift = (-torch.tensor(mean, dtype=torch.float32) * scale).repeat(width).to(device)
        self._count = len(images)
        self._keep(images.pixels)

    def __len__(self) -> int:
        """Number of batches."""
        return -(-self._count // self.batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All images in their order, unaltered: floats ``(B, C, H, W)``; targets ``(B, ...)``."""
        for rows in torch.arange(self._count).split(self.batch):
            yield self._normalised(self._plain(rows)), self._targets(rows)

    def epoch(self, seed: int, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images shuffled and augmented; the same ones whenever this epoch is asked for."""
        generator = Generator().manual_seed(_mixed(seed, number))
        order = torch.randperm(self._count, generator=generator)
        yield from self._shuffled(order, generator)

    def _keep_targets(self, targets: Targets) -> None:
        self._labels = torch.tensor(targets, device=self.device)

    def _targets(self, rows: Tensor) -> Tensor:
        """Those of some images, on the device."""
        return self._labels[rows.to(self.device, non_blocking=True)]

    def _check_movable(self, images: Images) -> None:
        """Refuse targets that belong to places in a picture and cannot be moved with it.

        Raises:
            ConfigError: they are neither masks of the picture's size, nor boxes, nor numbers
                without a place.
        """
        shape, picture = images.labels.shape[1:], images.pixels.shape[2:]
        if len(shape) < 2 or are_boxes(images.labels):
            return
        if not (are_masks(images.labels) and shape == picture):
            raise ConfigError(
                f"augmented pictures of {picture[0]}x{picture[1]} pixels are moved, and targets of "
                f"shape {shape} and type {images.labels.dtype} cannot move along: use integer "
                "masks of the pictures' size, boxes of five numbers, or set "
                "evaluator.recipe.augment=false"
            )

    @abstractmethod
    def _keep(self, pixels: Pixels) -> None:
        """Take over the pictures."""

    @abstractmethod
    def _plain(self, rows: Tensor) -> Tensor:
        """``(B, H, W, C)`` bytes of these images, on the device."""

    @abstractmethod
    def _shuffled(self, order: Tensor, generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Each batch of an epoch: images altered and normalised, and targets that moved along."""

    def _normalised(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` floats of ``(B, H, W, C)`` bytes."""
        lines = x.to(torch.float32).flatten(2).mul_(self._scale).add_(self._shift)
        images = lines.view(x.shape).permute(0, 3, 1, 2)
        return images if self._channels_last else images.contiguous()


class SmallLoader(Loader):
    """Small pictures: all bytes are kept on the device, with their padding."""

    def _keep(self, pixels: Pixels) -> None:
        interleaved = torch.from_numpy(np.array(pixels.transpose(0, 2, 3, 1), order="C"))
        self._px, self._pad = pixels.shape[2], self.augmentation.pad
        self._windows = self._all_windows(interleaved.to(self.device))

    def _all_windows(self, pictures: Tensor) -> Tensor:
        """``(n, shifts, shifts, H, W * C)`` crops of ``(n, H, W, C)``: views of one store."""
        store = F.pad(pictures, (0, 0, *4 * (self._pad,))).contiguous()
        n, _, _, channels = store.shape
        image, row, column, _ = store.stride()
        shifts = 2 * self._pad + 1
        size = (n, shifts, shifts, self._px, self._px * channels)
        return store.as_strided(size, (image, row, column, row, 1))

    def _plain(self, rows: Tensor) -> Tensor:
        crops = self._windows[rows.to(self.device, non_blocking=True), self._pad, self._pad]
        return crops.view(len(rows), self._px, self._px, -1)

    def _shuffled(self, order: Tensor, generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        if not self._augments:
            for rows in order.split(self.batch):
                yield self._normalised(self._plain(rows)), self._targets(rows)
            return
        n = len(order)
        mirrored = torch.rand(n, generator=generator) < 0.5 * self.augmentation.flip
        shifts = torch.randint(2 * self._pad + 1, (2, n), generator=generator)
        centres = torch.randint(self._px, (2, n), generator=generator)
        drawn = [t.to(self.device, non_blocking=True) for t in (order, mirrored, *shifts, *centres)]
        for part in zip(*(t.split(self.batch) for t in drawn), strict=True):
            rows, flip, down, along, y, x = part
            crops = self._windows[rows, down, along].view(len(rows), self._px, self._px, -1)
            images = self._normalised(self._flipped(crops, flip))
            yield cut_out(images, y, x, self.augmentation.cutout), self._labels[rows]

    def _flipped(self, crops: Tensor, flip: Tensor) -> Tensor:
        if not self.augmentation.flip:
            return crops
        if self.device.type != "cpu":  # choosing rows would make the host wait for the device
            return torch.where(flip[:, None, None, None], crops.flip(2), crops)
        crops[flip] = crops[flip].flip(2)
        return crops


def cut_out(images: Tensor, y: Tensor, x: Tensor, length: int) -> Tensor:
    """The square around each centre set to the mean colour, as far as it is in the picture."""
    if not length:
        return images
    rows, columns = (torch.arange(side, device=images.device) for side in images.shape[2:])
    inside = [
        (across >= centre[:, None] - length // 2)
        & (across < centre[:, None] - length // 2 + length)
        for across, centre in ((rows, y), (columns, x))
    ]
    hole = inside[0][:, :, None] & inside[1][:, None, :]
    return images.masked_fill_(hole[:, None], 0.0)


def _mixed(seed: int, number: int) -> int:
    """One seed of two numbers, without ties between neighbours."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> 1)


def load_batches(
    images: Images,
    mean: Sequence[float],
    std: Sequence[float],
    batch: int,
    device: "torch.device | str" = "cpu",
    augmentation: Augmentation | None = None,
    channels_last: bool = True,
) -> Loader:
    """The loader that fits the pictures' size and targets, or a text; arguments as of Loader."""
    from nasrun.nets.dense_loader import DenseLoader
    from nasrun.nets.large_loader import LargeLoader
    from nasrun.nets.token_loader import TokenLoader

    if images.pixels.ndim == 2:
        return TokenLoader(images, mean, std, batch, device)
    kind = SmallLoader if images.pixels.shape[2] <= SMALL_PX else LargeLoader
    if are_masks(images.labels) or are_boxes(images.labels):
        kind = DenseLoader
    return kind(images, mean, std, batch, device, augmentation, channels_last)
