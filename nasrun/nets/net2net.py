"""Chains of convolutions that can be widened, deepened and given skips: networks and weights."""

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from nasrun.errors import UnsupportedError
from nasrun.nets.layer_chain import Chain, Layer, kept_layers
from nasrun.nets.morphisms import (
    Moments,
    State,
    Widening,
    below,
    identity_kernel,
    identity_norm,
    under,
)
from nasrun.spec import Objective


class ChainLayer(nn.Module):
    """Convolution, batch normalisation, ReLU; with a skip a mix of that and of what came in.

    The mix is learnt and begins with nothing of what came in. It is rectified, so that what comes
    out is never negative: a new layer's ReLU leaves it as it is.
    """

    def __init__(self, layer: Layer, c_in: int, norm: bool) -> None:
        super().__init__()
        kernel, units, skip = layer
        self.conv = nn.Conv2d(c_in, units, kernel, padding=kernel // 2, bias=not norm)
        self.norm = nn.BatchNorm2d(units) if norm else nn.Identity()
        self.mix = nn.Parameter(torch.ones(())) if skip else None

    def forward(self, x: Tensor) -> Tensor:
        """``(B, units, H, W)`` of ``x (B, C, H, W)``."""
        y = F.relu(self.norm(self.conv(x)))
        return y if self.mix is None else F.relu(self.mix * y + (1.0 - self.mix) * x)


class ChainNetwork(nn.Module):
    """Blocks of layers with 2x2 max pooling between, averages, fully connected layers, the head.

    Fully connected layers have no normalisation: the last batch may be a single image.

    Args:
        chain: the layers.
        objective: what the network is trained for.
        channels: by which the layers were sized; it stands among the weights, for morphisms.
    """

    def __init__(self, chain: Chain, objective: Objective, channels: int) -> None:
        super().__init__()
        self.register_buffer("channels", torch.tensor(channels))
        width, layers = 3, list[nn.Module]()
        for layer in (layer for block in chain.blocks for layer in block):
            layers.append(ChainLayer(layer, width, norm=True))
            width = layer.units
        self.layers = nn.ModuleList(layers)
        full = list[nn.Module]()
        for layer in chain.full:
            full.append(ChainLayer(layer, width, norm=False))
            width = layer.units
        self.full = nn.ModuleList(full)
        self.classifier = objective.head(width)
        self._ends = {sum(map(len, chain.blocks[:at])) for at in range(1, len(chain.blocks))}

    def forward(self, x: Tensor) -> Tensor:
        """The head's output for ``x (B, 3, H, W)``."""
        for at, layer in enumerate(self.layers):
            if at in self._ends:
                x = F.max_pool2d(x, 2, ceil_mode=True)
            x = layer(x)
        if len(self.full):
            x = x.mean(dim=(2, 3), keepdim=True)
        for layer in self.full:
            x = layer(x)
        return self.classifier(x)


def morphed(parent: Chain, child: Chain, state: State, generator: Generator) -> State | None:
    """The weights of ``child`` that compute what ``state`` of ``parent`` does.

    None where no morphism leads from one to the other: see ``kept_layers``. A new layer leaves
    alone what is not negative, as all is that a layer gives.
    """
    kept = kept_layers(parent, child)
    if kept is None:
        return None
    made = State()
    like = state["layers.0.conv.weight"]
    # Of the parent's channels at this place: how many, their moments, and who has copies of them.
    channels, moments, width = like.shape[1], None, Widening.none(like.shape[1])
    layers = [("layers", layer) for block in child.blocks for layer in block]
    layers += [("full", layer) for layer in child.full]
    read, written = {"layers": 0, "full": 0}, {"layers": 0, "full": 0}
    for (group, layer), is_kept in zip(layers, kept, strict=True):
        if is_kept:
            own = below(f"{group}.{read[group]}", state)
            read[group] += 1
            channels = len(own["conv.weight"])
            if group == "layers":
                moments = Moments.rectified(own["norm.bias"], own["norm.weight"])
        else:
            own = _new(layer.kernel, channels, moments if group == "layers" else None, like)
        # Where a skip is in use, what comes out is laid over what came in.
        out = Widening.none(channels).wider(layer.units, generator) if "mix" not in own else width
        made |= under(f"{group}.{written[group]}", _widened(own, width, out, layer.skip))
        written[group] += 1
        width = out
    return made | _head(width, below("classifier", state)) | {"channels": state["channels"]}


def _new(kernel: int, channels: int, moments: Moments | None, like: Tensor) -> State:
    """A layer that gives what it reads."""
    made = {"conv.weight": identity_kernel(channels, kernel, like)}
    if moments is None:
        return made | {"conv.bias": like.new_zeros(channels)}
    return made | under("norm", identity_norm(moments))


def _widened(state: State, read: Widening, out: Widening, skip: bool) -> State:
    """A layer that reads copies of channels, and makes copies; a new skip adds nothing yet."""
    made = {
        key: out.outputs(value) if value.dim() else value.clone() for key, value in state.items()
    }
    made["conv.weight"] = read.inputs(made["conv.weight"])
    if skip and "mix" not in made:
        made["mix"] = state["conv.weight"].new_ones(())
    return made


def _head(width: Widening, state: State) -> State:
    """The head, which reads more channels."""
    [reading] = _reading(state)
    return {
        f"classifier.{key}": width.inputs(value) if key == reading else value.clone()
        for key, value in state.items()
    }


def _reading(state: State) -> list[str]:
    """The one matrix of weights of a linear head.

    Raises:
        UnsupportedError: it has several.
    """
    matrices = [key for key, value in state.items() if value.dim() > 1]
    if len(matrices) != 1:
        raise UnsupportedError(
            f"space=net2net hands weights on to a head with one linear layer, got {len(matrices)}: "
            "search on a task of classification"
        )
    return matrices
