"""A GPU that is none: tensors that say they lie on another device while the CPU computes them.

PyTorch's ``meta`` device stands for the GPU, because autograd serves it in every build. As on a
GPU, tensors of both devices in one operation are refused, and so is a generator of the other
device; every operation that a host would wait for is counted.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from nasrun.nets.device import Device

PLACE = torch.device("meta")
aten = torch.ops.aten
WAITS = {  # the host needs a number, or the number of results, before it goes on
    aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default,
    aten.is_nonzero.default, aten.item.default, aten.equal.default,
    aten.repeat_interleave.Tensor,
}  # fmt: skip
INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}
COPIES = {aten._to_copy.default, aten.copy_.default}


class Remote(torch.Tensor):
    """A tensor that says it lies on ``PLACE``; ``inner`` holds its numbers."""

    @staticmethod
    def __new__(cls, inner):
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(),
            dtype=inner.dtype, device=PLACE,
        )  # fmt: skip
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError(f"{func} outside of PretendedGPU")


class RemoteGenerator(torch.Generator):
    """Known by its seed, because PyTorch hands operations another object for it."""

    device = PLACE
    seeds: ClassVar = set()

    @classmethod
    def of(cls, seed):
        cls.seeds.add(seed := seed ^ (1 << 50))
        return cls().manual_seed(seed)


class PretendedGPU(TorchDispatchMode):
    """Context in which ``PLACE`` computes; ``waits`` lists what a host would have waited for."""

    def __init__(self):
        super().__init__()
        self.waits = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        remote = any(isinstance(tensor, Remote) for tensor in tensors)
        asked = kwargs.get("device")
        goes = remote if asked is None else torch.device(asked) == PLACE
        if func in COPIES:
            self._copied(func, args, kwargs, goes)
        else:
            self._check(func, tensors, kwargs, goes)
        if asked is not None:
            kwargs["device"] = torch.device("cpu")
        outer = {id(_inner(tensor)): tensor for tensor in tensors}
        found = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))

        def wrap(result):
            if not isinstance(result, torch.Tensor):
                return result
            if id(result) in outer:
                return outer[id(result)]  # of an operation in place
            return Remote(result) if goes else result

        return tree_map(wrap, found)

    def _copied(self, func, args, kwargs, goes):
        source = args[1] if func is aten.copy_.default else args[0]
        goes = isinstance(args[0], Remote) if func is aten.copy_.default else goes
        came = isinstance(source, Remote)
        free = kwargs.get("non_blocking") or (func is aten.copy_.default and args[2:] == (True,))
        if came != goes and not (goes and (free or source.dim() == 0)):
            self.waits.append(str(func))

    def _check(self, func, tensors, kwargs, goes):
        if func in WAITS and goes:
            self.waits.append(str(func))
        generator = kwargs.get("generator")
        if generator is not None and (generator.initial_seed() in RemoteGenerator.seeds) != goes:
            raise RuntimeError(f"{func}: the generator lies on another device")
        large = [tensor for tensor in tensors if tensor.dim()]
        if goes and not all(isinstance(tensor, Remote) for tensor in large):
            if func not in INDEXED:
                shapes = [(type(t).__name__, tuple(t.shape)) for t in tensors]
                raise RuntimeError(f"{func}: tensors of two devices, {shapes}")
            self.waits.append(str(func))
        if func in INDEXED and any(t.dtype is torch.bool for t in _indices(func, tensors)):
            self.waits.append(str(func))


def _indices(func, tensors):
    return tensors[1:] if func is aten.index.Tensor else tensors[1:-1]


def _inner(leaf):
    return leaf.inner if isinstance(leaf, Remote) else leaf


@dataclass(frozen=True)
class PretendedDevice(Device):
    """The device of a context of PretendedGPU."""

    def __post_init__(self):
        pass

    processor = PLACE
    on_gpu = True
    dtype = torch.float32
    label = "pretended"

    def autocast(self, cached=True):
        return nullcontext()

    def place(self, network):
        return network.to(PLACE)

    def seeded(self, *key):
        return Device("cpu").seeded(*key)

    def generator(self, seed):
        return RemoteGenerator.of(seed)

    def free(self):
        pass

    def wait(self):
        pass
