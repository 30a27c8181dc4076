"""Chains of layers that grow, as lists; imports no torch."""

from collections.abc import Sequence
from typing import NamedTuple


class Layer(NamedTuple):
    """A convolution, or (with ``kernel`` 1) a fully connected layer; ``skip``: past it."""

    kernel: int
    units: int
    skip: bool = False


class Chain(NamedTuple):
    """Layers of the blocks between poolings, and fully connected ones behind them."""

    blocks: list[list[Layer]]
    full: list[Layer]


def kept_layers(parent: Chain, child: Chain) -> list[bool] | None:
    """Which of the child's layers, in their order, are the parent's; None: they are not all there.

    A parent's layer has the same kernel in the child, is no narrower, and has its skip if it had
    one. What comes between is new, and no narrower than the parent is there. Nothing new comes
    first.
    """
    kept, width = list[bool](), 0  # of images, which no new layer may read
    for olds, news in zip(_parts(parent), _parts(child), strict=True):
        found = _kept(olds, news, width)
        if found is None:
            return None
        kept += found
        width = olds[-1].units if olds else width
    return kept


def _parts(chain: Chain) -> list[list[Layer]]:
    return [*chain.blocks, chain.full]


def _kept(olds: Sequence[Layer], news: Sequence[Layer], width: int) -> list[bool] | None:
    """The earliest places of ``olds`` among ``news``, behind a layer of so many channels."""
    if not news:
        return None if olds else []
    if olds and _grows(olds[0], news[0]):
        rest = _kept(olds[1:], news[1:], olds[0].units)
        if rest is not None:
            return [True, *rest]
    if len(news) > len(olds) and width and news[0].units >= width:
        rest = _kept(olds, news[1:], width)
        if rest is not None:
            return [False, *rest]
    return None


def _grows(old: Layer, new: Layer) -> bool:
    return new.kernel == old.kernel and new.units >= old.units and new.skip >= old.skip
