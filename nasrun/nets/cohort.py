"""Networks of many trials at once: every weight has the trials as its leading axis.

A trial's numbers must not depend on who else is in the cohort, down to the last bit. Batched matrix
products keep that promise only where every matrix starts on a cache line and where there is more
than one of them (a single product is given to another routine, which adds up in another order).
Hence ``WIDTH`` and ``together``.
"""

import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasrun.streams import Ints, Streams

WIDTH = 16  # float32 numbers of a 64-byte cache line: every width is rounded up to whole lines
BLOCK = 128  # trials; larger ones wait for memory, smaller ones for Python
Item = TypeVar("Item")
Result = TypeVar("Result")


def together(trials: int) -> Ints:
    """Indices of the trials to compute, at least two: a lone trial is computed twice."""
    return np.arange(trials) if trials > 1 else np.zeros(2, np.int64)


def blocks(trials: int) -> list[slice]:
    """The trials in blocks whose weights and gradients stay in the caches of a core."""
    return [slice(at, min(at + BLOCK, trials)) for at in range(0, trials, BLOCK)]


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """``work`` of every item, on as many threads as PyTorch may use; each runs on one alone.

    Small matrices gain little from threads inside an operation, and much from having a core to
    themselves. No result depends on it.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of this thread and of those that are made below
    try:
        if threads == 1 or len(items) == 1:
            return [work(item) for item in items]
        return list(_pool(threads).map(work, items))
    finally:
        torch.set_num_threads(threads)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that stay: new ones would have to ask the system for all their memory again."""
    return ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))


def padded(width: int) -> int:
    """``width`` rounded up to whole cache lines."""
    return -(-width // WIDTH) * WIDTH


def shapes_of(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Shapes of one trial's weights and biases in turn, for layer ``sizes``."""
    pairs = pairwise(map(padded, sizes))
    return [shape for n_in, n_out in pairs for shape in ((n_in, n_out), (1, n_out))]


class Workspace(threading.local):
    """Memory that the networks of a thread take turns in.

    A step makes and drops the same arrays as the one before it. Asked for anew each time, their
    pages cost a sixth of a search's time.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[str, int, torch.dtype], Tensor] = {}
        self._taken: dict[tuple[str, int, torch.dtype], Tensor] = {}

    def take(self, use: str, number: int, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """An array that holds anything, until somebody takes the one of this use and number."""
        key = (use, number, dtype)
        last = self._taken.get(key)
        if last is not None and last.shape == shape:  # most steps are like the one before
            return last
        size, held = math.prod(shape), self._held.get(key)
        if held is None or held.numel() < size:  # with room for a history that grows
            held = self._held[key] = torch.empty(size + size // 4, dtype=dtype)
        taken = self._taken[key] = held[:size].view(*shape)
        return taken


workspace = Workspace()


class CohortMLP:
    """``T`` perceptrons of one shape: inputs ``(T, n, padded(sizes[0]))``, trial by trial.

    Surplus inputs must be zero, and surplus outputs (columns from ``sizes[-1]`` on) are to be
    ignored. Rectified linear units, or tanh, between the layers. All weights and biases stand one
    behind the other in ``flat (P,)``, so that optimisers have one array to go through. Those of a
    layer are contiguous over the trials: PyTorch multiplies other matrices one at a time.

    Args:
        parameters: weights ``(T, in, out)`` and biases ``(T, 1, out)`` in turn, widths padded;
            the attribute of this name holds views of ``flat``.
        name: networks whose gradients are taken together need different ones.
        tanh: between the layers, in place of rectified linear units.
    """

    def __init__(self, parameters: Iterable[Tensor], name: str = "net", tanh: bool = False) -> None:
        parts = list(parameters)
        self.tanh = tanh
        self._shapes = [part.shape for part in parts]
        self.name = name
        self.uses = f"{name} hidden", f"{name} gradient"  # of the workspace
        self.hold(torch.cat([part.flatten() for part in parts]))

    def hold(self, flat: Tensor) -> None:
        """Have these weights and biases from now on, in the precision of ``flat (P,)``."""
        self.flat = flat.detach().requires_grad_()
        self.parameters = self.parts_of(self.flat)
        self._gradient: Tensor | None = None
        self._gradients: list[Tensor] = []

    def parts_of(self, flat: Tensor) -> list[Tensor]:
        """Weights and biases in turn, or what is to them as ``flat`` is to the network's."""
        pieces = flat.detach().split([math.prod(shape) for shape in self._shapes])
        return [piece.view(shape) for piece, shape in zip(pieces, self._shapes, strict=True)]

    @classmethod
    def drawn(
        cls,
        sizes: Sequence[int],
        streams: Streams,
        name: str = "net",
        head_scale: float = 1.0,
    ) -> "CohortMLP":
        """Networks with uniform weights and biases in ±1/sqrt(inputs), PyTorch's default.

        Args:
            sizes: numbers of inputs, of hidden units, and of outputs.
            streams: of the trials; a lone trial's network is made twice.
            name: of the networks.
            head_scale: factor on the last layer's weights.
        """
        rows = together(len(streams))
        parameters: list[Tensor] = []
        for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            scale = head_scale if layer == len(sizes) - 2 else 1.0
            draws = 2.0 * streams.uniform((fan_in + 1) * fan_out)[rows] - 1.0
            draws = (scale / np.sqrt(fan_in) * draws).reshape(len(rows), fan_in + 1, fan_out)
            weight = torch.zeros(len(rows), padded(fan_in), padded(fan_out))
            bias = torch.zeros(len(rows), 1, padded(fan_out))
            weight[:, :fan_in, :fan_out] = torch.from_numpy(draws[:, :-1])
            bias[:, :, :fan_out] = torch.from_numpy(draws[:, -1:])
            parameters += [weight, bias]
        return cls(parameters, name)

    @classmethod
    def loaded(
        cls,
        state: Mapping[str, NDArray[np.float32]],
        prefix: str,
        rows: Ints,
    ) -> "CohortMLP":
        """The networks ``rows (T,)`` of what ``state`` returned; a row may be taken often."""
        count = sum(key.startswith(f"{prefix}.") for key in state)
        picked = [state[f"{prefix}.{at}"][rows][together(len(rows))] for at in range(count)]
        return cls(map(torch.from_numpy, picked), prefix)

    def __call__(self, x: Tensor, z: Tensor | None = None, column: int = 0) -> Tensor:
        """``(T, n, outputs)`` for ``x (T, n, inputs)``.

        Gradients must be taken before the next call of a network of this name in this thread;
        PyTorch refuses them afterwards.

        Args:
            x: what the networks read.
            z: ``(T, k)`` of all rows of a trial, or ``(T, n, k)`` of each: written into ``x``, from
                ``column`` on. The gradient is then taken of ``z``, and not of ``x``.
            column: see ``z``.
        """
        if z is None:
            return _Layers.apply(self, x, self.flat)
        return _Layers.apply(self, x, self.flat, z, column)

    @torch.no_grad()
    def hidden(self, x: Tensor) -> Tensor:
        """``(T, n, units)`` what the last layer reads of ``x (T, n, inputs)``."""
        parts = self.parameters[:-2]
        for weight, bias in zip(parts[::2], parts[1::2], strict=True):
            x = torch.baddbmm(bias, x, weight)
            x = x.tanh_() if self.tanh else x.relu_()
        return x

    def reuse_gradient(self) -> None:
        """Put the gradient of ``flat`` into the same array in every step.

        It is valid until the next ``backward``, unless that is to add to it.
        """
        self._gradient = torch.empty_like(self.flat, requires_grad=False)
        self._gradients = self.parts_of(self._gradient)

    def room_for_gradient(self) -> tuple[Tensor, list[Tensor]]:
        """An array like ``flat``, and its parts like ``parameters``."""
        if self._gradient is None or self.flat.grad is not None:
            room = torch.empty_like(self.flat, requires_grad=False)
            return room, self.parts_of(room)
        # A view can become flat.grad without a copy.
        return self._gradient.view(self.flat.shape), self._gradients

    def gradients(self) -> list[Tensor]:
        """Those of ``parameters``: views of ``flat.grad``; none if there is none."""
        found = self.flat.grad
        if found is None:
            return []
        if self._gradient is not None and found.data_ptr() == self._gradient.data_ptr():
            return self._gradients
        return self.parts_of(found)

    def state(self, trials: int, prefix: str) -> dict[str, NDArray[np.float32]]:
        """Arrays of the first ``trials`` networks, trials first, by ``prefix.number``."""
        arrays = [part[:trials].numpy() for part in self.parameters]
        return {f"{prefix}.{at}": array.copy() for at, array in enumerate(arrays)}


def clip_per_trial(net: CohortMLP, max_norm: float) -> None:
    """Scale each trial's gradient to a norm of ``max_norm``, if it is larger."""
    clip_parts(net.gradients(), max_norm)


def clip_parts(parts: Sequence[Tensor], max_norm: float) -> None:
    """Scale what is each trial's in ``parts (T, a, b)`` to a norm of ``max_norm`` at most."""
    if not parts:
        return
    # Added one after the other: a sum over stacked rows changes its order with their length, and a
    # trial's last bits would depend on the size of its cohort.
    total = torch.zeros(len(parts[0]), dtype=parts[0].dtype)
    for part in parts:
        room = workspace.take("square", 0, part.shape, part.dtype)
        total += torch.mul(part, part, out=room).sum(dim=(1, 2))
    scale = (max_norm / total.sqrt_().clamp_(min=1e-12)).clamp_(max=1.0)[:, None, None]
    for part in parts:
        part.mul_(scale)


class _Layers(torch.autograd.Function):
    """A ``CohortMLP``'s layers with arrays of its own for what PyTorch would allocate anew.

    The same products in the same order as by autograd of ``baddbmm`` and ``relu``.
    """

    @staticmethod
    def forward(
        ctx: Any,
        net: CohortMLP,
        x: Tensor,
        flat: Tensor,
        z: Tensor | None = None,
        column: int = 0,
    ) -> Tensor:
        if z is not None:
            x[..., column : column + z.shape[-1]] = z if z.dim() == 3 else z[:, None]
        parts, shared = net.parameters, x.shape[:2]
        last, inputs = len(parts) - 2, [x]
        for at in range(0, last, 2):
            weight, bias = parts[at], parts[at + 1]
            room = workspace.take(net.uses[0], at, (*shared, weight.shape[2]), x.dtype)
            activated = torch.baddbmm(bias, inputs[-1], weight, out=room)
            inputs.append(activated.tanh_() if net.tanh else activated.relu_())
        ctx.net, ctx.column, ctx.shape = net, column, None if z is None else z.shape
        ctx.save_for_backward(flat, *inputs)
        return torch.baddbmm(parts[last + 1], inputs[-1], parts[last])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        net: CohortMLP = ctx.net
        (gradient,) = grad_outputs
        _, *inputs = ctx.saved_tensors
        of_x, of_z = ctx.needs_input_grad[1], ctx.shape is not None and ctx.needs_input_grad[3]
        weights, (found, d_parts) = net.parameters[::2], net.room_for_gradient()
        for layer in reversed(range(len(weights))):
            x = inputs[layer]
            torch.bmm(x.transpose(1, 2), gradient, out=d_parts[2 * layer])
            torch.sum(gradient, dim=1, keepdim=True, out=d_parts[2 * layer + 1])
            if layer or of_x or of_z:
                use = "gradient" if layer else net.uses[1]
                room = workspace.take(use, layer % 2, x.shape, x.dtype)
                gradient = torch.bmm(gradient, weights[layer].transpose(1, 2), out=room)
            if layer and net.tanh:
                torch.ops.aten.tanh_backward.grad_input(gradient, x, grad_input=gradient)
            elif layer:
                threshold = torch.ops.aten.threshold_backward.grad_input
                threshold(gradient, x, 0, grad_input=gradient)
        if ctx.shape is None:
            return None, gradient if of_x else None, found
        if not of_z:
            return None, None, found, None, None
        if len(ctx.shape) == 2:
            gradient = gradient.sum(dim=1)
        return None, None, found, gradient[..., ctx.column : ctx.column + ctx.shape[-1]], None
