"""Triton kernels of many NAS-Bench-201 cells at once, for a GPU.

What PyTorch computes in a dozen passes over the maps (gather, ReLU, convolution, statistics,
normalisation, pooling, sums) are here three: a convolution reads its node through the ReLU and
leaves each block's statistics, ``settle`` adds these up, and ``sum_terms`` makes a node of all that
leads to it. The way back has six. Nothing is added up by atomic operations, so results repeat.

Layouts: a node is ``(P, K, C)``, the P pixels of all images with the channels of K networks side by
side, which is ``(B, K * C, H, W)`` with channels last. What one convolution reads or writes is
``(n, P, C)``, n being the networks and sources that have it. Weights are ``(n * C, C, k, k)`` with
channels last. A program handles ``ROWS`` pixels of one network. Tables are int32.
"""

import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]

# What leads from a source to a node, in the tables of ``sum_terms`` and ``node_gradient``.
NOTHING, SKIP, POOL, NARROW, WIDE, BIAS = range(6)  # NARROW is the 1x1 convolution, WIDE the 3x3
SKIP_, POOL_, NARROW_, WIDE_, BIAS_ = map(tl.constexpr, (SKIP, POOL, NARROW, WIDE, BIAS))

# Sizes that differ from cohort to cohort need no kernels of their own.
_SIZES = ("pixels", "height", "width", "blocks", "rate", "epsilon")


@triton.jit(do_not_specialize=_SIZES)
def convolve(
    node0, node1, node2, weight, out, means, squares, owners, sources,
    pixels, height, width, blocks,
    KERNEL: tl.constexpr, C: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """``out (n, P, C)`` of a node's ReLU, and mean and squared deviation ``(n, blocks, C)``."""
    slot, block = tl.program_id(0), tl.program_id(1)
    network, source = tl.load(owners + slot), tl.load(sources + slot)
    node = node0
    if source == 1:
        node = node1
    if source == 2:
        node = node2
    pixel, c = block * ROWS + tl.arange(0, ROWS), tl.arange(0, C)
    inside = pixel < pixels
    row, column = (pixel // width) % height, pixel % width
    found = tl.zeros((ROWS, C), tl.float32)
    for tap in tl.static_range(KERNEL * KERNEL):
        down, right = tap // KERNEL - KERNEL // 2, tap % KERNEL - KERNEL // 2
        there = inside & (row + down >= 0) & (row + down < height)
        there = there & (column + right >= 0) & (column + right < width)
        at = (network * pixels + pixel + down * width + right)[:, None] * C + c[None, :]
        x = tl.load(node + at, mask=there[:, None], other=0.0).to(tl.float32)
        x = tl.maximum(x, 0.0).to(node0.dtype.element_ty)
        at = ((slot * C + c)[None, :] * (KERNEL * KERNEL) + tap) * C + c[:, None]
        w = tl.load(weight + at).to(node0.dtype.element_ty)
        found = tl.dot(x, w, found, input_precision="ieee")
    value = found.to(out.dtype.element_ty)
    tl.store(out + (slot * pixels + pixel)[:, None] * C + c[None, :], value, mask=inside[:, None])
    value = tl.where(inside[:, None], value.to(tl.float32), 0.0)
    mean = tl.sum(value, 0) / tl.sum(inside.to(tl.float32), 0)
    deviation = tl.where(inside[:, None], value - mean[None, :], 0.0)
    at = (slot * blocks + block) * C + c
    tl.store(means + at, mean)
    tl.store(squares + at, tl.sum(deviation * deviation, 0))


@triton.jit(do_not_specialize=_SIZES)
def settle(
    means, squares, running_mean, running_var, batches, mean_out, scale_out,
    pixels, rate, epsilon,
    BLOCKS: tl.constexpr, C: tl.constexpr, ROWS: tl.constexpr, MANY: tl.constexpr,
):  # fmt: skip
    """Mean and reciprocal deviation ``(n, C)`` of the blocks', and the running statistics.

    By Chan's formula for the deviations of parts, which loses nothing where means are large.
    """
    slot = tl.program_id(0)
    c, chunk = tl.arange(0, C), tl.arange(0, MANY)
    total = tl.zeros((C,), tl.float32)
    for start in range(0, BLOCKS, MANY):
        block = start + chunk
        at = ((slot * BLOCKS + block)[:, None]) * C + c[None, :]
        mean = tl.load(means + at, mask=(block < BLOCKS)[:, None], other=0.0)
        total += tl.sum(mean * _rows(block, BLOCKS, pixels, ROWS)[:, None], 0)
    whole = total / pixels
    total = tl.zeros((C,), tl.float32)
    for start in range(0, BLOCKS, MANY):
        block = start + chunk
        there = (block < BLOCKS)[:, None]
        at = ((slot * BLOCKS + block)[:, None]) * C + c[None, :]
        off = tl.load(means + at, mask=there, other=0.0) - whole[None, :]
        square = tl.load(squares + at, mask=there, other=0.0)
        total += tl.sum(square + off * off * _rows(block, BLOCKS, pixels, ROWS)[:, None], 0)
    at = slot * C + c
    tl.store(mean_out + at, whole)
    tl.store(scale_out + at, 1.0 / tl.sqrt(total / pixels + epsilon))
    before = tl.load(running_mean + at)
    tl.store(running_mean + at, before + rate * (whole - before))
    before = tl.load(running_var + at)
    tl.store(running_var + at, before + rate * (total / (pixels - 1) - before))
    if slot == 0:
        tl.store(batches, tl.load(batches) + 1)


@triton.jit
def _rows(block, blocks, pixels, ROWS: tl.constexpr):
    """How many pixels a block has: the last one may have fewer, one beyond it none."""
    left = tl.minimum(pixels - block * ROWS, ROWS)
    return tl.where(block < blocks, left, 0).to(tl.float32)


@triton.jit(do_not_specialize=_SIZES)
def sum_terms(
    node0, node1, node2, narrow, narrow_mean, narrow_scale, narrow_weight, narrow_bias,
    wide, wide_mean, wide_scale, wide_weight, wide_bias, biases, out, kinds, slots,
    pixels, height, width,
    C: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """``out (K, P, C)``, a node: the sum of what leads to it, by ``kinds`` and ``slots (K, 3)``."""
    network, block = tl.program_id(0), tl.program_id(1)
    pixel, c = block * ROWS + tl.arange(0, ROWS), tl.arange(0, C)
    inside = pixel < pixels
    row, column = (pixel // width) % height, pixel % width
    total = tl.zeros((ROWS, C), tl.float32)
    for source in tl.static_range(3):
        kind = tl.load(kinds + network * 3 + source)
        slot = tl.load(slots + network * 3 + source)
        node = node0
        if source == 1:
            node = node1
        if source == 2:
            node = node2
        if kind == SKIP_:
            at = (network * pixels + pixel)[:, None] * C + c[None, :]
            total += tl.load(node + at, mask=inside[:, None], other=0.0).to(tl.float32)
        if kind == POOL_:
            part = tl.zeros((ROWS, C), tl.float32)
            count = tl.zeros((ROWS,), tl.float32)
            for tap in tl.static_range(9):
                down, right = tap // 3 - 1, tap % 3 - 1
                there = inside & (row + down >= 0) & (row + down < height)
                there = there & (column + right >= 0) & (column + right < width)
                at = (network * pixels + pixel + down * width + right)[:, None] * C + c[None, :]
                part += tl.load(node + at, mask=there[:, None], other=0.0).to(tl.float32)
                count += there.to(tl.float32)
            total += part / tl.maximum(count, 1.0)[:, None]
        if kind == NARROW_:
            total += _normal(
                narrow, narrow_mean, narrow_scale, narrow_weight, narrow_bias,
                slot, pixel, inside, pixels, c, C,
            )  # fmt: skip
        if kind == WIDE_:
            total += _normal(
                wide, wide_mean, wide_scale, wide_weight, wide_bias,
                slot, pixel, inside, pixels, c, C,
            )  # fmt: skip
        if kind == BIAS_:
            total += tl.load(biases + slot * C + c)[None, :]
    at = (network * pixels + pixel)[:, None] * C + c[None, :]
    tl.store(out + at, total.to(out.dtype.element_ty), mask=inside[:, None])


@triton.jit
def _normal(maps, mean, scale, weight, bias, slot, pixel, inside, pixels, c, C: tl.constexpr):
    """Maps of a convolution after batch normalisation."""
    at = slot * C + c
    factor = tl.load(scale + at) * tl.load(weight + at)
    shift = tl.load(bias + at) - tl.load(mean + at) * factor
    at = (slot * pixels + pixel)[:, None] * C + c[None, :]
    x = tl.load(maps + at, mask=inside[:, None], other=0.0).to(tl.float32)
    return x * factor[None, :] + shift[None, :]


@triton.jit(do_not_specialize=_SIZES)
def gradient_sums(
    gradient, maps, mean, scale, sums, owners,
    pixels, blocks,
    C: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Sums over a block of a node's gradient, and of it times the normal maps: ``(n, b, 2, C)``."""
    slot, block = tl.program_id(0), tl.program_id(1)
    network = tl.load(owners + slot)
    pixel, c = block * ROWS + tl.arange(0, ROWS), tl.arange(0, C)
    inside = (pixel < pixels)[:, None]
    at = (network * pixels + pixel)[:, None] * C + c[None, :]
    g = tl.load(gradient + at, mask=inside, other=0.0).to(tl.float32)
    at = (slot * pixels + pixel)[:, None] * C + c[None, :]
    x = tl.load(maps + at, mask=inside, other=0.0).to(tl.float32)
    normal = (x - tl.load(mean + slot * C + c)[None, :]) * tl.load(scale + slot * C + c)[None, :]
    at = (slot * blocks + block) * 2 * C + c
    tl.store(sums + at, tl.sum(g, 0))
    tl.store(sums + at + C, tl.sum(g * normal, 0))


@triton.jit(do_not_specialize=_SIZES)
def settle_gradient(
    sums, mean, scale, weight, factors, weight_gradient, bias_gradient,
    pixels,
    BLOCKS: tl.constexpr, C: tl.constexpr, MANY: tl.constexpr,
):  # fmt: skip
    """Gradients of a normalisation, and ``factors (n, 3, C)`` of what comes before it.

    The gradient of the maps is ``factors[0] * gradient + factors[1] * maps + factors[2]``.
    """
    slot = tl.program_id(0)
    c, chunk = tl.arange(0, C), tl.arange(0, MANY)
    plain, times = tl.zeros((C,), tl.float32), tl.zeros((C,), tl.float32)
    for start in range(0, BLOCKS, MANY):
        block = start + chunk
        there = (block < BLOCKS)[:, None]
        at = ((slot * BLOCKS + block)[:, None]) * 2 * C + c[None, :]
        plain += tl.sum(tl.load(sums + at, mask=there, other=0.0), 0)
        times += tl.sum(tl.load(sums + at + C, mask=there, other=0.0), 0)
    at = slot * C + c
    tl.store(bias_gradient + at, plain)
    tl.store(weight_gradient + at, times)
    deviation = tl.load(scale + at)
    first = tl.load(weight + at) * deviation
    second = -first * deviation * times / pixels
    at = slot * 3 * C + c
    tl.store(factors + at, first)
    tl.store(factors + at + C, second)
    tl.store(factors + at + 2 * C, -first * plain / pixels - second * tl.load(mean + slot * C + c))


@triton.jit(do_not_specialize=_SIZES)
def differentiate(
    gradient, maps, factors, out, owners, pixels,
    C: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """``out (n, P, C)``: the gradient of the maps of a convolution, of that of its node."""
    slot, block = tl.program_id(0), tl.program_id(1)
    network = tl.load(owners + slot)
    pixel, c = block * ROWS + tl.arange(0, ROWS), tl.arange(0, C)
    inside = (pixel < pixels)[:, None]
    at = (network * pixels + pixel)[:, None] * C + c[None, :]
    g = tl.load(gradient + at, mask=inside, other=0.0).to(tl.float32)
    to = (slot * pixels + pixel)[:, None] * C + c[None, :]
    x = tl.load(maps + to, mask=inside, other=0.0).to(tl.float32)
    at = slot * 3 * C + c
    found = g * tl.load(factors + at)[None, :] + x * tl.load(factors + at + C)[None, :]
    found += tl.load(factors + at + 2 * C)[None, :]
    tl.store(out + to, found.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=_SIZES)
def input_gradient(
    gradient, weight, out, pixels, height, width,
    KERNEL: tl.constexpr, C: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """``out (n, P, C)``: the gradient of what a convolution reads, of that of its maps."""
    slot, block = tl.program_id(0), tl.program_id(1)
    pixel, c = block * ROWS + tl.arange(0, ROWS), tl.arange(0, C)
    inside = pixel < pixels
    row, column = (pixel // width) % height, pixel % width
    found = tl.zeros((ROWS, C), tl.float32)
    for tap in tl.static_range(KERNEL * KERNEL):
        up, left = KERNEL // 2 - tap // KERNEL, KERNEL // 2 - tap % KERNEL
        there = inside & (row + up >= 0) & (row + up < height)
        there = there & (column + left >= 0) & (column + left < width)
        at = (slot * pixels + pixel + up * width + left)[:, None] * C + c[None, :]
        g = tl.load(gradient + at, mask=there[:, None], other=0.0)
        at = ((slot * C + c)[:, None] * (KERNEL * KERNEL) + tap) * C + c[None, :]
        w = tl.load(weight + at).to(gradient.dtype.element_ty)
        found = tl.dot(g, w, found, input_precision="ieee")
    at = (slot * pixels + pixel)[:, None] * C + c[None, :]
    tl.store(out + at, found.to(out.dtype.element_ty), mask=inside[:, None])


@triton.jit(do_not_specialize=(*_SIZES, "count"))
def weight_gradient(
    node0, node1, node2, gradient, parts, owners, sources,
    pixels, height, width, count,
    EACH: tl.constexpr, KERNEL: tl.constexpr, C: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """``parts (splits, n * C, k * k, C)``: gradients of weights over EACH blocks of pixels."""
    tap, slot, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    network, source = tl.load(owners + slot), tl.load(sources + slot)
    node = node0
    if source == 1:
        node = node1
    if source == 2:
        node = node2
    c = tl.arange(0, C)
    down, right = tap // KERNEL - KERNEL // 2, tap % KERNEL - KERNEL // 2
    found = tl.zeros((C, C), tl.float32)
    for step in range(EACH):
        pixel = (split * EACH + step) * ROWS + tl.arange(0, ROWS)
        inside = pixel < pixels
        row, column = (pixel // width) % height, pixel % width
        there = inside & (row + down >= 0) & (row + down < height)
        there = there & (column + right >= 0) & (column + right < width)
        at = (network * pixels + pixel + down * width + right)[:, None] * C + c[None, :]
        x = tl.load(node + at, mask=there[:, None], other=0.0).to(tl.float32)
        x = tl.maximum(x, 0.0).to(node0.dtype.element_ty)
        at = (slot * pixels + pixel)[:, None] * C + c[None, :]
        g = tl.load(gradient + at, mask=inside[:, None], other=0.0)
        found = tl.dot(tl.trans(g), x, found, input_precision="ieee")
    rows = (split * count + slot) * C + c
    at = (rows[:, None] * (KERNEL * KERNEL) + tap) * C + c[None, :]
    tl.store(parts + at, found)


@triton.jit(do_not_specialize=_SIZES)
def node_gradient(
    node, gradient1, gradient2, gradient3, narrow1, narrow2, narrow3, wide1, wide2, wide3,
    out, kinds, slots, pixels, height, width,
    C: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """``out (K, P, C)``: a node's gradient, of those of the later nodes and their convolutions.

    ``kinds`` and ``slots (K, 3)`` say how each of the later nodes reads it, the nearest first.
    """
    network, block = tl.program_id(0), tl.program_id(1)
    pixel, c = block * ROWS + tl.arange(0, ROWS), tl.arange(0, C)
    inside = pixel < pixels
    row, column = (pixel // width) % height, pixel % width
    here = (network * pixels + pixel)[:, None] * C + c[None, :]
    positive = tl.load(node + here, mask=inside[:, None], other=0.0).to(tl.float32) > 0
    total = tl.zeros((ROWS, C), tl.float32)
    for end in tl.static_range(3):
        kind = tl.load(kinds + network * 3 + end)
        slot = tl.load(slots + network * 3 + end)
        gradient, narrow, wide = gradient1, narrow1, wide1
        if end == 1:
            gradient, narrow, wide = gradient2, narrow2, wide2
        if end == 2:
            gradient, narrow, wide = gradient3, narrow3, wide3
        if kind == SKIP_:
            total += tl.load(gradient + here, mask=inside[:, None], other=0.0).to(tl.float32)
        if kind == POOL_:
            for tap in tl.static_range(9):
                down, right = tap // 3 - 1, tap % 3 - 1
                there = inside & (row + down >= 0) & (row + down < height)
                there = there & (column + right >= 0) & (column + right < width)
                # A window at the border has fewer pixels.
                rows = tl.minimum(row + down + 2, height) - tl.maximum(row + down - 1, 0)
                columns = tl.minimum(column + right + 2, width) - tl.maximum(column + right - 1, 0)
                share = 1.0 / tl.maximum(rows * columns, 1).to(tl.float32)
                at = (network * pixels + pixel + down * width + right)[:, None] * C + c[None, :]
                part = tl.load(gradient + at, mask=there[:, None], other=0.0).to(tl.float32)
                total += part * share[:, None]
        if (kind == NARROW_) | (kind == WIDE_):
            maps = narrow
            if kind == WIDE_:
                maps = wide
            at = (slot * pixels + pixel)[:, None] * C + c[None, :]
            part = tl.load(maps + at, mask=inside[:, None], other=0.0).to(tl.float32)
            total += tl.where(positive, part, 0.0)
    tl.store(out + here, total.to(out.dtype.element_ty), mask=inside[:, None])
