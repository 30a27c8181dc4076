"""Rank random architectures of memory banks by written weights, and by training each alone.

Brock et al. (ICLR 2018, section 4.1) look at 250: here at a CPU's scale, on made-up pictures.

Usage: ``python scripts/smash_correlation.py [--architectures 15] [--epochs 30] [--alone 4]``.
Prints both scores of each architecture, Spearman's correlation of them and its p-value.
"""

import argparse
import tempfile
from collections.abc import Sequence

import numpy as np
from scipy.stats import spearmanr

from nasrun.algorithms.reduction import Reduction
from nasrun.algorithms.smash import SMASH
from nasrun.evaluators.training import Training
from nasrun.experiment import problem_of
from nasrun.hardware.none import NoHardware
from nasrun.nets.recipe import Recipe
from nasrun.spaces.memory_bank import MemoryBank
from nasrun.spec import Archs, Measuring, Phase, Task
from nasrun.streams import Streams
from nasrun.tasks.synthetic_images import SyntheticImages

CHANNELS = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Train once for all, then each alone; always 0: a correlation is a finding, not an error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--architectures", type=int, default=15)
    parser.add_argument("--epochs", type=int, default=30, help="of the written weights")
    parser.add_argument("--alone", type=int, default=4, help="epochs of each by itself")
    parser.add_argument("--noise", type=float, default=1.5, help="of the pictures")
    parser.add_argument("--hidden", type=int, default=64, help="units of the hyper-network")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    space = MemoryBank(slots=3, banks=4, kernels=[3, 5], hidden=options.hidden)
    task = SyntheticImages(
        "synthetic_images", 8, 8, "made-up-valid", "made-up", 1024, 1024, noise=options.noise
    )
    archs = space.sample(Streams(range(options.architectures), "smash correlation"))
    with tempfile.TemporaryDirectory() as folder:
        training = Training(
            recipe=Recipe(batch=64, learning_rate=0.05),
            epochs=options.alone,
            channels=CHANNELS,
            device="cpu",
            threads=1,
            cache_dir=folder,
        ).opened(space, task)
        epochs = np.full(len(archs), options.alone, np.int64)
        alone = training.evaluate(archs, epochs=epochs, streams=Streams(range(len(archs)))).score
        written = _written(space, task, training, options, archs)
    for arch, one, other in zip(archs, written, alone, strict=True):
        print(f"{one:6.2f} {other:6.2f}  {space.text(arch)}")
    rho, p = tuple(spearmanr(written, alone))
    print(
        f"{len(archs)} architectures, {options.epochs} epochs of written weights, {options.alone} "
        f"alone: Spearman {rho:.3f}, p {p:.4f}"
    )
    return 0


def _written(
    space: MemoryBank,
    task: Task,
    training: Measuring,
    options: argparse.Namespace,
    archs: Archs,
) -> list[float]:
    """Accuracies with written weights, after their training."""
    algorithm = SMASH(
        epochs=options.epochs,
        candidates=1,
        perturbations=0,
        climbs=0,
        device="cpu",
        scale=Reduction(channels=CHANNELS),
    )
    streams = Streams([options.seed])
    device = NoHardware().opened(space, task)
    algorithm.start(problem_of(space, task, training, device, streams), streams, Phase.SEARCH)
    for _ in range(options.epochs):
        algorithm.step()
    return [algorithm.accuracy(arch, algorithm.data.judging()) for arch in archs]


if __name__ == "__main__":
    raise SystemExit(main())
