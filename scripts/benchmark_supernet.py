"""How fast supernets train: ours against the plain way, on one device.

Usage: ``python scripts/benchmark_supernet.py [--channels 16] [--cells 5] [--batch 64] [--px 32]
[--repeats 3] [--threads N] [--device auto]``. The plain way is that of the reference scripts:
float32, one module per option and edge, a Python loop over all of them. Ways take turns, and the
fastest of the repeats counts, because other work on the machine can only slow a step down. On a CPU
seconds are those that its threads computed, for the same reason.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.nets.classification import Classification
from nasrun.nets.device import Device
from nasrun.nets.graphs import RecordedMixture
from nasrun.nets.nb201 import Cell, Skeleton, topology_stages
from nasrun.nets.nb201_supernet import EDGES, NB201Supernet, edge
from nasrun.nets.operations import operation
from nasrun.nets.recipe import Precision
from nasrun.spaces.nb201 import NB201, OPERATIONS

TRAIN_IMAGES = 25_000  # of CIFAR-10's search split
CLASSES = 10
OBJECTIVE = Classification(CLASSES)
PATHS = 12  # random architectures that a single-path method is timed on


def plain_operation(name: str, channels: int) -> nn.Module:
    """The module of an option, with PyTorch's own pooling."""
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)
    return operation(name, channels, channels, 1, False)


class PlainCell(nn.Module):
    """A module for every option of every edge."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.options = nn.ModuleList(
            nn.ModuleList(plain_operation(name, channels) for name in OPERATIONS) for _ in EDGES
        )

    def forward(self, x: Tensor, rows: Sequence[Tensor]) -> Tensor:
        """Node 3, by a loop over all options."""
        nodes = [x]
        for target in range(1, 4):
            terms: list[Tensor] = []
            for source in range(target):
                at = edge(target, source)
                options = self.options[at]
                assert isinstance(options, nn.ModuleList)
                terms += [rows[at][k] * module(nodes[source]) for k, module in enumerate(options)]
            nodes.append(torch.stack(terms).sum(dim=0))
        return nodes[-1]


@dataclass(frozen=True)
class Setting:
    """Size of the networks, and where they are timed."""

    channels: int
    cells: int
    batch: int
    px: int
    device: Device
    plain: Device

    @property
    def stages(self) -> list[list[int]]:
        """Channels by stage and cell."""
        return topology_stages(self.channels, self.cells)


Step = Callable[[], None]


def steps(setting: Setting) -> dict[str, Step]:
    """The ways to train, each as one step of an epoch: a training and a validation batch."""
    shared = setting.device.place if setting.device.on_gpu else lambda net: net
    supernet = NB201Supernet(OPERATIONS, setting.channels, setting.cells, OBJECTIVE)
    shared(supernet)
    plain = Skeleton(lambda _, c: PlainCell(c), setting.stages, OBJECTIVE)
    plain = plain.to(setting.device.processor)
    space = NB201()
    rng = np.random.default_rng(0)
    cells = space.at(rng.integers(space.size, size=PATHS))
    single = [_network(space, arch, setting) for arch in cells]
    logits = torch.zeros(len(EDGES), len(OPERATIONS), device=setting.device.processor)
    logits.requires_grad_()
    x = torch.randn(setting.batch, 3, setting.px, setting.px, device=setting.device.processor)
    y = torch.zeros(setting.batch, dtype=torch.long, device=x.device)
    fast = setting.device.put(x) if setting.device.on_gpu else x
    turn = {"at": 0}

    def one_hot() -> list[Tensor]:
        turn["at"] = (turn["at"] + 1) % PATHS
        picked = torch.from_numpy(cells[turn["at"]]).to(x.device)
        rows = F.one_hot(picked, len(OPERATIONS)).float()
        # As GDAS's straight-through rows: of value one or zero, with a gradient for all logits.
        soft = F.softmax(logits, dim=-1)
        return list(rows + (soft - soft.detach()))

    recorded = RecordedMixture(supernet, setting.device)

    def loss(
        network: Callable[..., Tensor], device: Device, images: Tensor, *rows: object
    ) -> Tensor:
        with device.autocast():
            return F.cross_entropy(network(images, *rows).float(), y)

    def soft() -> list[Tensor]:
        return list(F.softmax(logits, dim=-1))

    def darts_plain() -> None:
        for _ in range(2):  # all gradients in both, as the reference scripts have it
            plain.zero_grad()
            loss(plain, setting.plain, x, soft()).backward()

    def darts_ours() -> None:
        weights(loss(recorded, setting.device, fast, [row.detach() for row in soft()]))
        torch.autograd.grad(loss(recorded, setting.device, fast, soft()), logits)

    def weights(value: Tensor) -> None:
        supernet.zero_grad()
        value.backward(inputs=list(supernet.parameters()))

    def gdas() -> None:
        weights(loss(supernet, setting.device, fast, [row.detach() for row in one_hot()]))
        torch.autograd.grad(loss(supernet, setting.device, fast, one_hot()), logits)

    def rsps() -> None:
        weights(loss(supernet, setting.device, fast, [row.detach() for row in one_hot()]))

    def network() -> None:
        turn["at"] = (turn["at"] + 1) % PATHS
        alone = single[turn["at"]]
        alone.zero_grad()
        loss(alone, setting.device, fast).backward()

    return {
        "DARTS-V1, plain": darts_plain,
        "DARTS-V1": darts_ours,
        "GDAS": gdas,
        "RSPS": rsps,
        "single network": network,
    }


def _network(space: NB201, arch: np.ndarray, setting: Setting) -> nn.Module:
    edges = space.graph(arch)
    made = Skeleton(lambda c_in, c_out: Cell(edges, c_in, c_out), setting.stages, OBJECTIVE)
    return setting.device.place(made) if setting.device.on_gpu else made


def timed(ways: dict[str, Step], repeats: int, device: Device) -> dict[str, float]:
    """Seconds of a step; single-path ways are averaged over their architectures."""
    calls = {name: 1 if name.startswith("DARTS") else PATHS for name in ways}
    best = dict.fromkeys(ways, float("inf"))
    for repeat in range(1 + repeats):  # the first one warms up
        for name, step in ways.items():
            device.wait()
            clock = time.perf_counter if device.on_gpu else time.process_time
            began = clock()
            for _ in range(calls[name]):
                step()
            device.wait()
            seconds = (clock() - began) / calls[name]
            if repeat:
                best[name] = min(best[name], seconds)
    return best


def peak_mb(step: Step, device: Device) -> float:
    """Peak memory of a step in MB: of the GPU, or of the whole process on a CPU."""
    if device.on_gpu:
        torch.cuda.reset_peak_memory_stats(device.processor)
        step()
        return torch.cuda.max_memory_allocated(device.processor) / 1e6
    seen, done = [_resident_mb()], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            seen.append(_resident_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    step()
    done.set()
    watcher.join()
    return max(seen)


def _resident_mb() -> float:
    """Memory of this process now; NaN where the system does not say."""
    path = Path("/proc/self/statm")
    if not path.exists():
        return float("nan")
    import resource

    return int(path.read_text().split()[1]) * resource.getpagesize() / 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; always 0: a missed target is a finding, not an error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--cells", type=int, default=5, help="per stage")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--px", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of a CPU; default: PyTorch's")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    device = Device(options.device, threads=options.threads)
    if not device.on_gpu:
        device = Device(options.device, Precision.float32, threads=options.threads)
    plain = Device(options.device, Precision.float32)
    sizes = options.channels, options.cells, options.batch, options.px
    setting = Setting(*sizes, device=device, plain=plain)
    with device.computing(), torch.random.fork_rng([]):
        ways = steps(setting)
        # Of one way alone: what a CPU's allocator has kept of it would count for the next one.
        memory = {"DARTS-V1": peak_mb(ways["DARTS-V1"], device)}
        seconds = timed(ways, options.repeats, device)
    batches = TRAIN_IMAGES / options.batch
    table = Table(
        title=f"C={sizes[0]}, N={sizes[1]}, batch {sizes[2]}, {sizes[3]} px, {device.label}"
    )
    for column in ("way", "ms a step", "s an epoch (CIFAR-10)", "peak memory, MB", "compared"):
        table.add_column(column, justify="left" if column == "way" else "right")
    alone = seconds["single network"]
    ratios = {
        "DARTS-V1": f"{seconds['DARTS-V1, plain'] / seconds['DARTS-V1']:.2f} x as fast as plain",
        # A step of GDAS sees two batches.
        "GDAS": f"{seconds['GDAS'] / alone / 2:.2f} x a network's, image by image",
        "RSPS": f"{seconds['RSPS'] / alone:.2f} x a network's",
    }
    for name, second in seconds.items():
        megabytes = f"{memory[name]:.0f}" if name in memory else ""
        cells = f"{1e3 * second:.1f}", f"{second * batches:.0f}", megabytes, ratios.get(name, "")
        table.add_row(name, *cells)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
