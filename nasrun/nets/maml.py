"""Model-agnostic meta-learning: first weights from which a few pictures teach new classes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Weights = Mapping[str, Tensor]
Forward = Callable[[Weights, Tensor], Tensor]  # (B, ways) logits of (B, ...) inputs


class Episodes(NamedTuple):
    """``M`` small problems: what is learnt from, and what is judged on.

    ``support (M, ways * shots, ...)`` with ``support_labels (M, ways * shots)``; ``query (M,
    ways * queries, ...)`` with ``query_labels (M, ways * queries)``; labels are 0 to ``ways - 1``.
    """

    support: Tensor
    support_labels: Tensor
    query: Tensor
    query_labels: Tensor


@dataclass(frozen=True)
class InnerLoop:
    """Plain gradient descent on the few pictures of an episode (Finn et al., 2017, Algorithm 2).

    ``second_order``: the first weights' gradient goes through those of the steps; if not, these are
    constants to it (ibid., section 5.2).
    """

    steps: int
    rate: float
    second_order: bool = True

    def adapted(self, forward: Forward, weights: Weights, x: Tensor, labels: Tensor) -> Weights:
        """``weights`` after ``steps`` steps along the cross-entropy of ``x (n, ...)``."""

        def loss(own: Weights) -> Tensor:
            return F.cross_entropy(forward(own, x), labels)

        for _ in range(self.steps):
            gradient = torch.func.grad(loss)(weights)
            if not self.second_order:
                gradient = {name: each.detach() for name, each in gradient.items()}
            weights = {name: own - self.rate * gradient[name] for name, own in weights.items()}
        return weights

    def logits(self, forward: Forward, weights: Weights, episodes: Episodes) -> Tensor:
        """``(M, ways * queries, ways)`` what is said of each query after its episode's steps."""

        def one(support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
            return forward(self.adapted(forward, weights, support, labels), query)

        return torch.func.vmap(one)(*episodes[:3])


def meta_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """``()`` mean cross-entropy of the queries of all episodes."""
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten())


def accuracies(logits: Tensor, labels: Tensor) -> Tensor:
    """``(M,)`` percentage of each episode's queries that are right."""
    return 100.0 * (logits.argmax(-1) == labels).float().mean(-1)


class BatchMoments(nn.Module):
    """Batch normalisation by the moments of the batch, in elementary operations.

    Under ``vmap``, which second order needs, the gradient of torch's own (2.13) through its own
    gradient is wrong, by up to 1.4 % of a measured slope. Of what it is made of here, it is right.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` normalised ``x``, and scaled and shifted if the norm did."""
        spread, mean = torch.var_mean(x, (0, 2, 3), correction=0, keepdim=True)
        x = (x - mean) * torch.rsqrt(spread + self.eps)
        if self.weight is not None:
            x = x * self.weight[:, None, None] + self.bias[:, None, None]
        return x


def functional(network: nn.Module) -> tuple[dict[str, Tensor], Forward]:
    """A network's weights, and the function of weights and inputs that it is.

    Batch normalisation takes the moments of the batch it sees, queries included: MAML's
    *transductive* setting (Nichol et al., 2018, section 3.1), in which Finn et al. report.
    """
    for part in list(network.modules()):
        for name, own in part.named_children():
            if isinstance(own, nn.BatchNorm2d):
                setattr(part, name, BatchMoments(own))
    network.train()
    weights = {name: own.detach().clone() for name, own in network.named_parameters()}

    def forward(own: Weights, x: Tensor) -> Tensor:
        return torch.func.functional_call(network, dict(own), (x,))

    return weights, forward
