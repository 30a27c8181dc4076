"""The pretext of shuffled pieces."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nasrun.errors import ConfigError
from nasrun.images import Images
from nasrun.ranges import require_at_least, require_not_negative, require_within
from nasrun.spec import Objective
from nasrun.streams import Ints, Streams
from nasrun.tasks.pretext import Pretext


@dataclass
class JigsawPuzzle(Pretext):
    """Pictures cut into pieces, in an order that is the label.

    Liu et al., "Are Labels Necessary for Neural Architecture Search?" (ECCV 2020), section 3.1,
    after Noroozi and Favaro (ECCV 2016): a piece is ``share`` of its field at a random place in it,
    so that no edge goes on in the next one; the network sees each by itself, standardised by
    itself; one linear layer reads the features of all; some training pictures are grey. On CIFAR
    2x2 pieces in all 24 orders; on ImageNet 3x3 in 1,000 orders.

    Departures: order, places and what is grey are drawn once for each picture by ``seed``, not
    anew in each epoch; fewer orders than there are, are drawn at random, not for their distance.

    Raises:
        ConfigError: sides below 2, more orders than there are, or pieces without a pixel.
    """

    name: str = "jigsaw_puzzle"
    pieces: int = 2
    orders: int = 24
    share: float = 0.76
    grey: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "task", 2, "pieces", "orders")
        require_within(self, "task", "(0, 1]", "share")
        require_within(self, "task", "[0, 1]", "grey")
        require_not_negative(self, "task", "seed")
        if self.orders > math.factorial(self.pieces**2):
            raise ConfigError(
                f"task.orders={self.orders} is more than the {math.factorial(self.pieces**2)} "
                f"orders of {self.pieces**2} pieces"
            )

    @property
    def outputs(self) -> int:
        """One for each order."""
        return self.orders

    def objective(self, px: int) -> Objective:
        """To name the order."""
        from nasrun.nets.pretext import Puzzle

        return Puzzle(self.orders, self.pieces)

    @property
    def still(self) -> bool:
        """The pieces lie in a grid."""
        return True

    def side(self, image_px: int) -> int:
        """Pixels of a row of pieces."""
        field_px = image_px // self.pieces
        piece_px = round(self.share * field_px)
        if piece_px < 1:
            raise ConfigError(f"task.pieces={self.pieces} of {image_px} pixels have none each")
        return piece_px * self.pieces

    @cached_property
    def permutations(self) -> Ints:
        """``(orders, pieces^2)`` by label: which piece of the picture lies at each place."""
        count = self.pieces**2
        generator = np.random.default_rng(self.seed)
        found: dict[tuple[int, ...], None] = {tuple(range(count)): None}
        while len(found) < self.orders:
            found[tuple(generator.permutation(count).tolist())] = None
        return np.array(sorted(found), np.int64)

    def relabelled(self, images: Images, part: str) -> Images:
        """``n`` pictures of shuffled pieces."""
        pixels, count = images.pixels, self.pieces**2
        n, channels, field_px = len(images), pixels.shape[1], pixels.shape[2] // self.pieces
        px = self.side(pixels.shape[2]) // self.pieces
        uniforms = Streams([self.seed], f"{self.name}/{part}").uniform(n * (2 * count + 2))[0]
        chances = uniforms.reshape(n, -1)
        if part.endswith("train"):
            pixels = _greyed(pixels, chances[:, 0] < self.grey)
        labels = (chances[:, 1] * self.orders).astype(np.int64)
        offsets = (chances[:, 2:] * (field_px - px + 1)).astype(np.int64).reshape(n, 2, count)
        rows, made = (
            np.arange(n)[:, None, None],
            np.empty((n, channels, *2 * (px * self.pieces,)), np.uint8),
        )
        for place in range(count):
            piece = self.permutations[labels, place]
            top = piece // self.pieces * field_px + offsets[:, 0, place]
            left = piece % self.pieces * field_px + offsets[:, 1, place]
            down, along = (corner[:, None] + np.arange(px) for corner in (top, left))
            cut = pixels.transpose(0, 2, 3, 1)[rows, down[:, :, None], along[:, None, :]]
            y, x = place // self.pieces * px, place % self.pieces * px
            made[:, :, y : y + px, x : x + px] = cut.transpose(0, 3, 1, 2)
        return Images(made, labels)


def _greyed(pixels: np.ndarray, which: np.ndarray) -> np.ndarray:
    """``(n, 3, H, W)`` pictures, some with three equal channels: their luma (ITU-R BT.601)."""
    luma = np.rint(np.tensordot(pixels[which], [0.299, 0.587, 0.114], axes=(1, 0)))
    changed = pixels.copy()
    changed[which] = luma[:, None].astype(np.uint8)
    return changed
