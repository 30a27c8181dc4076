"""How long a network takes, measured."""

import statistics
import time

import torch
from torch import nn

from nasrun.nets.device import Device


def latency_ms(
    network: nn.Module, shape: tuple[int, ...], device: Device, runs: int = 50, warm_up: int = 10
) -> float:
    """Median milliseconds of one inference in float32, after ``warm_up`` runs that do not count.

    Args:
        network: any; it is put on the device and into evaluation mode.
        shape: ``(B, C, H, W)`` of the input.
        device: where; a GPU is waited for after every run.
        runs: number of runs that count.
        warm_up: number of runs before them.
    """
    network = device.place(network).eval()
    x = device.put(torch.zeros(shape))
    seconds = []
    with device.computing(), torch.inference_mode():
        for run in range(warm_up + runs):
            device.wait()
            began = time.perf_counter()
            network(x)
            device.wait()
            if run >= warm_up:
                seconds.append(time.perf_counter() - began)
    return 1e3 * statistics.median(seconds)
