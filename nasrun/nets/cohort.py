"""Networks of many trials at once: every weight has the trials as its leading axis.

A trial's numbers must not depend on who else is in the cohort, down to the last bit. Batched matrix
products keep that promise only where every matrix starts on a cache line and where there is more
than one of them (a single product is given to another routine, which adds up in another order).
Hence ``WIDTH`` and ``together``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasrun.streams import Ints, Streams

WIDTH = 16  # float32 numbers of a 64-byte cache line: every width is rounded up to whole lines
BLOCK = 128  # trials; larger ones wait for memory, smaller ones for Python
Activation = Callable[[Tensor], Tensor]
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


class CohortMLP:
    """``T`` perceptrons of one shape: inputs ``(T, n, padded(sizes[0]))``, trial by trial.

    Surplus inputs must be zero, and surplus outputs (columns from ``sizes[-1]`` on) are to be
    ignored.

    Args:
        parameters: weights ``(T, in, out)`` and biases ``(T, 1, out)`` in turn, widths padded.
        activation: between the layers.
    """

    def __init__(self, parameters: Iterable[Tensor], activation: Activation) -> None:
        self.parameters = [parameter.requires_grad_() for parameter in parameters]
        self._activation = activation

    @classmethod
    def drawn(
        cls,
        sizes: Sequence[int],
        streams: Streams,
        activation: Activation = torch.relu_,
        head_scale: float = 1.0,
    ) -> "CohortMLP":
        """Networks with uniform weights and biases in ±1/sqrt(inputs), PyTorch's default.

        Args:
            sizes: numbers of inputs, of hidden units, and of outputs.
            streams: of the trials; a lone trial's network is made twice.
            activation: between the layers.
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
        return cls(parameters, activation)

    @classmethod
    def loaded(
        cls,
        state: Mapping[str, NDArray[np.float32]],
        prefix: str,
        rows: Ints,
        activation: Activation = torch.relu_,
    ) -> "CohortMLP":
        """The networks ``rows (T,)`` of what ``state`` returned; a row may be taken often."""
        count = sum(key.startswith(f"{prefix}.") for key in state)
        picked = [state[f"{prefix}.{at}"][rows][together(len(rows))] for at in range(count)]
        return cls(map(torch.from_numpy, picked), activation)

    def __call__(self, x: Tensor) -> Tensor:
        """``(T, n, outputs)`` for ``x (T, n, inputs)``."""
        last = len(self.parameters) - 2
        for at in range(0, len(self.parameters), 2):
            x = torch.baddbmm(self.parameters[at + 1], x, self.parameters[at])
            if at < last:
                x = self._activation(x)
        return x

    def state(self, trials: int, prefix: str) -> dict[str, NDArray[np.float32]]:
        """Arrays of the first ``trials`` networks, trials first, by ``prefix.number``."""
        arrays = [parameter.detach().numpy()[:trials] for parameter in self.parameters]
        return {f"{prefix}.{at}": array.copy() for at, array in enumerate(arrays)}


def clip_per_trial(parameters: Sequence[Tensor], max_norm: float) -> None:
    """Scale each trial's gradient, over all ``parameters`` together, to a norm of ``max_norm``."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return
    # Added one after the other: a sum over stacked rows changes its order with their length, and a
    # trial's last bits would depend on the size of its cohort.
    squares = sum(gradient.square().sum(dim=(1, 2)) for gradient in gradients)
    scale = (max_norm / torch.as_tensor(squares).sqrt().clamp(min=1e-12)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale[:, None, None])
