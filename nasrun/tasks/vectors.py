"""AutoML-Zero's tasks: linear regressions that are made up, and pairs of classes of pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import numpy as np

from nasrun.errors import ConfigError
from nasrun.images import Images
from nasrun.programs.interpreter import Examples
from nasrun.spec import Floats, NamedTask, Task, TaskMaker
from nasrun.spec.vectors import VectorTask

CLASSES = 10  # of pictures that pairs are made of
SEARCHED = ((0, 5), (0, 9), (1, 8), (2, 9), (3, 5), (3, 6), (3, 8), (4, 6), (8, 9))


@dataclass
class LinearVectors(VectorTask):
    """Regressions y = w x, with x and w drawn from N(0, 1), without noise.

    google-research ``automl_zero`` (``task_util.h``, ScalarLinearRegressionTask).
    """

    def examples(self, *, final: bool) -> Examples:
        """Made up from the seed."""
        rng = np.random.default_rng([self.seed, int(final)])
        sets = self.final_sets if final else self.sets
        weights = rng.standard_normal((sets, self.features))
        parts = list[Floats]()
        for count in (self.train_images, self.valid_images):
            x = rng.standard_normal((sets, count, self.features))
            parts += [x, (x * weights[:, None]).sum(axis=-1)]
        return Examples(*parts)


@dataclass
class ProjectedPictures(VectorTask):
    """Pairs of classes of a picture task, projected to a few dimensions and standardised.

    Real et al. (2020), section 4.1, and ``automl_zero/generate_datasets.py``: a matrix of N(0, 1)
    for each data set; the search has nine pairs of ten classes, the final score the other 36.
    """

    two_classes: ClassVar[bool] = True

    pictures: Task | None = None  # whose training and validation parts the examples are

    def examples(self, *, final: bool) -> Examples:
        """Projected from the pictures' training and validation parts; for final figures, test.

        Raises:
            ConfigError: fewer than ten classes, or a pair with too few pictures.
        """
        assert self.pictures is not None
        if self.pictures.classes < CLASSES:
            raise ConfigError(
                f"task={self.name} needs pairs of {CLASSES} classes, but {self.pictures.name} has "
                f"{self.pictures.classes}: set task.of to another one"
            )
        splits = self.pictures.load()
        pairs = [p for p in combinations(range(CLASSES), 2) if (p in SEARCHED) != final]
        count = self.final_sets if final else self.sets
        sources = splits.search_train, splits.final_test if final else splits.search_valid
        rng = np.random.default_rng([self.seed, int(final)])
        each = [self._projected(pairs[at % len(pairs)], sources, rng) for at in range(count)]
        return Examples(*[np.stack(parts) for parts in zip(*each, strict=True)])

    def _projected(
        self, pair: tuple[int, int], sources: tuple[Images, Images], rng: np.random.Generator
    ) -> list[Floats]:
        counts = {"train_images": self.train_images, "valid_images": self.valid_images}
        matrix: Floats | None = None
        parts, labels = list[Floats](), list[Floats]()
        for images, (key, count) in zip(sources, counts.items(), strict=True):
            places = np.flatnonzero(np.isin(images.labels, pair))
            if len(places) < count:
                raise ConfigError(
                    f"task={self.name} needs {count} pictures of classes {pair} for "
                    f"task.{key} and finds {len(places)}: set it lower"
                )
            chosen = rng.permutation(places)[:count]
            pixels = images.pixels[chosen].reshape(count, -1).astype(np.float64)
            if matrix is None:
                matrix = rng.standard_normal((pixels.shape[1], self.features))
            parts.append(pixels @ matrix)
            labels.append((images.labels[chosen] == pair[1]).astype(np.float64))
        mean, std = parts[0].mean(axis=0), parts[0].std(axis=0)
        train, valid = ((part - mean) / std for part in parts)
        return [train, labels[0], valid, labels[1]]

    @property
    def files(self) -> Mapping[str, str]:
        """Those of the pictures."""
        return {} if self.pictures is None else self.pictures.files


@dataclass
class Projected(TaskMaker):
    """Makes ``ProjectedPictures`` of the task that another file describes.

    Args:
        of: name of its file.
        train_images: examples of a data set to learn from; 8,000 in the paper.
        valid_images: examples to be judged on; 1,000 in the paper.
        features: after projection.
        sets: data sets of the search.
        final_sets: data sets of the final figures.
        seed: of the projections.
        settings: values of the other file to set.
    """

    name: str
    of: str
    train_images: int
    valid_images: int
    features: int
    sets: int
    final_sets: int
    seed: int
    settings: dict[str, Any]

    def make(self, named: NamedTask) -> ProjectedPictures:
        """The task."""
        pictures = named(self.of, self.settings)
        split = f"{pictures.search_split}, pairs of classes in {self.features} dimensions"
        return ProjectedPictures(
            self.name, 1, 1, f"{split}: 9 pairs", f"{split}: 36 other pairs", self.valid_images,
            self.train_images, self.features, self.sets, self.final_sets, seed=self.seed,
            pictures=pictures,
        )  # fmt: skip
