"""Parameters and FLOPs of a network, counted while it runs."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def footprint(network: nn.Module, px: int, image_channels: int = 3) -> tuple[float, float]:
    """Parameters and FLOPs in millions, counted as NAS-Bench-201 does.

    One FLOP is one multiplication of a convolution or a classifier, or one bias; normalisation,
    pooling and sums are free. What the network does not compute does not count, and neither does an
    auxiliary head, which serves training alone (Liu et al., "DARTS", ICLR 2019, Table 1). A network
    that reads something else than pictures has an ``example`` of it.
    """
    flops = 0

    def count(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal flops
        if isinstance(module, nn.Conv2d):
            flops += output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            flops += output.numel() * (module.in_features + (module.bias is not None))

    parts = [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    hooks = [part.register_forward_hook(count) for part in parts]
    trains = network.training
    try:
        with torch.no_grad():
            weight = next(network.parameters())
            own: Callable[[], torch.Tensor] | None = getattr(network, "example", None)
            picture = weight.new_zeros(1, image_channels, px, px) if own is None else own()
            network.eval()(picture)
    finally:
        network.train(trains)
        for hook in hooks:
            hook.remove()
    beside = (getattr(part, "auxiliary", None) for part in network.modules())
    unused = sum(_weights(head) for head in beside if isinstance(head, nn.Module))
    return (_weights(network) - unused) / 1e6, flops / 1e6


def _weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
