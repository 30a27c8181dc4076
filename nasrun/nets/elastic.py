"""Layers that hold all kernels and widths of a once-for-all block in one set of weights."""

from collections.abc import Iterable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.nets.inverted_residual import ACTIVATIONS
from nasrun.nets.mobilenet_v3 import Layer
from nasrun.nets.supernet import Row, mixed


class ElasticBlock(nn.Module):
    """An inverted residual block of the largest kernel and width, of which smaller ones are parts.

    Cai et al., "Once-for-All" (ICLR 2020), section 3.3: a narrower block has the first channels; a
    smaller kernel is the centre of the next larger one times a matrix that all channels of a layer
    share, at first the identity. Squeeze-and-excitation is cut likewise. Normalisation judges by
    the batch: statistics of one width are not those of another, which is why the authors take them
    anew for every network (``calibrate``).

    Args:
        layer: what the block must do where it stands.
        kernels: sizes in rising order.
        expansions: in rising order.
    """

    def __init__(self, layer: Layer, kernels: Sequence[int], expansions: Sequence[int]) -> None:
        super().__init__()
        place, largest = layer.place, layer.block(kernels[-1], expansions[-1])
        self.kernels = tuple(kernels)
        self.shapes = [layer.block(kernels[-1], expansion) for expansion in expansions]
        self._stride, self._adds = place.stride, not place.changes
        self._activation = ACTIVATIONS[layer.activation]
        wide, squeeze = largest.wide, largest.squeeze
        self.expand = nn.Conv2d(place.c_in, wide, 1, bias=False)
        self.expand_norm = _norm(wide)
        self.depthwise = nn.Conv2d(wide, wide, kernels[-1], groups=wide, bias=False)
        self.matrices = nn.ParameterDict(
            {str(k): nn.Parameter(torch.eye(k * k)) for k in kernels[:-1]}
        )
        self.depthwise_norm = _norm(wide)
        self.reduce = nn.Conv2d(wide, squeeze, 1) if squeeze else None
        self.excite = nn.Conv2d(squeeze, wide, 1) if squeeze else None
        self.project = nn.Conv2d(wide, place.c_out, 1, bias=False)
        self.project_norm = _norm(place.c_out)

    def forward(self, x: Tensor, kernel: Row, expansion: Row) -> Tensor:
        """``(B, c_out, H', W')`` the mixture of what is alive, of ``x (B, c_in, H, W)``."""
        paths = {
            option: partial(self._passed, option, kernel.of(images))
            for option, images in expansion.live.items()
        }
        total = mixed(x, expansion, paths)
        assert total is not None
        return total

    def _passed(self, expansion: int, kernel: Row, x: Tensor) -> Tensor:
        part = self.part(self.kernels[-1], expansion)
        y = F.conv2d(x, part["expand.weight"])
        y = self._activation(_normalised(self.expand_norm, y))
        depthwise = {at: partial(self._filtered, size) for at, size in enumerate(self.kernels)}
        filtered = mixed(y, kernel, depthwise)
        assert filtered is not None
        y = self._activation(_normalised(self.depthwise_norm, filtered))
        if self.reduce is not None:
            mean = y.mean(dim=(2, 3), keepdim=True)
            names = ("squeeze.reduce", "squeeze.expand")
            (w1, b1), (w2, b2) = ((part[f"{n}.weight"], part[f"{n}.bias"]) for n in names)
            y = y * F.hardsigmoid(F.conv2d(F.relu(F.conv2d(mean, w1, b1)), w2, b2))
        y = _normalised(self.project_norm, F.conv2d(y, part["project.weight"]))
        return x + y if self._adds else y

    def _filtered(self, size: int, x: Tensor) -> Tensor:
        weight = self.filters(size, x.shape[1])
        return F.conv2d(x, weight, None, self._stride, size // 2, groups=x.shape[1])

    def filters(self, size: int, wide: int) -> Tensor:
        """``(wide, 1, size, size)`` depthwise filters of a kernel size."""
        weight = self.depthwise.weight[:wide]
        for smaller in reversed(self.kernels[:-1]):
            if weight.shape[-1] <= size:
                break
            cut = (weight.shape[-1] - smaller) // 2
            centre = weight[:, :, cut : cut + smaller, cut : cut + smaller]
            flat = F.linear(centre.flatten(1), self.matrices[str(smaller)])
            weight = flat.view(wide, 1, smaller, smaller)
        return weight

    def part(self, kernel: int, expansion: int) -> dict[str, Tensor]:
        """Weights of the block with a kernel and the ``expansion``-th width.

        By the names that ``InvertedResidual`` has for them.
        """
        wide, squeeze = self.shapes[expansion].wide, self.shapes[expansion].squeeze
        parts = {
            "expand.weight": self.expand.weight[:wide],
            "depthwise.weight": self.filters(kernel, wide),
            "project.weight": self.project.weight[:, :wide],
        }
        for name in ("expand_norm", "depthwise_norm", "project_norm"):
            norm = getattr(self, name)
            own = slice(None if name == "project_norm" else wide)
            parts |= {f"{name}.weight": norm.weight[own], f"{name}.bias": norm.bias[own]}
        if self.reduce is not None and self.excite is not None:
            assert self.reduce.bias is not None
            assert self.excite.bias is not None
            parts["squeeze.reduce.weight"] = self.reduce.weight[:squeeze, :wide]
            parts["squeeze.reduce.bias"] = self.reduce.bias[:squeeze]
            parts["squeeze.expand.weight"] = self.excite.weight[:wide, :squeeze]
            parts["squeeze.expand.bias"] = self.excite.bias[:wide]
        return parts


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, track_running_stats=False)


def _normalised(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """``x (B, c, H, W)`` normalised by its own statistics, with the first ``c`` weights."""
    weight, bias = norm.weight[: x.shape[1]], norm.bias[: x.shape[1]]
    return F.batch_norm(x, None, None, weight, bias, training=True, eps=norm.eps)


def calibrate(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Take the running statistics of all normalisations anew, as means over ``batches``.

    Yu and Huang, "Universally Slimmable Networks" (ICCV 2019), section 3.3; once-for-all networks
    are judged by such statistics, too.
    """
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    momenta, trains = [norm.momentum for norm in norms], network.training
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
    network.train()
    with torch.no_grad():
        for images in batches:
            network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.train(trains)
