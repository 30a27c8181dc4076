"""Ways to call a network in training at less cost than kernel by kernel."""

import copy
import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nasrun.nets.device import Device
from nasrun.nets.recipe import Recipe
from nasrun.nets.supernet import Row, SharedNet

log = logging.getLogger("nasrun")

Forward = Callable[[Tensor], Any]


def fast_forward(
    network: nn.Module, recipe: Recipe, device: Device, sample: Tensor, parts: int = 1
) -> Forward:
    """The network as a function of a batch in training, as fast as the device allows.

    A GPU spends more time on starting the many small kernels of a cell than on computing them, so
    the whole pass is recorded once as a CUDA graph and replayed. Compilation takes longer than a
    short training and is only done where it is asked for.

    Args:
        network: on the device, in training mode; its state stays as it is.
        recipe: of the training; what it drops at random cannot be recorded.
        device: where.
        sample: a batch; only batches of its shape are replayed, others are computed plainly.
        parts: into which a batch is cut. A replay writes its gradients over those of the one
            before, so that those of several parts would not add up.
    """
    if device.compile:
        return torch.compile(network)
    if not device.on_gpu or recipe.drop_path or parts > 1:
        return network
    state = copy.deepcopy(network.state_dict())  # recording runs passes that count into statistics
    device.free()  # what the networks recorded before this one have left
    try:
        return _recorded(network, device, sample)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
    finally:
        network.load_state_dict(state)
    device.free()
    log.warning("no CUDA graph of this network (%s): it is trained without", reason)
    return network


def _recorded(network: nn.Module, device: Device, sample: Tensor) -> Forward:
    """The network's passes, forward and backward, as CUDA graphs."""
    shape = sample.shape
    expect_recorded_gradients()
    with device.autocast(cached=False):
        # A weight that no path reaches has no gradient, as it has none without a graph.
        torch.cuda.make_graphed_callables(
            network, (torch.zeros_like(sample),), allow_unused_input=True
        )
    replay = network.forward
    del network.forward  # stands in the way of the class's, which judging and copies need

    def forward(x: Tensor) -> Any:
        return replay(x) if x.shape == shape else network(x)

    return forward


def expect_recorded_gradients() -> None:
    """Do not warn that gradients are added up on another stream than that of the recording.

    Weights know the stream that they were recorded on, for as long as the graph lives; PyTorch
    waits for it wherever that matters.
    """
    quiet = getattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch", None)
    if quiet is not None:  # PyTorch before 2.10 does not warn
        quiet(False)


class RecordedMixture:
    """A supernet's passes over rows that mix all options, as CUDA graphs.

    One graph is for the weights' updates, whose rows have no gradient, and one for the rows', which
    leaves the weights' gradients out. What cannot be recorded is computed plainly: batches of
    another shape, what is drawn at random, and everything where there is no GPU.
    """

    def __init__(self, network: SharedNet, device: Device) -> None:
        self._network, self._device = network, device
        self._shape: torch.Size | None = None  # of the batches that were recorded
        self._recorded: dict[bool, Callable[..., Tensor]] = {}

    def __call__(self, x: Tensor, mixing: Sequence[Tensor]) -> Tensor:
        """``(B, classes)`` logits; only the weights or only the rows get a gradient."""
        network, of_rows = self._network, mixing[0].requires_grad
        random = network.drop_path or network.skip_dropout or network.least is not None
        if not self._device.on_gpu or random or not network.training:
            return network(x, mixing)
        if self._shape is None:
            self._shape = x.shape
        if of_rows not in self._recorded and x.shape == self._shape:
            self._recorded[of_rows] = self._record(x, mixing)
        if x.shape != self._shape:
            return network(x, mixing)
        return self._recorded[of_rows](x, *mixing)

    def _record(self, x: Tensor, mixing: Sequence[Tensor]) -> Callable[..., Tensor]:
        network = self._network
        state = copy.deepcopy(network.state_dict())
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        sample = x.clone(), *(row.detach().clone() for row in mixing)
        of_rows = mixing[0].requires_grad
        for row in sample[1:]:
            row.requires_grad_(of_rows)
        for weight in weights:
            weight.requires_grad_(not of_rows)
        whole = _AllOptions(network)
        expect_recorded_gradients()
        try:
            with self._device.autocast(cached=False):
                torch.cuda.make_graphed_callables(whole, sample, allow_unused_input=True)
            return whole.forward
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            log.warning("no CUDA graph of this supernet (%s): it is trained without", reason)
            return lambda x, *rows: network(x, rows)
        finally:
            for weight in weights:
                weight.requires_grad_(True)
            network.load_state_dict(state)


class _AllOptions(nn.Module):
    """A supernet as a function of tensors alone, all of whose options have a weight."""

    def __init__(self, network: SharedNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, *rows: Tensor) -> Tensor:
        """``(B, classes)`` logits of ``x (B, C, H, W)``."""
        edges = self.network.by_edge(rows)
        live = [dict.fromkeys(range(row.shape[-1])) for row in edges]
        return self.network.logits(x, [Row(*one) for one in zip(edges, live, strict=True)])
