"""Scores of untrained networks, all from one batch of images and one forward pass.

Parameters are the weights of convolutions and linear layers, as in Abdelfattah et al., "Zero-Cost
Proxies for Lightweight NAS" (ICLR 2021), whose choices are followed where the original papers, made
for pruning, leave them open.
"""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from nasrun.nets.footprint import footprint
from nasrun.nets.zen import zen

PROXIES = (
    "jacov", "synflow", "snip", "grasp", "fisher", "grad_norm", "l2", "params", "flops", "plain",
    "nwot", "epe_nas", "zen",
)  # fmt: skip
LOSSES = {"snip", "grasp", "fisher", "grad_norm", "plain"}
TRAINED = LOSSES | {"jacov", "nwot", "epe_nas"}  # those that need images and labels
SIZES = {"params", "flops"}  # those that need a network's shapes alone
JACOV_K = 1e-5  # Mellor et al., section 3
MANY = 100  # classes, above which epe_nas compares them in pairs


def proxies(
    network: nn.Module, x: Tensor, y: Tensor, names: Sequence[str] = PROXIES, seed: int = 0
) -> dict[str, float]:
    """The scores of these names; for each, more is meant to be better.

    - ``jacov``: Mellor et al., "Neural Architecture Search without Training" (2020, first version),
      Section 3: how little the outputs' Jacobians of different images correlate.
    - ``synflow``: Tanaka et al. (NeurIPS 2020), eq. 4, summed: the gradient of the summed logits of
      an image of ones times the weight, all weights made positive; without batch normalisation.
    - ``snip``: Lee et al. (ICLR 2019), eq. 4, before it is normalised: |gradient x weight|, summed.
    - ``grasp``: Wang et al. (ICLR 2020), eq. 8: -(Hessian x gradient) x weight, summed.
    - ``fisher``: Turner et al., "BlockSwap" (ICLR 2020), eq. 3: by channel of every layer's output,
      half the mean over images of (activation x gradient, summed over pixels) squared, summed.
    - ``grad_norm``, ``l2``: norms of the gradients, or of the weights, summed over layers.
    - ``params``, ``flops``: in millions.
    - ``plain``: Abdelfattah et al.: gradient x weight, summed.
    - ``nwot``: Mellor et al., "Neural Architecture Search without Training" (ICML 2021), Section 3:
      the logarithm of the determinant of the matrix of how many ReLUs two images agree in. As our
      networks compute it: a ReLU that several convolutions read counts once.
    - ``epe_nas``: Lopes et al., "EPE-NAS" (ICANN 2021), Section 3: of each class that the batch
      has, |sum of log(|correlation| + k)| over pairs of its images' Jacobian rows, summed; from
      101 classes on the mean correlation logarithms, differences of all pairs of classes, summed
      and divided by the number of classes.
    - ``zen``: Lin et al., "Zen-NAS" (ICCV 2021); see ``zen``.

    Args:
        network: freshly made; its weights and statistics stay as they are.
        x: ``(B, C, H, W)`` images, normalised.
        y: ``(B,)`` labels.
        names: some of ``PROXIES``.
        seed: of the noise that ``zen`` looks at.
    """
    weights = [layer.weight for layer in _layers(network)]
    found: dict[str, float] = {}
    if TRAINED & set(names):
        statistics = [buffer.clone() for buffer in network.buffers()]
        found |= _from_gradients(network, weights, x, y, set(names))
        for buffer, before in zip(network.buffers(), statistics, strict=True):
            buffer.copy_(before)
    if "synflow" in names:
        found["synflow"] = _synflow(network, x)
    if "l2" in names:
        found["l2"] = float(sum(weight.detach().norm() for weight in weights))
    if "zen" in names:
        found["zen"] = zen(network, x, seed)
    if SIZES & set(names):
        sizes = footprint(network, x.shape[-1], x.shape[1])
        found |= dict(zip(("params", "flops"), sizes, strict=True))
    return {name: found[name] for name in names}


def _layers(network: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]


def _from_gradients(
    network: nn.Module, weights: list[Tensor], x: Tensor, y: Tensor, names: set[str]
) -> dict[str, float]:
    """The scores that need the loss or the logits; one forward pass serves them all."""
    network.train()
    outputs: list[Tensor] = []

    def keep(layer: nn.Module, inputs: Any, output: Tensor) -> None:
        outputs.append(output)

    hooks = [layer.register_forward_hook(keep) for layer in _layers(network)]
    inputs = x.detach().requires_grad_(bool({"jacov", "epe_nas"} & names))
    relus = _ReLUs()
    with relus if "nwot" in names else nullcontext():
        logits = network(inputs)
    for hook in hooks:
        hook.remove()
    found: dict[str, float] = {}
    if {"jacov", "epe_nas"} & names:
        rows = _jacobian(logits, inputs)
        found["jacov"] = math.nan if rows is None else _jacov(rows)
        found["epe_nas"] = math.nan if rows is None else _epe_nas(rows, y, logits.shape[1])
    if "nwot" in names:
        found["nwot"] = _nwot(logits, relus.outputs)
    if LOSSES & names:
        twice = "grasp" in names
        wanted = [*weights, *(outputs if "fisher" in names else [])]
        loss = F.cross_entropy(logits, y)
        gradients = torch.autograd.grad(loss, wanted, create_graph=twice, allow_unused=True)
        pairs = list(zip(weights, gradients, strict=False))
        own = [(weight, gradient) for weight, gradient in pairs if gradient is not None]
        found |= _first_order(own)
        reached = [
            (output.detach(), gradient.detach())
            for output, gradient in zip(outputs, gradients[len(weights) :], strict=False)
            if gradient is not None
        ]
        found["fisher"] = sum(_fisher(*pair) for pair in reached)
        if twice:
            found["grasp"] = _grasp(own)
    return found


def _first_order(pairs: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """``snip``, ``plain`` and ``grad_norm`` of weights and their gradients."""
    with torch.no_grad():
        return {
            "plain": float(sum((weight * gradient).sum() for weight, gradient in pairs)),
            "snip": float(sum((weight * gradient).abs().sum() for weight, gradient in pairs)),
            "grad_norm": float(sum(gradient.norm() for _, gradient in pairs)),
        }


def _fisher(activation: Tensor, gradient: Tensor) -> float:
    """Of one layer; ``(B, C, H, W)`` or, of a linear layer, ``(B, C)``."""
    product = activation * gradient
    if product.dim() == 4:
        product = product.sum(dim=(2, 3))
    return float(product.square().mean(dim=0).sum() / 2)


def _grasp(pairs: list[tuple[Tensor, Tensor]]) -> float:
    """``sum -(H g) w``; ``H g`` is the gradient of ``g . g`` where one factor is held fixed."""
    weights = [weight for weight, _ in pairs]
    product = sum((gradient.detach() * gradient).sum() for _, gradient in pairs)
    curvature = torch.autograd.grad(torch.as_tensor(product), weights, allow_unused=True)
    terms = [
        -(weight.detach() * bent).sum()
        for weight, bent in zip(weights, curvature, strict=True)
        if bent is not None
    ]
    return float(sum(terms))


def _jacobian(logits: Tensor, inputs: Tensor) -> Tensor | None:
    """``(B, pixels)`` gradient of each image's summed logits.

    None where a row does not vary, as in a cell that lets nothing through.
    """
    rows = torch.autograd.grad(logits.sum(), inputs, retain_graph=True, allow_unused=True)[0]
    if rows is None or not bool(rows.flatten(1).std(dim=1).gt(0).all()):
        return None
    return rows.flatten(1).double()


def _jacov(rows: Tensor) -> float:
    """``-sum(log(v + k) + 1 / (v + k))`` over eigenvalues v of the rows' correlations."""
    values = torch.linalg.eigvalsh(torch.corrcoef(rows)) + JACOV_K
    return float(-(values.log() + 1.0 / values).sum())


def _epe_nas(rows: Tensor, labels: Tensor, classes: int) -> float:
    """Of Jacobian rows ``(B, pixels)`` and their labels ``(B,)``."""
    sums: list[Tensor] = []
    for label in labels.unique():
        own = rows[labels == label]
        logs = torch.log(torch.corrcoef(own).abs().reshape(len(own), -1) + JACOV_K)
        sums.append(logs.sum() / (len(own) if classes > MANY else 1))
    by_class = torch.stack(sums)
    if classes > MANY:
        return float((by_class[:, None] - by_class).abs().sum() / len(by_class))
    return float(by_class.abs().sum())


def _nwot(logits: Tensor, outputs: list[Tensor]) -> float:
    """Of the outputs of ReLUs, as far as the logits depend on them; NaN where they do on none."""
    outputs = [output for output in outputs if output.requires_grad]
    if not outputs:
        return math.nan
    reached = torch.autograd.grad(logits.sum(), outputs, retain_graph=True, allow_unused=True)
    agree = torch.zeros(len(logits), len(logits), dtype=torch.float64, device=logits.device)
    for output, gradient in zip(outputs, reached, strict=True):
        if gradient is not None:
            on = (output.detach() > 0).flatten(1).double()
            agree += on @ on.T + (1 - on) @ (1 - on).T
    return float(torch.linalg.slogdet(agree).logabsdet)


class _ReLUs(TorchFunctionMode):
    """Keeps what ReLUs return, be they layers or functions."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (F.relu, torch.relu, F.relu6):
            self.outputs.append(result)
        return result


def _synflow(network: nn.Module, x: Tensor) -> float:
    """In double precision: products of many layers leave float32's range."""
    parameters = {k: v.detach().double().abs() for k, v in network.named_parameters()}
    layers = {f"{name}.weight": layer for name, layer in network.named_modules()
              if isinstance(layer, nn.Conv2d | nn.Linear)}  # fmt: skip
    weights = {name: parameters[name].requires_grad_() for name in layers}
    ones = torch.ones(1, *x.shape[1:], dtype=torch.float64, device=x.device)
    norms: list[Any] = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    plain = [(module, module.forward) for module in norms]
    trains = network.training
    try:
        for module in norms:
            module.forward = _unchanged
        logits = torch.func.functional_call(network.eval(), {**parameters, **weights}, (ones,))
    finally:
        network.train(trains)
        for module, forward in plain:
            module.forward = forward
    gradients = torch.autograd.grad(logits.sum(), list(weights.values()), allow_unused=True)
    terms = [
        (weight.detach() * gradient).abs().sum()
        for weight, gradient in zip(weights.values(), gradients, strict=True)
        if gradient is not None
    ]
    return float(sum(terms))


def _unchanged(x: Tensor) -> Tensor:
    return x
