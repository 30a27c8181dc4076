"""The residual space's networks block by block, and what they cost."""

from collections.abc import Sequence
from enum import Enum
from itertools import accumulate

import numpy as np

from nasrun.spaces.notation import Scanner
from nasrun.spaces.skeleton import conv
from nasrun.spec import Ints

WIDER = "2"  # a block that doubles the width, in a code
# Channels into a block, its width, and its stride.
Sizes = tuple[int, int, int]


class Block(Enum):
    """What the chain is made of; He et al., "Deep Residual Learning" (CVPR 2016), Figure 5."""

    basic = "basic"  # two 3x3 convolutions
    bottleneck = "bottleneck"  # 1x1, 3x3 and 1x1 convolutions, the last one to four times the width


class Stem(Enum):
    """What comes before the first stage."""

    convs = "convs"  # two 3x3 convolutions
    resnet = "resnet"  # a 7x7 convolution and a 3x3 maximum


# ResNets that have such blocks, which codes of others begin with.
BASE_DEPTHS = {Block.basic: (18, 34), Block.bottleneck: (50, 101)}
EXPANSION = {Block.basic: 1, Block.bottleneck: 4}


def code_of(of_stages: Sequence[int], of_widths: Sequence[int]) -> str:
    """Digits such as ``111-2111-211111-211`` of the numbers of blocks by stage and by width."""
    wider, ends = set(accumulate(of_widths[:-1])), list(accumulate(of_stages))
    digits = "".join(WIDER if at in wider else "1" for at in range(ends[-1]))
    starts = [0, *ends[:-1]]
    return "-".join(digits[start:end] for start, end in zip(starts, ends, strict=True))


def read_code(scanner: Scanner) -> str:
    """Read stages of blocks, the first of which has the base width.

    Raises:
        ConfigError: a stage without a block, or a first block that is wider.
    """
    code = ""
    while True:
        begins = not code or code.endswith("-")
        if scanner.accept("1"):
            code += "1"
        elif code and scanner.accept(WIDER):
            code += WIDER
        elif not begins and scanner.accept("-"):
            code += "-"
        elif begins:
            raise scanner.bad("expected a block, 1" + f" or {WIDER}" * bool(code))
        else:
            return code


def counts_of(code: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Numbers of blocks by stage and by width of a code."""
    stages = code.split("-")
    runs = code.replace("-", "").split(WIDER)
    of_widths = (len(runs[0]), *(1 + len(run) for run in runs[1:]))
    return tuple(map(len, stages)), of_widths


def stages_of(
    of_stages: Sequence[int], of_widths: Sequence[int], base: int, block: Block
) -> list[list[Sizes]]:
    """The sizes of all blocks, by stage; every stage but the first begins with a stride of 2."""
    widths = [base * 2**at for at, count in enumerate(of_widths) for _ in range(count)]
    c_in, place, stages = base, 0, list[list[Sizes]]()
    for number, blocks in enumerate(of_stages):
        sizes = list[Sizes]()
        for at in range(blocks):
            width = widths[place]
            sizes.append((c_in, width, 2 if number and not at else 1))
            c_in, place = width * EXPANSION[block], place + 1
        stages.append(sizes)
    return stages


def cost(
    block: Block, stem: Stem, stem_stride: int, stages: Sequence[Sequence[Sizes]],
    px: int, classes: int,
) -> Ints:  # fmt: skip
    """``(2,)`` parameters and FLOPs of a network with a classifier, for ``px`` x ``px`` pixels."""
    channels = stages[0][0][0]
    first = _strided(px, min(stem_stride, 2))
    px = _strided(first, max(stem_stride // 2, 1))
    if stem is Stem.resnet:
        total = conv(7, 3, channels, first)
    else:
        total = conv(3, 3, channels // 2, first) + conv(3, channels // 2, channels, px)
    for c_in, width, stride in (sizes for stage in stages for sizes in stage):
        before, px = px, _strided(px, stride)
        c_out = width * EXPANSION[block]
        if block is Block.basic:
            total = total + conv(3, c_in, width, px) + conv(3, width, width, px)
        else:
            total = total + conv(1, c_in, width, before) + conv(3, width, width, px)
            total = total + conv(1, width, c_out, px)
        if stride > 1 or c_in != c_out:
            total = total + conv(1, c_in, c_out, px)
    last = stages[-1][-1][1] * EXPANSION[block]
    return total + np.int64((last + 1) * classes)


def _strided(px: int, stride: int) -> int:
    return -(-px // stride)
