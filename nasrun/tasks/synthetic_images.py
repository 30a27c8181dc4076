"""Pictures made up from a seed, for tests and for trying things without data."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasrun.images import Images, Labels, Pixels
from nasrun.ranges import require_not_negative
from nasrun.tasks.base import ImageTask
from nasrun.tasks.parts import Part, Published, in_memory
from nasrun.tasks.resize import resized

COARSE_PX = 4  # a class is a pattern of so many patches in a row


@dataclass
class SyntheticImages(ImageTask):
    """Every class is a coarse coloured pattern; its pictures are shifted copies under noise.

    Learnable, because a small network beats chance within an epoch or two, and not trivial, because
    the shift goes round and ``noise`` blurs the classes. Nothing here comes from a publication.

    Raises:
        ConfigError: a noise below 0.
    """

    noise: float = 0.5  # standard deviation, in standard deviations of the patterns
    data_seed: int = 0  # of patterns and pictures

    def __post_init__(self) -> None:
        super().__post_init__()
        require_not_negative(self, "task", "noise", "data_seed")

    def paths(self) -> dict[str, Path]:
        """None: all pictures are made up."""
        return {}

    def read(self) -> Published:
        """Balanced classes; as many pictures as the task's counts ask for."""
        generator = np.random.default_rng(self.data_seed)
        coarse = generator.integers(0, 256, (self.classes, 3, COARSE_PX, COARSE_PX), np.uint8)
        patterns = resized(coarse, self.image_px)
        train = self._part(patterns, self.train_images + self.valid_images, generator)
        test = self._part(patterns, self.test_images, generator)
        return Published(train, test, f"made up from seed {self.data_seed}", {})

    def _part(self, patterns: Pixels, count: int, generator: np.random.Generator) -> Part:
        labels: Labels = generator.permutation(np.arange(count) % self.classes)
        shift = generator.integers(0, self.image_px, (2, count, 1))
        across = np.arange(self.image_px)
        rows, columns = ((across + along) % self.image_px for along in shift)
        at = np.arange(count)[:, None, None]
        clean = patterns[labels].transpose(0, 2, 3, 1)[at, rows[:, :, None], columns[:, None, :]]
        spread = self.noise * patterns.std()
        noisy = clean + generator.normal(0.0, spread, clean.shape)
        pixels = np.clip(np.rint(noisy), 0, 255).astype(np.uint8).transpose(0, 3, 1, 2)
        return in_memory(Images(np.ascontiguousarray(pixels), labels))
