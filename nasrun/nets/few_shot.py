"""Small problems of a few pictures a class, and what a task says of them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nasrun.errors import DataError, UnsupportedError
from nasrun.images import Images
from nasrun.nets.classification import Classification
from nasrun.nets.maml import Episodes

REFUSAL = (
    "a task of a few pictures a class (task=few_shot) is judged on classes that no training has "
    "seen: use evaluator=few_shot, with an algorithm that trains no supernet"
)


@dataclass(frozen=True)
class FewShot(Classification):
    """Telling ``classes`` new classes apart by ``shots`` pictures of each.

    Judged on ``queries`` others of each. No network is trained for it in the ordinary way, so it
    has no head: whoever asks for one is told what to use instead.
    """

    shots: int
    queries: int

    def head(self, channels: int) -> nn.Module:
        """Refused.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(REFUSAL)

    def auxiliary_head(self, channels: int) -> nn.Module:
        """Refused, as the head is."""
        return self.head(channels)


def require_enough(images: Images, kind: FewShot) -> None:
    """Refuse pictures that make no episode.

    Raises:
        DataError: fewer classes, or pictures of one, than an episode takes.
    """
    sizes, each = np.bincount(images.labels), kind.shots + kind.queries
    if len(sizes) < kind.classes or sizes.min() < each:
        raise DataError(
            f"an episode takes {each} pictures of each of {kind.classes} classes, but a part has "
            f"{len(sizes)} classes, the smallest of {sizes.min()} pictures: lower task.ways, "
            "task.shots or task.queries, or change task.parts"
        )


class EpisodeMaker:
    """Draws episodes from the pictures of some classes.

    Args:
        images: of all classes, numbered from 0.
        kind: ways, shots and queries.
        moments: mean and standard deviation by channel, of pixel values 0 to 255.
        device: where the episodes are wanted.

    Raises:
        DataError: see ``require_enough``.
    """

    def __init__(
        self,
        images: Images,
        kind: FewShot,
        moments: tuple[tuple[float, ...], tuple[float, ...]],
        device: torch.device,
    ) -> None:
        require_enough(images, kind)
        self._kind, self._each = kind, kind.shots + kind.queries
        order = np.argsort(images.labels, kind="stable")
        ends = np.cumsum(np.bincount(images.labels))[:-1]
        self._rows = [torch.from_numpy(own) for own in np.split(order, ends)]
        self._pixels = torch.from_numpy(np.ascontiguousarray(images.pixels)).to(device)
        self._mean, self._std = (torch.tensor(own, device=device)[:, None, None] for own in moments)

    def draw(self, count: int, generator: torch.Generator) -> Episodes:
        """``count`` episodes: different classes in each, different pictures of each class."""
        ways, shots = self._kind.classes, self._kind.shots
        rows = torch.stack([self._one(generator) for _ in range(count)])  # (M, ways, each)
        label = torch.arange(ways, device=self._pixels.device)[:, None].expand(ways, self._each)
        label = label.expand(count, ways, self._each)
        support, query = self._pictures(rows[:, :, :shots]), self._pictures(rows[:, :, shots:])
        labels = label[:, :, :shots].flatten(1), label[:, :, shots:].flatten(1)
        return Episodes(support, labels[0], query, labels[1])

    def _one(self, generator: torch.Generator) -> Tensor:
        """``(ways, shots + queries)`` rows of an episode."""
        classes = torch.randperm(len(self._rows), generator=generator)[: self._kind.classes]
        own = [self._rows[c] for c in classes.tolist()]
        return torch.stack(
            [r[torch.randperm(len(r), generator=generator)[: self._each]] for r in own]
        )

    def _pictures(self, rows: Tensor) -> Tensor:
        """``(M, ways * k, C, H, W)`` normalised pictures of ``rows (M, ways, k)``."""
        pixels = self._pixels[rows.flatten(1).to(self._pixels.device)].float()
        return (pixels - self._mean) / self._std
