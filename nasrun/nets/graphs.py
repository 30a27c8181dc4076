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


def fast_forward(network: nn.Module, recipe: Recipe, device: Device, sample: Tensor) -> Forward:
    """The network as a function of a batch in training, as fast as the device allows.

    A GPU spends more time on starting the many small kernels of a cell than on computing them, so
    the whole pass is recorded once as a CUDA graph and replayed. Compilation takes longer than a
    short training and is only done where it is asked for.

    Args:
        network: on the device, in training mode; its state stays as it is.
        recipe: of the training; what it drops at random cannot be recorded.
        device: where.
        sample: a batch; only batches of its shape are replayed, others are computed plainly.
    """
    if device.compile:
        return torch.compile(network)
    if not device.on_gpu or recipe.drop_path:
        return network
    try:
        return _recorded(network, device, sample)
    except RuntimeError as error:
        log.warning("no CUDA graph of this network (%s): it is trained without", error)
        return network


def _recorded(network: nn.Module, device: Device, sample: Tensor) -> Forward:
    """The network's passes, forward and backward, as CUDA graphs."""
    state = copy.deepcopy(network.state_dict())  # recording runs passes that count into statistics
    shape, plain = sample.shape, type(network).forward
    with device.autocast(cached=False):
        graphed = torch.cuda.make_graphed_callables(network, (torch.zeros_like(sample),))
    network.load_state_dict(state)

    def forward(x: Tensor) -> Any:
        return graphed(x) if x.shape == shape else plain(network, x)

    return forward
