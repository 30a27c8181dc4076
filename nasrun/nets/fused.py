"""Networks of one shape made into a single one, whose channels are theirs side by side.

A GPU spends more time on starting the small kernels of one cell than on computing them. Grouped
convolutions compute those of many networks at once, batch normalisation treats every channel by
itself in any case, and one product per network is the classifiers'. Each network's numbers depend
on its own weights alone.

The networks that were fused stay what they are: their weights and statistics become views of the
fused ones, so that they can be judged, saved and exported as if they had been trained alone.
"""

import copy
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from nasrun.nets.classification import PooledLinear

# Modules of PyTorch that neither mix channels nor ask how many there are.
PER_CHANNEL = (
    nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.Identity, nn.ReLU, nn.AvgPool2d, nn.MaxPool2d,
    nn.AdaptiveAvgPool2d,
)  # fmt: skip


@runtime_checkable
class Fusible(Protocol):
    """A module with a way of its own to be fused, such as a cell whose operations differ."""

    def fused_shape(self) -> Hashable | None:
        """What must be equal for modules to be fused; None: this one is trained alone."""
        ...

    def fused_with(self, modules: Sequence[Any], fuser: "Fuser") -> nn.Module:
        """One module of several of this shape, this one being the first."""
        ...


def shape_of(module: nn.Module) -> Hashable | None:
    """What must be equal for modules to be fused; None: it holds a part that cannot be.

    A module of nasrun says by ``per_channel = True`` that its ``forward`` neither mixes channels
    nor asks for their number, save by a ``networks`` that the fused one is given.
    """
    if isinstance(module, Fusible):
        return module.fused_shape()
    kind = type(module)
    if isinstance(module, nn.Linear):
        return kind, module.in_features, module.out_features, module.bias is not None
    if isinstance(module, (nn.Conv2d, nn.BatchNorm2d)):
        return kind, module.extra_repr()
    known = kind in PER_CHANNEL or isinstance(module, nn.AvgPool2d)
    if not known and not getattr(module, "per_channel", False):
        return None
    inner = [(name, shape_of(child)) for name, child in module.named_children()]
    if any(shape is None for _, shape in inner):
        return None
    return kind, module.extra_repr(), _settings(module), tuple(inner)


def _settings(module: nn.Module) -> Hashable:
    """Plain values that a module keeps beside its parts, such as where its branches begin."""
    every_module = vars(nn.Module())
    return repr(sorted((n, value) for n, value in vars(module).items() if n not in every_module))


@dataclass(frozen=True)
class Place:
    """Where a network's parameter lies in a fused one: ``rows`` of its first axis."""

    single: nn.Parameter
    fused: nn.Parameter
    rows: slice
    network: int

    def part(self, whole: Tensor) -> Tensor:
        """The network's part of a tensor that is shaped like the fused parameter."""
        return whole[self.rows]


class Fuser:
    """Makes one module of several, and remembers where each parameter went.

    Args:
        networks: all of one ``shape_of``; their parameters and statistics become views.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        self.count = len(networks)
        self.places: list[Place] = []
        self.network = self.module(networks, range(self.count))

    def module(self, modules: Sequence[nn.Module], owners: Sequence[int]) -> nn.Module:
        """One module of several of one shape; ``owners`` are the networks they belong to."""
        first = modules[0]
        if isinstance(first, Fusible):
            return first.fused_with(cast(Sequence[Any], modules), self)
        if isinstance(first, nn.Linear):
            return Linears(cast(Sequence[nn.Linear], modules), owners, self)
        if isinstance(first, nn.Conv2d):
            return self._convolution(cast(Sequence[nn.Conv2d], modules), owners)
        if isinstance(first, nn.BatchNorm2d):
            return self._normalisation(cast(Sequence[nn.BatchNorm2d], modules), owners)
        made = _emptied(first)
        for name, _ in first.named_children():
            children = [module.get_submodule(name) for module in modules]
            made.add_module(name, self.module(children, owners))
        if hasattr(first, "networks"):
            made.networks = len(modules)  # type: ignore[assignment]
        return made

    def parameter(self, singles: Sequence[nn.Parameter], owners: Sequence[int]) -> nn.Parameter:
        """The parameters below each other; each becomes a view of its part."""
        whole = torch.cat([single.detach() for single in singles])
        if whole.dim() == 4:
            whole = whole.contiguous(memory_format=torch.channels_last)
        fused = nn.Parameter(whole)
        step = len(singles[0])
        for number, (single, owner) in enumerate(zip(singles, owners, strict=True)):
            place = Place(single, fused, slice(number * step, (number + 1) * step), owner)
            single.data = place.part(fused.data)
            self.places.append(place)
        return fused

    def _convolution(self, modules: Sequence[nn.Conv2d], owners: Sequence[int]) -> nn.Conv2d:
        made = cast(nn.Conv2d, _emptied(modules[0]))
        made.in_channels *= len(modules)
        made.out_channels *= len(modules)
        made.groups *= len(modules)
        self._take_parameters(made, modules, owners)
        return made

    def _normalisation(
        self, modules: Sequence[nn.BatchNorm2d], owners: Sequence[int]
    ) -> nn.BatchNorm2d:
        made = cast(nn.BatchNorm2d, _emptied(modules[0]))
        made.num_features *= len(modules)
        self._take_parameters(made, modules, owners)
        for name, _ in modules[0].named_buffers():
            made.register_buffer(name, _joined_buffers(modules, name))
        return made

    def _take_parameters(
        self, made: nn.Module, modules: Sequence[nn.Module], owners: Sequence[int]
    ) -> None:
        for name in ("weight", "bias"):
            singles = [getattr(module, name) for module in modules]
            whole = None if singles[0] is None else self.parameter(singles, owners)
            made.register_parameter(name, whole)


def _joined_buffers(modules: Sequence[nn.Module], name: str) -> Tensor:
    """The statistics one after the other; each module's become views of its part.

    The number of batches is one for all.
    """
    singles: list[Tensor] = [getattr(module, name) for module in modules]
    if not singles[0].dim():
        count = singles[0].clone()  # an earlier cohort's may be that of others, too
        for module in modules:
            setattr(module, name, count)
        return count
    whole = torch.cat(singles)
    for module, part in zip(modules, whole.chunk(len(modules)), strict=True):
        setattr(module, name, part)
    return whole


def _emptied(module: nn.Module) -> Any:
    """A module with the same settings, without parameters, statistics and parts."""
    made = copy.copy(module)
    for name in ("_parameters", "_buffers", "_modules"):
        made.__dict__[name] = {}
    made.__dict__["_non_persistent_buffers_set"] = set(module._non_persistent_buffers_set)
    return made


class Linears(nn.Module):
    """Linear layers side by side: ``(B, K * in)``, or maps that are averaged, to ``(B, K * out)``.

    Args:
        modules: K layers of one shape.
        owners: the networks they belong to.
        fuser: takes their weights.
    """

    def __init__(self, modules: Sequence[nn.Linear], owners: Sequence[int], fuser: Fuser) -> None:
        super().__init__()
        self._pools = isinstance(modules[0], PooledLinear)
        self._size = len(modules), modules[0].out_features, modules[0].in_features
        weights = [cast(nn.Parameter, module.weight) for module in modules]
        self.weight = fuser.parameter(weights, owners)
        self.bias: nn.Parameter | None = None
        if modules[0].bias is not None:
            biases = [cast(nn.Parameter, module.bias) for module in modules]
            self.bias = fuser.parameter(biases, owners)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, K * out)``, network by network."""
        if self._pools:
            x = x.mean(dim=(2, 3))
        inputs = x.unflatten(1, (self._size[0], self._size[2])).transpose(0, 1)
        outputs = torch.bmm(inputs, self.weight.view(self._size).transpose(1, 2))
        outputs = outputs.transpose(0, 1).flatten(1)
        return outputs if self.bias is None else outputs + self.bias
