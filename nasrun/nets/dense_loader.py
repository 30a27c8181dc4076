"""Batches of pictures with masks or boxes: both are moved by the same draw."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from nasrun.images import IGNORED, NO_BOX, Pixels, Targets
from nasrun.nets.loader import Loader, cut_out

LEAST_SHOWN = 0.25  # of a box's area: one of which less is left in the crop is no longer there
TO_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


@dataclass(frozen=True)
class _Moves:
    """What is drawn for ``B`` pictures: ``u' = scale * u + shift``, mirrored along x or not."""

    scale: Tensor  # (B,)
    shift: Tensor  # (B, 2) whole pixels of the crop, along x and y; after mirroring
    mirrored: Tensor  # (B,)


class DenseLoader(Loader):
    """Pictures stay in the host's memory, or on disk, with their masks or boxes.

    A training picture is mirrored, scaled by a random factor, and cropped at a random place, where
    what lies outside has the mean colour and counts for nothing; then its colours are altered. One
    affine map a picture is drawn, by which pixels are read bilinearly, masks by the nearest pixel,
    and corners of boxes computed. Pictures that are not altered keep their size, which may exceed
    that of the crops.
    """

    def __len__(self) -> int:
        """Number of batches of an epoch."""
        return len(_batches(torch.arange(self._count), self.batch))

    def _keep(self, pixels: Pixels) -> None:
        crop = self.augmentation.crop
        self._pixels, self._size = pixels, (crop, crop) if crop else pixels.shape[2:]

    def _keep_targets(self, targets: Targets) -> None:
        self._stored = targets

    def _targets(self, rows: Tensor) -> Tensor:
        stored = torch.from_numpy(self._stored[rows.numpy()])
        kind = torch.float32 if stored.is_floating_point() else torch.int64
        return stored.to(self.device, kind, non_blocking=True)

    def _plain(self, rows: Tensor) -> Tensor:
        stored = torch.from_numpy(self._pixels[rows.numpy()])
        return stored.to(self.device, non_blocking=True).permute(0, 2, 3, 1).contiguous()

    def _shuffled(self, order: Tensor, generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        for rows in _batches(order, self.batch):
            if not self._augments:
                yield self._normalised(self._plain(rows)), self._targets(rows)
                continue
            pixels = self._jittered(
                self._plain(rows), torch.rand((len(rows), 4), generator=generator)
            )
            yield self._moved(self._normalised(pixels), self._targets(rows), generator)

    def _moved(
        self, images: Tensor, targets: Tensor, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Normalised pictures and their targets, moved by the same draws."""
        count = len(images)
        moves = self._moves(count, images.shape[2:], generator)
        centres = [torch.randint(side, (count,), generator=generator) for side in self._size]
        y, x = (centre.to(self.device) for centre in centres)
        moved = cut_out(self._sampled(images, moves, "bilinear"), y, x, self.augmentation.cutout)
        last = torch.channels_last if self._channels_last else torch.contiguous_format
        moved = moved.contiguous(memory_format=last)
        if targets.is_floating_point():
            return moved, self._moved_boxes(targets, moves, images.shape[3])
        # Zero is what lies outside, so the smallest number stands for that which is ignored.
        masks = self._sampled((targets - IGNORED)[:, None].float(), moves, "nearest")
        return moved, masks[:, 0].long() + IGNORED

    def _moves(self, count: int, size: tuple[int, ...], generator: Generator) -> _Moves:
        own = self.augmentation
        low, high = (math.log(factor) for factor in own.scale)
        scale = torch.exp(low + (high - low) * torch.rand(count, generator=generator))
        mirrored = torch.rand(count, generator=generator) < 0.5 * own.flip
        places = torch.rand((count, 2), generator=generator)
        whole = scale[:, None] * torch.tensor(size[::-1])
        room = (whole - torch.tensor(self._size[::-1])).round()
        first, last = room.clamp(max=0) - own.pad, room.clamp(min=0) + own.pad
        shift = -(first + (places * (last - first + 1)).floor().minimum(last - first))
        drawn = (each.to(self.device) for each in (scale, shift, mirrored))
        return _Moves(*drawn)

    def _sampled(self, x: Tensor, moves: _Moves, mode: str) -> Tensor:
        """``(B, C, *crop)`` values of ``x (B, C, H, W)``; zero outside of the pictures."""
        (height, width), (rows, columns) = x.shape[2:], self._size
        down = torch.arange(rows, device=x.device) + 0.5
        along = torch.arange(columns, device=x.device) + 0.5
        u = (along - moves.shift[:, :1]) / moves.scale[:, None]  # (B, columns) in the picture
        v = (down - moves.shift[:, 1:]) / moves.scale[:, None]
        u = torch.where(moves.mirrored[:, None], width - u, u)
        across = (2 * u / width - 1)[:, None, :].expand(-1, rows, -1)
        upright = (2 * v / height - 1)[:, :, None].expand(-1, -1, columns)
        grid = torch.stack([across, upright], dim=-1)
        return F.grid_sample(x, grid, mode, align_corners=False)

    def _moved_boxes(self, boxes: Tensor, moves: _Moves, width: int) -> Tensor:
        """Boxes ``(B, M, 5 or more)`` in the crop, clipped to it; those that have left it pad."""
        corners, rest = boxes[..., :4].clone(), boxes[..., 4:].clone()
        mirrored = moves.mirrored[:, None, None]
        x = torch.where(mirrored, width - corners[..., [2, 0]], corners[..., [0, 2]])
        x = moves.scale[:, None, None] * x + moves.shift[:, None, :1]
        y = moves.scale[:, None, None] * corners[..., [1, 3]] + moves.shift[:, None, 1:]
        rows, columns = self._size
        left, right = x.clamp(0, columns).unbind(-1)
        top, bottom = y.clamp(0, rows).unbind(-1)
        whole = (x[..., 1] - x[..., 0]) * (y[..., 1] - y[..., 0])
        gone = (right - left) * (bottom - top) < LEAST_SHOWN * whole
        rest[..., 0] = rest[..., 0].masked_fill(gone, NO_BOX)
        return torch.cat([torch.stack([left, top, right, bottom], dim=-1), rest], dim=-1)

    def _jittered(self, pixels: Tensor, drawn: Tensor) -> Tensor:
        """``pixels (B, H, W, 3)``, 0 to 255, in other colours by ``drawn (B, 4)`` in [0, 1).

        Brightness, contrast about the mean grey, saturation and hue are linear maps of a colour:
        the last two stretch and turn the plane of YIQ's colour differences.
        """
        if not any(self.augmentation.jitter):
            return pixels
        most = torch.tensor(self.augmentation.jitter)
        light, contrast, saturation, hue = (most * (2 * drawn - 1)).unbind(1)
        light, contrast, saturation = (
            (1 + each).clamp(min=0) for each in (light, contrast, saturation)
        )
        sine, cosine = (turned(2 * math.pi * hue) * saturation for turned in (torch.sin, torch.cos))
        plane = torch.eye(3).repeat(len(drawn), 1, 1)
        plane[:, 1, 1], plane[:, 2, 2] = cosine, cosine
        plane[:, 1, 2], plane[:, 2, 1] = -sine, sine
        to_yiq = torch.tensor(TO_YIQ)
        colours = (light * contrast)[:, None, None] * (torch.linalg.inv(to_yiq) @ plane @ to_yiq)
        raw = pixels.float().flatten(1, 2)  # (B, H * W, 3)
        grey = raw.mean(dim=1) @ to_yiq[0].to(self.device)
        shift = ((1 - contrast) * light).to(self.device) * grey
        altered = torch.baddbmm(shift[:, None, None], raw, colours.mT.to(self.device))
        return altered.clamp_(0, 255).view(pixels.shape)


def _batches(order: Tensor, size: int) -> Sequence[Tensor]:
    """Batches of ``size``; a single picture left over joins the batch before it.

    By itself it has one value a channel where maps are one pixel, which torch does not normalise.
    """
    batches = order.split(size)
    if size == 1 or len(batches) == 1 or len(batches[-1]) > 1:
        return batches
    return [*batches[:-2], torch.cat(batches[-2:])]
