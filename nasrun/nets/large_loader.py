"""Batches of pictures too large to be kept on the device: altered one by one, as ImageNet's are."""

from collections.abc import Callable, Iterator
from functools import cached_property

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
            altered = self._altered(rows, seed) if self._augments else self._plain(rows)
            yield self._normalised(altered), self._targets(rows)

    def _altered(self, rows: Tensor, seed: int) -> Tensor:
        """Each image altered by its own draws, which torchvision takes from torch's generator."""
        images = self._stored(rows)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            altered = torch.stack([self._transform(image) for image in images])
        return altered.permute(0, 2, 3, 1).contiguous()

    @cached_property
    def _transform(self) -> Callable[[Tensor], Tensor]:
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
