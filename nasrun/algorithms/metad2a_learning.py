"""How MetaD2A's two networks are trained: batches of records, and what is kept of them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nasrun.errors import ConfigError, DataError
from nasrun.nets.set_encoders import HEADS
from nasrun.progress import tell
from nasrun.spec import Ints, Records

SIZES = "sizes"  # name of the array with what a network was made for
MAX_GRADIENT = 5.0  # norm to which a step's gradient is clipped; OUR CHOICE
WARM_UP = 0.1  # share of the steps in which the learning rate rises


class Sets:
    """What the data sets of records look like, drawn anew at every access.

    Args:
        records: with the features of each class.
        pictures: drawn of each class, as far as there are so many.
    """

    def __init__(self, records: Records, pictures: int) -> None:
        self._features = torch.from_numpy(records.features)
        self._classes = [torch.tensor(classes) for classes in records.datasets]
        self._dataset = records.dataset
        self._pictures = min(pictures, self._features.shape[1])

    def of(self, rows: Ints, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What a set encoder takes: features and classes of the data sets of records ``rows``.

        A class has one draw of pictures, which all data sets of the batch share.
        """
        wanted = torch.stack([self._classes[at] for at in self._dataset[rows]])
        present, classes = wanted.unique(return_inverse=True)
        features = self._features[present]
        if self._pictures < features.shape[1]:
            chance = torch.rand(features.shape[:2], generator=generator)
            drawn = chance.argsort(1)[:, : self._pictures]
            features = features[torch.arange(len(present))[:, None], drawn]
        return features, classes

    def batches(self, rows: Ints, size: int, generator: torch.Generator) -> Iterator[Ints]:
        """``rows`` in random batches, whose data sets have equally many classes."""
        counts = np.array([len(self._classes[at]) for at in self._dataset[rows]])
        parts: list[Ints] = []
        for count in np.unique(counts):
            own = rows[counts == count]
            own = own[torch.randperm(len(own), generator=generator).numpy()]
            parts += np.split(own, range(size, len(own), size))
        for at in torch.randperm(len(parts), generator=generator).tolist():
            yield parts[at]


class Descent:
    """Adam with decoupled weight decay and one cycle of the learning rate.

    Args:
        network: what is trained.
        rate: highest learning rate.
        decay: of the weights.
        steps: in all.
    """

    def __init__(self, network: nn.Module, rate: float, decay: float, steps: int) -> None:
        self._network = network
        self._optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=decay)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda step: cycle(step, steps)
        )

    def step(self, loss: Tensor) -> None:
        """One update along the gradient of ``loss ()``."""
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), MAX_GRADIENT)
        self._optimizer.step()
        self._schedule.step()


@dataclass(frozen=True)
class Lesson:
    """How long and how fast a network is trained; fields of the learners by the same names."""

    epochs: int
    batch: int
    rate: float
    decay: float

    def learn(
        self,
        network: nn.Module,
        sets: Sets,
        rows: Ints,
        draws: torch.Generator,
        terms: Callable[[Ints], tuple[Tensor, Sequence[float]]],
        judged: Callable[[], Sequence[float | None]],
    ) -> list[tuple[Any, ...]]:
        """Train; returns for each epoch its number, means over ``rows``, and what ``judged`` says.

        Args:
            network: what is trained.
            sets: of which batches are drawn.
            rows: ``(n,)`` of the records to learn from.
            draws: of the batches.
            terms: the loss ``()`` of the records of a batch, and sums over them for the log.
            judged: figures of what is held out.

        Raises:
            ConfigError: the weights are not finite any more.
        """
        steps = self.epochs * len(list(sets.batches(rows, self.batch, draws)))
        descent = Descent(network, self.rate, self.decay, steps)
        found: list[tuple[Any, ...]] = []
        for epoch in range(1, self.epochs + 1):
            sums = np.zeros(())
            network.train()
            for batch in sets.batches(rows, self.batch, draws):
                loss, figures = terms(batch)
                descent.step(loss)
                sums = sums + np.array(figures)
            if not all(bool(part.isfinite().all()) for part in network.parameters()):
                raise ConfigError(
                    f"weights that MetaD2A learns are not finite after epoch {epoch} at "
                    f"rate={self.rate:g}: set algorithm.generator.rate and "
                    "algorithm.predictor.rate lower"
                )
            found.append((epoch, *(sums / len(rows)).round(6).tolist(), *judged()))
            tell(epoch / self.epochs, partial(_words, *found[-1][:2]))
        return found


def _words(epoch: int, loss: float) -> str:
    """An epoch and the first of its means in words."""
    return f"epoch {epoch}, loss {loss:.3f}"


def cycle(step: int, steps: int) -> float:
    """Share of the highest rate at a step: it rises linearly, then falls along a cosine to zero."""
    rising = max(1.0, WARM_UP * steps)
    return min(1.0, (step + 1) / rising) * 0.5 * (1.0 + math.cos(math.pi * step / steps))


@contextmanager
def seeded(seed: int) -> Iterator[torch.Generator]:
    """First weights of this seed, and a generator for all other draws; nothing else changes."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


def weights(network: nn.Module, sizes: Sequence[int]) -> dict[str, NDArray[Any]]:
    """A network's weights as arrays, with the ``sizes`` that it was made for."""
    state = {name: value.numpy().copy() for name, value in network.state_dict().items()}
    return {**state, SIZES: np.array(sizes, np.int64)}


def load(network: nn.Module, arrays: Mapping[str, Any]) -> None:
    """Give a network what ``weights`` returned."""
    names = network.state_dict().keys()
    if missing := [name for name in names if name not in arrays]:
        raise DataError(f"what was learnt lacks {missing[0]}: meta-train anew")
    network.load_state_dict(
        {name: torch.from_numpy(np.array(arrays[name], np.float32)) for name in names}
    )


def require_whole_heads(where: str, width: int) -> None:
    """Refuse a width that the heads of attention cannot share.

    Raises:
        ConfigError: names the field.
    """
    if width % HEADS:
        raise ConfigError(f"{where} must be a multiple of {HEADS}, got {width}")


def require_sizes(arrays: Mapping[str, Any], expected: Sequence[int], what: str) -> None:
    """Refuse networks that were made for other features or another space.

    Raises:
        DataError: names the sizes.
    """
    names = ("features of a picture", "types of vertices", "vertices")
    found = [int(size) for size in arrays[SIZES]][: len(names)]
    for name, own, wanted in zip(names, found, expected, strict=True):
        if own != wanted:
            raise DataError(
                f"{what} was meta-trained for {own} {name}, but this search has {wanted}: use the "
                "features and the space that it was trained with, or meta-train anew"
            )
