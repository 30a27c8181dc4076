"""How long look-ups, loading and batches of images take."""

import os
import statistics
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from nasrun.streams import Streams
from speed.stopwatch import Line, Size, experiment, median_s

BATCH = 500  # architectures of one look-up
PICTURES = 20_000  # of 32 x 32 pixels
LOAD = """
import time
from speed.stopwatch import experiment, resident_mb
made = experiment([])
before = resident_mb()
began = time.perf_counter()
session = made.evaluator.opened(made.space, made.task)
print(time.perf_counter() - began, resident_mb() - before)
"""


def lookups(size: Size) -> Iterator[Line]:
    """Table look-ups with their costs, in batches."""
    made = experiment(["task=cifar100"])
    session = made.evaluator.opened(made.space, made.task)
    streams = Streams(range(BATCH))
    archs = made.space.sample(streams)
    epochs = np.full(BATCH, session.fidelities[-1], np.int64)
    calls = 4 * size.trials

    def work() -> None:
        for _ in range(calls):
            session.evaluate(archs, epochs=epochs, streams=streams)

    rate = calls * BATCH / median_s(work, size.repeats) / 1e6
    peers = "official API 0.002"
    yield Line(f"look-ups in batches of {BATCH}", rate, "million/s", 5.0, more=True, peers=peers)


def reload(size: Size) -> Iterator[Line]:
    """Loading a table that was parsed before, in a new process each time."""
    command = [sys.executable, "-c", LOAD]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}

    def load() -> tuple[float, float]:
        answer = subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True
        )
        seconds, memory = map(float, answer.stdout.split())
        return seconds, memory

    loads = [load() for _ in range(1 + size.repeats)][1:]
    seconds = statistics.median(seconds for seconds, _ in loads)
    peers = "official API about 60,000"
    yield Line("second load of the table", 1e3 * seconds, "ms", 50, peers=peers)
    memory_mb = max(memory for _, memory in loads)
    yield Line("memory of the table and its evaluator", memory_mb, "MB", 20, peers="API 28,000")


def batches(size: Size) -> Iterator[Line]:
    """Batches of altered pictures on one core, beside torchvision as the reference uses it."""
    import torch

    from nasrun.images import Images
    from nasrun.nets.loader import Augmentation, load_batches

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    pixels = np.random.default_rng(0).integers(0, 256, (PICTURES, 3, 32, 32), np.uint8)
    images = Images(pixels, np.zeros(PICTURES, np.int64))
    moments = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)
    loader = load_batches(images, *moments, 256, augmentation=Augmentation.standard(32, flip=True))
    seconds = median_s(lambda: deque(loader.epoch(0, 0), maxlen=0), size.repeats)
    yield Line("32x32 pictures mirrored and cropped, one core", PICTURES / seconds, "a second")
    ratio = _one_by_one_s(pixels, moments) * PICTURES / seconds
    yield Line("the same to torchvision picture by picture", ratio, "times")
    torch.set_num_threads(threads)


def _one_by_one_s(pixels: np.ndarray, moments: Sequence[Sequence[float]]) -> float:
    """Seconds a picture of torchvision's transforms on Pillow images."""
    from PIL import Image

    from nasrun.nets.vision import load_torchvision

    load_torchvision()
    from torchvision import transforms

    mean, std = ([value / 255 for value in values] for values in moments)
    alter = transforms.Compose(
        [
            transforms.RandomHorizontalFlip(),
            transforms.RandomCrop(32, padding=4),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
    some = [Image.fromarray(picture.transpose(1, 2, 0)) for picture in pixels[: PICTURES // 10]]
    return median_s(lambda: [alter(picture) for picture in some], 3) / len(some)
