"""Measure how fast networks are trained, beside a plain loop in the style of the reference.

Usage: ``python scripts/benchmark_training.py [--threads N] [--rounds N] [--cells N]``.
The plain loop is what NAS-Bench-201's own code does (``speed/plain_training.py``); what both learn
is compared by ``train_both_ways.py``. Both loops train the same cell on the same made-up pictures
of 32x32 pixels, in turns, so that a neighbour on the machine slows both; medians of the rounds
count. The roofline distance is the rate of useful operations (three passes of two for each
multiplication of the convolutions) over the rate of a large matrix product in the same number
format.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from speed.plain_training import CELL, PlainLoop
from torch import Tensor

from nasrun.images import Images
from nasrun.nets.classification import Classification
from nasrun.nets.device import Device
from nasrun.nets.footprint import footprint
from nasrun.nets.loader import Augmentation, load_batches
from nasrun.nets.recipe import Precision, Recipe
from nasrun.nets.trainer import Trainer
from nasrun.nets.zero_cost import PROXIES, proxies
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Scale, Task

PX, CLASSES = 32, 10
OBJECTIVE = Classification(CLASSES)
MEAN, STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)
ZERO_COST_TARGET_S = 2.0  # all scores of one cell at 32x32 but zen, which alone takes 16 passes
SPEED_UP_TARGET = {"cpu": 1.3, "cuda": 3.0}
SIZE = 1024  # of the matrices whose product is the roof, on a CPU; four times that on a GPU


def made_up(count: int) -> Images:
    """Pictures of noise."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, 3, PX, PX), np.uint8)
    return Images(pixels, generator.integers(0, CLASSES, count))


def plain_loop(images: Images, batch: int, scale: Scale, device: Device) -> PlainLoop:
    """The reference's way to train the cell."""
    edges = NB201().graph(NB201().parse(CELL))
    return PlainLoop(edges, OBJECTIVE, images, (MEAN, STD), scale, Recipe(batch=batch), device)


def our_loop(images: Images, batch: int, scale: Scale, device: Device) -> Callable[[], float]:
    """A function that trains one epoch with our trainer and returns its seconds."""
    task = Task("made-up", CLASSES, PX, "made-up", "made-up", 1, len(images))
    space = NB201()
    arch = space.parse(CELL)
    trainer = Trainer(
        lambda: space.build(arch, task, scale),
        OBJECTIVE,
        Recipe(batch=batch),
        10_000,
        device,
        777,
    )
    loader = load_batches(
        images, MEAN, STD, batch, device.processor, Augmentation.standard(PX, flip=True)
    )

    def batches(epoch: int) -> Iterable[tuple[Tensor, Tensor]]:
        return loader.epoch(0, epoch)

    return lambda: trainer.train(batches, (), trainer.done + 1, judged=())[-1].train_s


def product_rate(device: Device) -> float:
    """Operations per second of a large matrix product in the device's number format."""
    size = SIZE * (4 if device.on_gpu else 1)
    a = torch.randn(size, size, device=device.processor, dtype=device.dtype)
    rates = []
    for _ in range(10):
        device.wait()
        began = time.perf_counter()
        torch.mm(a, a)
        device.wait()
        rates.append(2 * size**3 / (time.perf_counter() - began))
    return statistics.median(rates)


def zero_cost_s(names: Sequence[str]) -> float:
    """One thread's CPU seconds for these zero-cost scores of the cell, full scale, 32 images.

    Seconds of the processor, because those on the wall say more about the neighbours.
    """
    task = Task("made-up", CLASSES, PX, "made-up", "made-up", 1, 1)
    network = NB201().build(NB201().parse(CELL), task, Scale())
    x, y = torch.randn(32, 3, PX, PX), torch.randint(CLASSES, (32,))
    with Device("cpu", Precision.float32, threads=1).computing():
        proxies(network, x, y, names)
        began = time.process_time()
        proxies(network, x, y, names)
        return time.process_time() - began


def lines(options: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """What was measured, in words, as rows of a table."""
    device = Device(options.device, threads=options.threads)
    scale = Scale(options.channels, options.cells)
    images = made_up(options.batch * options.batches)
    plain_device = replace(device, precision=Precision.float32)
    loops = {
        "plain": plain_loop(images, options.batch, scale, plain_device).epoch,
        "ours": our_loop(images, options.batch, scale, device),
    }
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    with device.computing():
        for number in range(options.rounds + 1):
            for name, epoch in loops.items():
                took = epoch()
                if number:  # the first round warms up
                    seconds[name].append(took)
        roof = product_rate(device)
    rate = {name: len(images) / statistics.median(took) for name, took in seconds.items()}
    ratios = [p / o for p, o in zip(seconds["plain"], seconds["ours"], strict=True)]
    ratio, target = statistics.median(ratios), SPEED_UP_TARGET[device.processor.type]
    yield "plain loop, float32", f"{rate['plain']:,.0f} images/s", ""
    yield f"ours, {device.label}", f"{rate['ours']:,.0f} images/s", ""
    spread = f"rounds {min(ratios):.2f} to {max(ratios):.2f}"
    verdict = "ok" if ratio >= target else "FAIL"
    yield "ours over plain, median of rounds", f"{ratio:.2f} ({spread})", f">= {target} {verdict}"
    arch = NB201().parse(CELL)
    task = Task("made-up", CLASSES, PX, "made-up", "made-up", 1, 1)
    _, flops_m = footprint(NB201().build(arch, task, scale), PX)
    achieved = 6e6 * flops_m * rate["ours"]
    yield "useful operations", f"{achieved / 1e9:,.1f} GFLOP/s", ""
    yield f"matrix product, {device.label}", f"{roof / 1e9:,.1f} GFLOP/s", ""
    yield "roofline distance", f"{100 * achieved / roof:.1f} %", ""
    took = zero_cost_s([name for name in PROXIES if name != "zen"])
    verdict = "ok" if took < ZERO_COST_TARGET_S else "FAIL"
    yield (
        "all zero-cost scores but zen, C=16 N=5",
        f"{took:.2f} s of a core",
        f"< {ZERO_COST_TARGET_S} {verdict}",
    )
    yield "zen, C=16 N=5", f"{zero_cost_s(['zen']):.2f} s of a core", ""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda")
    parser.add_argument("--threads", type=int, help="of a CPU; PyTorch's own number by default")
    parser.add_argument("--rounds", type=int, default=5, help="of both loops in turn")
    parser.add_argument("--batch", type=int, default=256, help="images of a batch")
    parser.add_argument("--batches", type=int, default=4, help="batches of a round")
    parser.add_argument("--channels", type=int, default=16, help="of the first stage")
    parser.add_argument("--cells", type=int, default=1, help="in each stage; the benchmark has 5")
    options = parser.parse_args(arguments)
    scale = f"C={options.channels} N={options.cells}, batch {options.batch}, {PX}x{PX} pixels"
    table = Table("what", "measured", "target", title=f"training, {scale}")
    for line in lines(options):
        table.add_row(*line)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
