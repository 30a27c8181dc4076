"""Which blocks a MobileNetV3 is made of, without torch."""

from collections.abc import Sequence
from typing import NamedTuple

from nasrun.nets.mobile_blocks import Block, Ends, Place, divisible

# Of the five stages: Howard et al., "Searching for MobileNetV3" (ICCV 2019), Table 1, and [OFA].
ACTIVATIONS = ("relu", "relu", "h_swish", "h_swish", "h_swish")
SQUEEZES = (False, True, False, True, True)
STAGES = len(ACTIVATIONS)
REDUCTION = 4  # of squeeze-and-excitation


class Layer(NamedTuple):
    """What a layer of a stage must do, whatever its kernel and expansion."""

    place: Place
    activation: str
    squeezes: bool

    def block(self, kernel: int, expansion: float) -> Block:
        """The block with this kernel and about ``expansion`` times the channels."""
        return self.block_of(kernel, divisible(round(self.place.c_in * expansion)))

    def block_of(self, kernel: int, wide: int) -> Block:
        """The block with this kernel and ``wide`` channels."""
        squeeze = divisible(wide // REDUCTION) if self.squeezes else 0
        return Block(
            kernel, wide, self.place, squeeze=squeeze, activation=self.activation, expands=False
        )


class Body(NamedTuple):
    """The fixed block, the layers by stage, as many as a stage can have, and those around."""

    first: Block
    stages: tuple[tuple[Layer, ...], ...]
    ends: Ends


def body(channels: Sequence[int], strides: Sequence[int], depth: int) -> Body:
    """That of a once-for-all network ([OFA] ``elastic_nn/networks/ofa_mbv3.py``).

    Args:
        channels: of the first convolution, the fixed block, the five stages, the last convolution,
            and the one behind the pooling.
        strides: of the first convolution and the five stages.
        depth: layers that a stage has at most.
    """
    stem, width, *widths, last, hidden = channels
    first = Layer(Place(stem, width, 1), "relu", squeezes=False)
    stages = list[tuple[Layer, ...]]()
    kinds = zip(widths, strides[1:], ACTIVATIONS, SQUEEZES, strict=True)
    for out, stride, activation, squeezes in kinds:
        places = [Place(width, out, stride), *[Place(out, out, 1)] * (depth - 1)]
        stages.append(tuple(Layer(place, activation, squeezes) for place in places))
        width = out
    ends = Ends(stem, strides[0], width, last, hidden, activation="h_swish")
    return Body(first.block_of(3, stem), tuple(stages), ends)
