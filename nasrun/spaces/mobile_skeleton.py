"""What networks of inverted residual blocks cost."""

from collections.abc import Sequence

import numpy as np

from nasrun.nets.mobile_blocks import Kind, Place, Stage, places
from nasrun.spaces.skeleton import conv
from nasrun.spec import Ints


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


def _cost(kind: Kind, place: Place, px: int, out: int) -> Ints:
    if not kind.expansion:
        return conv(1, place.c_in, place.c_out, out) * place.changes
    wide = place.c_in * kind.expansion
    expand = conv(1, place.c_in // kind.groups, wide, px)
    project = conv(1, wide // kind.groups, place.c_out, out)
    return expand + conv(kind.kernel, 1, wide, out) + project
