"""The Zen score: how much an untrained network's features move with its input."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

ALPHA = 0.01  # of the noise that is added; Lin et al.'s ``mixup_gamma``
REPEATS = 8  # draws of weights and images; 32 in their code


def zen(network: nn.Module, x: Tensor, seed: int) -> float:
    """Lin et al., "Zen-NAS" (ICCV 2021), Algorithm 1, with the L1 norm of their code.

    ``log E|f(x) - f(x + alpha e)| + sum log sigma``, where f are the feature maps before the last
    pooling, x and e are normal noise, weights of convolutions and linear layers are standard
    normal, and sigma is, for each batch normalisation, the root of its input's mean variance (one
    that nothing reaches is left out). Mean over ``REPEATS`` draws. Residual links stay, where the
    paper takes them out of its own networks. -inf where nothing is let through.

    Args:
        network: stays as it is.
        x: ``(B, C, H, W)``, whose shape and place alone are looked at.
        seed: of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    trains = network.training
    network.train()
    try:
        with torch.no_grad():
            scores = [_drawn(network, buffers, x, generator) for _ in range(REPEATS)]
    finally:
        network.train(trains)
    return sum(scores) / REPEATS


def _drawn(
    network: nn.Module, buffers: dict[str, Tensor], x: Tensor, generator: torch.Generator
) -> float:
    def normal(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=like.dtype).to(like.device)

    weights = {
        f"{name}.weight"
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }
    state: dict[str, Tensor] = {}
    for name, parameter in network.named_parameters():
        if name in weights:
            state[name] = normal(parameter)
        else:  # of a normalisation, or a bias
            scale = name.endswith("weight")
            state[name] = torch.ones_like(parameter) if scale else torch.zeros_like(parameter)
    images = normal(x)
    moved = images + ALPHA * normal(x)
    first, second = _Features(spreads=True), _Features(spreads=False)
    for features, batch in ((first, images), (second, moved)):
        own = {**state, **{name: buffer.clone() for name, buffer in buffers.items()}}
        with features:
            torch.func.functional_call(network, own, (batch,))
    if first.maps is None or second.maps is None:
        return math.nan
    change = float((first.maps - second.maps).abs().flatten(1).sum(dim=1).double().mean())
    if change <= 0:
        return -math.inf
    return math.log(change) + sum(math.log(sigma) for sigma in first.sigmas if sigma > 0)


class _Features(TorchFunctionMode):
    """Sees the maps before the last pooling, and the spread before each batch normalisation.

    Args:
        spreads: whether spreads are wanted, which take longer than the normalisations themselves.
    """

    def __init__(self, spreads: bool) -> None:
        super().__init__()
        self._spreads = spreads
        self.maps: Tensor | None = None
        self.sigmas: list[float] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        given = args[0] if args else kwargs.get("input")
        if self._spreads and func is F.batch_norm and isinstance(given, Tensor):
            variance = given.var(dim=(0, 2, 3), correction=0)
            self.sigmas.append(float(variance.mean().sqrt()))
        result = func(*args, **kwargs)
        if isinstance(given, Tensor) and isinstance(result, Tensor) and given.dim() == 4:
            spatial = given.shape[2:].numel() > 1
            pooled = result.dim() == 4 and result.shape[2:].numel() == 1 and spatial
            if pooled or (result.dim() == 2 and (spatial or self.maps is None)):
                self.maps = given
        return result
