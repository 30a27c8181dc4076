"""A whole step of training as one CUDA graph: forward, loss, backward, clipping, update.

tests/nets/test_on_a_gpu.py compares it with plain steps where there is a GPU.
"""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from nasrun.nets.device import Device
from nasrun.nets.graphs import expect_recorded_gradients

log = logging.getLogger("nasrun")

# Takes images (B, C, H, W) and each network's targets; gives losses (K,) and sums for the metric.
Step = Callable[[Tensor, Sequence[Tensor]], tuple[Tensor, list[Tensor]]]
WARM_UPS = 3  # steps before recording, in which cuDNN chooses kernels; they are undone


def fast_step(
    step: Step,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    device: Device,
    sample: tuple[Tensor, Sequence[Tensor]],
) -> Step:
    """``step`` as fast as the device allows: recorded once and replayed, on a GPU.

    Recorded is what updates by torch's fused SGD, whose rate ``as_recordable`` has made a tensor;
    the other optimisers keep counts that a graph cannot. Batches of another shape than the
    sample's, such as an epoch's last, are computed step by step.
    """
    if not device.on_gpu or not isinstance(optimizer, torch.optim.SGD):
        return step
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    momentum = {
        parameter: own["momentum_buffer"].clone()
        for parameter, own in optimizer.state.items()
        if own.get("momentum_buffer") is not None
    }
    device.free()  # what the networks recorded before these have left
    try:
        return _recorded(step, *sample)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        log.warning("no CUDA graph of these networks (%s): they train without", reason)
        return step
    finally:
        _undo(network, optimizer, before, momentum)


def as_recordable(optimizer: torch.optim.Optimizer, device: Device) -> None:
    """Make rates tensors on a GPU, which a recorded step reads anew at each replay."""
    if device.on_gpu and isinstance(optimizer, torch.optim.SGD):
        for group in optimizer.param_groups:
            group["lr"] = torch.tensor(float(group["lr"]), device=device.processor)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate where a recorded step reads it."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def _recorded(step: Step, x: Tensor, targets: Sequence[Tensor]) -> Step:
    expect_recorded_gradients()
    images, wanted = x.clone(), [target.clone() for target in targets]
    # Warm-ups and recording on one stream: gradients are added up on the stream that first did so.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            step(images, wanted)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        losses, sums = step(images, wanted)

    def replay(x: Tensor, targets: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        if x.shape != images.shape:
            return step(x, targets)
        images.copy_(x)
        for own, target in zip(wanted, targets, strict=True):
            own.copy_(target)
        graph.replay()
        return losses.clone(), [own.clone() for own in sums]

    return replay


def _undo(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    before: dict[str, Tensor],
    momentum: dict[Tensor, Tensor],
) -> None:
    """Put weights, statistics and momentum back, where a recorded step finds them.

    Momentum of zeros is what SGD begins with.
    """
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            tensor.copy_(before[name])
        for parameter, own in optimizer.state.items():
            if own.get("momentum_buffer") is not None:
                kept = momentum.get(parameter, torch.zeros_like(parameter))
                own["momentum_buffer"].copy_(kept)
