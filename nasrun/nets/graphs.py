"""Ways to call a network in training at less cost than kernel by kernel."""

import copy
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nasrun.nets.device import Device
from nasrun.nets.recipe import Recipe

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
