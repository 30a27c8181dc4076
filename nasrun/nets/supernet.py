"""What all supernets share: rows of mixing weights, and which options they bring to life."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nasrun.streams import Floats, Ints

NONE = "none"  # the option that is zero whatever its input


@dataclass(frozen=True)
class Row:
    """The mixing weights of one row, and what of it has to be computed.

    ``weights (options,)`` for the whole batch or ``(B, options)`` by image. ``live``: for each
    option of non-zero weight the images that use it, ``None`` for all of them.
    """

    weights: Tensor
    live: Mapping[int, Tensor | None]

    def everywhere(self, option: int, y: Tensor) -> Tensor:
        """``y (B, C, H, W)`` of the whole batch times the option's weight."""
        return _times(self.weights[..., option], y)

    def scaled(self, option: int, y: Tensor) -> Tensor:
        """``y (n, C, H, W)`` of the option's own images times its weight."""
        weight, images = self.weights[..., option], self.live[option]
        return _times(weight if images is None else weight[images], y)

    def of(self, images: Tensor | None) -> "Row":
        """The row of some images ``(n,)`` alone, in their order; None: of all."""
        if images is None or self.weights.dim() == 1:
            return self
        place = torch.full((len(self.weights),), -1, device=images.device)
        place[images] = torch.arange(len(images), device=images.device)
        live: dict[int, Tensor | None] = {}
        for option, users in self.live.items():
            kept = None if users is None else place[users][place[users] >= 0]
            if kept is None or len(kept):
                live[option] = None if kept is None or len(kept) == len(images) else kept
        return Row(self.weights[images], live)

    def bypass(self, x: Tensor) -> Tensor:
        """``x (B, C, H, W)`` times the sum of the row's weights."""
        return _times(self.weights.sum(dim=-1), x)


def _times(weight: Tensor, y: Tensor) -> Tensor:
    """``y (n, ...)`` times a number, or one for each image.

    In the number format of ``y``, which under autocast is shorter than the weight's.
    """
    return (
        weight * y if weight.dim() == 0 else weight.to(y.dtype).view(-1, *[1] * (y.dim() - 1)) * y
    )


def plan(
    mixing: Sequence[Tensor],
    least: float | None = None,
    probed: Sequence[Tensor] | None = None,
) -> list[Row]:
    """Rows with their live options; one copy to the host, whatever their number.

    ``least`` and ``probed``: see :class:`SharedNet`.
    """
    arity = [row.shape[-1] for row in mixing]
    by_image = mixing[0].dim() == 2
    weights = torch.cat([row.detach() for row in mixing], dim=-1)
    alive = weights.ne(0) if least is None else weights.ge(least)
    if probed is not None:
        alive = alive | torch.cat(list(probed), dim=-1).ne(0)
    masks = alive.cpu().numpy()
    if by_image and least is not None:
        masks, by_image = masks.any(axis=0), False
    rows = np.split(masks, np.cumsum(arity)[:-1], axis=-1)
    found = zip(mixing, rows, strict=True)
    return [Row(row, _by_image(mask, row) if by_image else _shared(mask)) for row, mask in found]


def _shared(mask: np.ndarray) -> dict[int, Tensor | None]:
    return dict.fromkeys(np.flatnonzero(mask).tolist())


def _by_image(mask: np.ndarray, row: Tensor) -> dict[int, Tensor | None]:
    """Images by option, but None where all use it."""
    live: dict[int, Tensor | None] = {}
    for option in np.flatnonzero(mask.any(axis=0)).tolist():
        images = np.flatnonzero(mask[:, option])
        everyone = len(images) == len(mask)
        live[option] = None if everyone else torch.from_numpy(images).to(row.device)
    return live


class SharedNet(nn.Module, ABC):
    """A network of all architectures of a space: :class:`nasrun.spec.Supernet`.

    ``noise``, ``drop_path``, ``skip_dropout``, ``least`` and ``probed`` are set from outside, by
    methods that want them: the source of random numbers, on the device that is to draw them; the
    probability of leaving out an operation for an image, and of zeroing a number that goes through
    a skip-connection, in training; the weight that an option must have for some image to be
    computed, which it then is for the whole batch, so that its normalisation sees all images
    (``None`` computes every option for the images that use it, and no others); and rows
    ``(options,)`` like the mixing ones, whose non-zero options are computed whatever their weight,
    so that the gradient for a weight of zero is that of what it would let through.
    """

    rows: tuple[tuple[str, ...], ...]
    groups: tuple[tuple[int, ...], ...] = ()
    noise: torch.Generator | None = None
    drop_path: float = 0.0
    skip_dropout: float = 0.0
    least: float | None = None
    probed: Sequence[Tensor] | None = None

    @property
    def normal_rows(self) -> Sequence[int]:
        """Rows of the cell that keeps the image's size; all, where there is one cell."""
        return range(len(self.rows))

    def rows_of(self, arch: Ints) -> Ints:
        """``(rows,)`` the option that ``arch (L,)`` takes in each row."""
        return arch

    def derive(self, scores: Sequence[Floats]) -> Ints:
        """``(L,)`` the architecture with the highest ``scores``, one ``(options,)`` a row."""
        return np.array([int(np.argmax(row)) for row in scores], np.int64)

    def branch_overlap(self, mixing: Sequence[Tensor]) -> Tensor | None:
        """``(B,)`` how far nodes with two branches do the same in both; None: no such nodes."""
        return None

    @abstractmethod
    def sizes(self) -> list[Tensor]:
        """``(options,)`` weights of each option in numbers, by row, over all cells."""

    def forward(self, x: Tensor, mixing: Sequence[Tensor]) -> Tensor:
        """``(B, classes)`` logits of ``x (B, C, H, W)``, see :class:`nasrun.spec.Supernet`."""
        # Options that are left out keep their place in the graph: their gradient is zero, not
        # missing, and that of a straight-through row reaches the logits.
        idle = torch.stack([row.sum() for row in mixing]).sum() * 0.0
        probed = None if self.probed is None else self.by_edge(self.probed)
        return self.logits(x, plan(self.by_edge(mixing), self.least, probed)) + idle

    @contextmanager
    def probing(self, rows: Sequence[Tensor]) -> Iterator[None]:
        """Compute what ``rows`` name as well, for a while."""
        self.probed = rows
        try:
            yield
        finally:
            self.probed = None

    def by_edge(self, mixing: Sequence[Tensor]) -> Sequence[Tensor]:
        """The weights of every edge's operations."""
        return mixing

    @abstractmethod
    def logits(self, x: Tensor, rows: Sequence[Row]) -> Tensor:
        """``(B, classes)`` logits; only live options are computed."""

    def keep(self, x: Tensor, share: float, shape: Sequence[int]) -> Tensor:
        """``x`` with a random ``1 - share`` of it zeroed and the rest scaled up to make up for it.

        ``shape`` is that of the mask: ones where it is the same along an axis.
        """
        place = x.device if self.noise is None else self.noise.device
        mask = torch.rand(list(shape), generator=self.noise, device=place).lt(share)
        return x * (mask.to(x.device, x.dtype) / share)


class Knobs:
    """What a cell reads of the net it belongs to, without being its parent."""

    def __init__(self, net: SharedNet) -> None:
        self._net = net

    def dropped(self, x: Tensor) -> Tensor:
        """An operation's result ``(B, ...)``, left out for some images (drop-path)."""
        net = self._net
        if not net.training or net.drop_path == 0:
            return x
        return net.keep(x, 1.0 - net.drop_path, (len(x),) + (1,) * (x.dim() - 1))

    def skipped(self, x: Tensor) -> Tensor:
        """What goes through a skip-connection, some of it zeroed."""
        net = self._net
        if not net.training or net.skip_dropout == 0:
            return x
        return net.keep(x, 1.0 - net.skip_dropout, x.shape)


def add(total: Tensor | None, term: Tensor) -> Tensor:
    """``total + term``, where None is an empty sum."""
    return term if total is None else total + term


def scatter(total: Tensor | None, term: Tensor, images: Tensor, like: Tensor) -> Tensor:
    """``total`` with ``term (n, ...)`` added at ``images (n,)``; ``like`` has the full shape."""
    base = torch.zeros_like(like, dtype=term.dtype) if total is None else total
    return base.index_add(0, images, term.to(base.dtype))


def mixed(x: Tensor, row: Row, options: Mapping[int, Callable[[Tensor], Tensor]]) -> Tensor | None:
    """The sum of the row's live options among ``options``; None: none of them is alive.

    Each is computed for the images ``x (B, ...)`` that use it.
    """
    total: Tensor | None = None
    for number, images in row.live.items():
        if number not in options:
            continue
        term = row.scaled(number, options[number](x if images is None else x[images]))
        if images is None:
            total = add(total, term)
        else:
            total = scatter(total, term, images, term.new_empty(len(x), *term.shape[1:]))
    return total
