"""Batches of pictures too large to be kept on the device: altered one by one, as ImageNet's are."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Generator, Tensor

from nasrun.images import Pixels
from nasrun.nets.loader import Loader
from nasrun.nets.vision import load_torchvision


class LargeLoader(Loader):
    """Pictures stay in the host's memory, or on disk; a batch at a time goes to the device.

    There each picture of a training batch is cropped to a random part, resized back, mirrored and
    jittered in colour by torchvision's transforms, in the way of UNAS's ImageNet evaluation
    (Vahdat et al., CVPR 2020, ``train_eval_imagenet.py``).
    """

    def _keep(self, pixels: Pixels) -> None:
        self._pixels = pixels

    def _stored(self, rows: Tensor) -> Tensor:
        """``(B, C, H, W)`` bytes on the device."""
        return torch.from_numpy(self._pixels[rows.numpy()]).to(self.device, non_blocking=True)

    def _plain(self, rows: Tensor) -> Tensor:
        return self._stored(rows).permute(0, 2, 3, 1).contiguous()

    def _shuffled(self, order: Tensor, generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        batches = order.split(self.batch)
        seeds = torch.randint(2**62, (len(batches),), generator=generator).tolist()
        for rows, seed in zip(batches, seeds, strict=True):
            if not self._augments:
                yield self._normalised(self._plain(rows)), self._targets(rows)
                continue
            altered, targets = self._altered(self._stored(rows), self._targets(rows), seed)
            yield self._normalised(altered.permute(0, 2, 3, 1).contiguous()), targets

    def _altered(self, images: Tensor, targets: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Each picture altered by its own draws, which torchvision takes from torch's generator.

        A mask is cropped and mirrored by the draws of its picture.
        """
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            if not self._moves:
                return torch.stack([self._transform(image) for image in images]), targets
            from torchvision.tv_tensors import Mask

            pairs = [
                self._transform(image, Mask(mask))
                for image, mask in zip(images, targets, strict=True)
            ]
        return torch.stack([image for image, _ in pairs]), torch.stack(
            [mask.as_subclass(Tensor) for _, mask in pairs]
        )

    @cached_property
    def _transform(self) -> Callable[..., Any]:
        load_torchvision()
        from torchvision.transforms import v2

        px = int(self._pixels.shape[2])
        brightness, contrast, saturation, hue = self.augmentation.jitter
        return v2.Compose(
            [
                v2.RandomResizedCrop(px, scale=(self.augmentation.area, 1.0), antialias=True),
                v2.RandomHorizontalFlip(0.5 if self.augmentation.flip else 0.0),
                v2.ColorJitter(brightness, contrast, saturation, hue),
            ]
        )
