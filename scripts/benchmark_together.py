"""Measure how much faster networks train together than one after the other.

Usage: ``python scripts/benchmark_together.py [--px N] [--networks N] [--alone N] [--out FILE]``.
Random cells of NAS-Bench-201, on the same made-up pictures: by ``evaluator.together``'s trainer;
one by one by the single one; and one by one by the way of cohorts. One by one are ``--alone`` of
the cells, every so many in the order of their operations, because most of that time is set-up. A
network-step is one update of one network; set-up (recording, choice and compilation of kernels)
stands apart. The roofline distance is the rate of useful operations (three passes of two for each
multiplication of the convolutions) over that of a large matrix product in the same number format.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from benchmark_training import MEAN, STD, product_rate

from nasrun.images import Images
from nasrun.nets.classification import Classification
from nasrun.nets.cohort_trainer import Cohort, cohort_shape, train_together
from nasrun.nets.device import Device
from nasrun.nets.footprint import footprint
from nasrun.nets.loader import Augmentation, Loader, load_batches
from nasrun.nets.recipe import Recipe
from nasrun.nets.trainer import EpochBatches, Trainer
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Scale, Task

CLASSES = 10
SPACE = NB201()


@dataclass(frozen=True)
class Figures:
    """Milliseconds of a network-step, and seconds of set-up, of one way to train."""

    way: str
    device: str
    px: int
    networks: int
    step_ms: float
    set_up_s: float
    of_the_roof_pct: float


def trainers(options: argparse.Namespace, device: Device) -> list[Trainer]:
    """Networks of random cells that can train together."""
    task = Task("made-up", CLASSES, options.px, "made-up", "made-up", 1, 1)
    scale = Scale(options.channels, options.cells)
    generator = np.random.default_rng(0)
    found: list[Trainer] = []
    while len(found) < options.networks:
        arch = SPACE.at(generator.integers(SPACE.size, size=1))[0]
        made = Trainer(
            lambda arch=arch: SPACE.build(arch, task, scale),
            Classification(CLASSES),
            Recipe(batch=options.batch),
            10_000,
            device,
            777,
        )
        if cohort_shape(made) is not None:
            found.append(made)
    return found


def made_up(options: argparse.Namespace, device: Device) -> Loader:
    """Batches of noise."""
    count = options.batch * options.batches
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, 3, options.px, options.px), np.uint8)
    images = Images(pixels, generator.integers(0, CLASSES, count))
    augmentation = Augmentation.standard(options.px, flip=True)
    return load_batches(images, MEAN, STD, options.batch, device.processor, augmentation)


def measured(way: str, options: argparse.Namespace, device: Device, roof: float) -> Figures:
    """One epoch to set up, then all rounds at one go, as a training does."""
    networks, loader = trainers(options, device), made_up(options, device)
    if way != "together" and options.alone:
        networks.sort(key=lambda one: footprint(one.network, options.px)[1])
        every = len(networks) / options.alone
        networks = [networks[int((number + 0.5) * every)] for number in range(options.alone)]
    batches: EpochBatches = lambda epoch: loader.epoch(0, epoch)  # noqa: E731
    began = time.perf_counter()
    until = options.rounds + 1
    if way == "together":
        train_together(networks, [batches] * len(networks), (), until, judged=())
    elif way == "cohorts of one":
        for network in networks:
            Cohort([network]).train([batches], (), until, judged=())
    else:
        for network in networks:
            network.train(batches, (), until, judged=())
    wall_s = time.perf_counter() - began
    rounds = [[row.train_s for row in network.rows[1:]] for network in networks]
    epoch_s = sum(statistics.median(own) for own in rounds)
    trained_s = sum(sum(own) for own in rounds)
    steps = options.batches * len(networks)
    task = Task("made-up", CLASSES, options.px, "made-up", "made-up", 1, 1)
    flops_m = sum(footprint(network.network, task.image_px)[1] for network in networks)
    useful = 6e6 * flops_m * options.batch * options.batches / epoch_s
    return Figures(
        way, device.label, options.px, len(networks), 1e3 * epoch_s / steps,
        wall_s - trained_s, 100 * useful / roof,
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures, and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda")
    parser.add_argument("--px", type=int, default=16, help="width of the pictures")
    parser.add_argument("--networks", type=int, default=16, help="that train together")
    parser.add_argument("--alone", type=int, help="that train one by one; all unless said")
    parser.add_argument("--rounds", type=int, default=5, help="epochs that are timed")
    parser.add_argument("--batch", type=int, default=256, help="images of a batch")
    parser.add_argument("--batches", type=int, default=20, help="batches of an epoch")
    parser.add_argument("--channels", type=int, default=16, help="of the first stage")
    parser.add_argument("--cells", type=int, default=5, help="in each stage")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    options = parser.parse_args(arguments)
    device = Device(options.device)
    with device.computing():
        roof = product_rate(device)
    ways = ("together", "cohorts of one", "alone")
    found = [measured(way, options, device, roof) for way in ways]
    for own in found:
        print(
            f"{own.px} px, {own.networks} networks {own.way}: "
            f"{own.step_ms:.2f} ms a network-step, {own.of_the_roof_pct:.1f} % of the roof, "
            f"{own.set_up_s:.1f} s of set-up"
        )
    for own in found[:2]:
        print(f"{own.way}: {found[2].step_ms / own.step_ms:.2f} times as many steps a second")
    if options.out:
        options.out.write_text(json.dumps([asdict(own) for own in found], indent=1))


if __name__ == "__main__":
    main()
