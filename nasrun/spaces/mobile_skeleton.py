"""What networks of inverted residual blocks cost, and which of them are the same."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np

from nasrun.nets.mobile_blocks import Block, Ends, Kind, Place, Stage, block_or_skip, places
from nasrun.spaces.skeleton import conv
from nasrun.spec import Archs, Ints


def layer_costs(kinds: Sequence[Kind], stages: Sequence[Stage], width: int, px: int) -> Ints:
    """``(2, layers, kinds)`` parameters and FLOPs of each kind of block in each layer.

    Args:
        kinds: of blocks, in the order of a decision's options.
        stages: of the network.
        width: channels into the first layer.
        px: width of the image there.
    """
    costs = list[Ints]()
    for place in places(stages, width):
        out = -(-px // place.stride)
        costs.append(np.stack([_cost(kind, place, px, out) for kind in kinds], axis=1))
        px = out
    return np.stack(costs, axis=1)


def last_side(stages: Sequence[Stage], px: int) -> int:
    """Width of the image after the last stage."""
    for stage in stages:
        px = -(-px // stage.stride)
    return px


def skips_behind(arch: Archs, layers: Iterable[Place], skip: int) -> Archs:
    """``(L,)`` the same network as ``arch (L,)``, its skips behind the blocks of the same shape.

    A skip that changes the shape is a layer, and stays. ``skip`` is its option in every layer.
    """
    found = list[int]()
    for place, same in groupby(zip(layers, arch.tolist(), strict=True), key=itemgetter(0)):
        options = [option for _, option in same]
        found += options if place.changes else sorted(options, key=skip.__eq__)
    return np.array(found)


def block_cost(block: Block, px: int) -> Ints:
    """``(2,)`` parameters and FLOPs of a block on ``px`` x ``px`` pixels."""
    place, wide, groups, squeeze = block.place, block.wide, block.groups, block.squeeze
    out = -(-px // place.stride)
    begin = conv(1, place.c_in // groups, wide, px) * block.begins
    weights = 2 * wide * squeeze  # their biases cost no FLOPs, as little as those of convolutions
    weighs = np.array([weights + (squeeze + wide) * (squeeze > 0), weights], np.int64)
    project = conv(1, wide // groups, place.c_out, out)
    return begin + conv(block.kernel, 1, wide, out) + weighs + project


def ends_cost(ends: Ends, px: int, side: int, classes: int) -> Ints:
    """``(2,)`` parameters and FLOPs of the layers around the blocks, and a classifier.

    ``px`` is the width of the first convolution's output, ``side`` that of the last one's.
    """
    cost = conv(3, 3, ends.stem, px) + conv(1, ends.c_in, ends.last, side)
    if ends.hidden:
        cost = cost + conv(1, ends.last, ends.hidden, 1, norm=False)
        cost[0] += ends.hidden * ends.hidden_bias
    return cost + np.int64(((ends.hidden or ends.last) + 1) * classes)


def _cost(kind: Kind, place: Place, px: int, out: int) -> Ints:
    block = block_or_skip(kind, place)
    if isinstance(block, Block):
        return block_cost(block, px)
    return conv(1, place.c_in, place.c_out, out) * place.changes
