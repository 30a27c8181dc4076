"""Cells of NAS-Bench-201 computed by themselves in float64, and fused by a GPU's kernels."""

import copy

import numpy as np
import torch
from torch import nn

from nasrun.nets import kernel_cell
from nasrun.nets.fused import Fuser
from nasrun.nets.nb201 import Cell
from nasrun.spaces.nb201 import NB201

SPACE = NB201()
BIASED = "|none~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|"


def made(seed, channels, networks=4, pictures=2, px=5):
    """Random cells, one of which reads a node that does not exist; an input and a gradient."""
    generator = np.random.default_rng(seed)
    archs = [SPACE.parse(BIASED)]
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        cells = [cell_of(archs[0], channels)]
        while len(cells) < networks:
            arch = SPACE.at(generator.integers(SPACE.size, size=1))[0]
            cell = cell_of(arch, channels)
            if cell.fused_shape() is not None:
                cells.append(cell)
        shape = pictures, networks * channels, px, px
        return cells, torch.randn(shape), torch.randn(shape)


def cell_of(arch, channels):
    cell = Cell(SPACE.graph(arch), channels, channels)
    for module in cell.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 2.0)
            module.bias.data.normal_()
    return cell.double()


def by_themselves(cells, x, gradient, single=False):
    """Output, gradients and statistics of all cells in the maps' format.

    On a CPU in float64, unless ``single``.
    """
    where, exact = x.device, x.device.type == "cpu" and not single
    x = x.double() if exact else x
    cells = [copy.deepcopy(cell).to(where, torch.float64 if exact else None) for cell in cells]
    cells = cells if exact else [cell.float() for cell in cells]
    x = x.detach().requires_grad_()
    with torch.autocast(where.type, x.dtype, enabled=x.dtype is torch.bfloat16):
        parts = x.chunk(len(cells), dim=1)
        out = torch.cat([cell(part) for cell, part in zip(cells, parts, strict=True)], dim=1)
    out.backward(gradient.to(out.dtype))
    return found(out, x, cells, [dict(cell.named_parameters()) for cell in cells])


def by_kernels(cells, x, gradient):
    """The same, fused."""
    singles = [copy.deepcopy(cell).float().to(x.device) for cell in cells]
    names = [{id(p): name for name, p in cell.named_parameters()} for cell in singles]
    fuser = Fuser(singles)
    assert isinstance(fuser.network.kernels, kernel_cell.KernelCell)
    x = x.contiguous(memory_format=torch.channels_last).detach().requires_grad_()
    out = fuser.network.to(x.device)(x)
    out.backward(gradient.to(out.dtype))
    parameters = [{} for _ in cells]
    for place in fuser.places:
        part = nn.Parameter(place.single.detach())
        part.grad = place.part(place.fused.grad)
        parameters[place.network][names[place.network][id(place.single)]] = part
    return found(out, x, singles, parameters)


def found(out, x, cells, parameters):
    tensors = {"out": out.detach(), "x": x.grad}
    for number, own in enumerate(parameters):
        used = {n: p.grad for n, p in own.items() if p.grad is not None}
        tensors |= {f"{number}.{name}": gradient for name, gradient in used.items()}
        # A fused one's normalisations share their counts.
        buffers = cells[number].named_buffers(remove_duplicate=False)
        tensors |= {f"{number}.{name}": buffer for name, buffer in buffers}
    return tensors


def distance(ours, wanted):
    """The largest difference, relative where figures are large."""
    pairs = ((ours[name].double(), figures.double()) for name, figures in wanted.items())
    return max(float(((a - b).abs() / (1 + b.abs())).max()) for a, b in pairs)


def assert_equal(ours, wanted, close):
    assert ours.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(
            ours[name].cpu().double(), tensor.double(), rtol=close, atol=close,
            msg=lambda text, name=name: f"{name}: {text}",
        )  # fmt: skip
