"""What one-shot methods share: a search epoch by epoch, what it derives, checkpoints, judging."""

import logging
import math
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from nasrun.algorithms.shared_data import SharedData
from nasrun.algorithms.supernet_training import SupernetTraining
from nasrun.errors import DataError, UnsupportedError
from nasrun.nets.checkpoint import load_checkpoint, save_checkpoint
from nasrun.progress import stage, tell
from nasrun.spec import Archs, Measured, Phase, Problem, Scale, Streams, Supernet, Task

log = logging.getLogger("nasrun")

CHECKPOINT = "supernet.pt"


@dataclass
class OneShot(SupernetTraining):
    """A method that shares the weights of all architectures: an epoch of its supernet is a step.

    What is measured in a step is the architecture that the method would derive now, by its accuracy
    with the shared weights on the images that validate the search, and rewarded as in any search:
    where a device is set, by its latency too. A training that diverges fails its measurements.
    Subclasses say how weights and architecture are updated (``update``) and what they derive
    (``derive``).

    Departures from NAS-Bench-201's searches ([A]): the validation images of an epoch are drawn
    without repeats; a derived cell is judged after every epoch.
    """

    cohort: ClassVar[bool] = False
    trains: ClassVar[bool] = True

    # What a method says

    def prepare(self) -> None:
        """Make what belongs to a search besides the supernet; ``keep`` what a checkpoint needs."""

    def begin_epoch(self) -> None:
        """Do what comes before an epoch's first batch."""

    @abstractmethod
    def update(self, x: Tensor, y: Tensor) -> None:
        """Learn from a batch of training images."""

    def end_epoch(self) -> None:
        """Do what comes after an epoch's last batch."""

    @abstractmethod
    def derive(self) -> Archs:
        """``(L,)`` the architecture to report if the search ended now."""

    # The contract

    @property
    def epochs_on_record(self) -> int:
        """Epochs that are over, be it in an earlier process."""
        return len(self._records)

    @property
    def protocol(self) -> Mapping[str, str]:
        """What the search's own figures are."""
        reduced = f"; reduced: {label}" if (label := self.scale.label) else ""
        return {
            "fidelity": f"shared weights, {self.planned_steps} epochs{reduced}",
            "run": "own",
            "clock": "measured",
        }

    @property
    def shared_weights(self) -> Supernet:
        """The supernet after the epochs so far."""
        return self.network

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Build supernet and data anew; go on from the checkpoint if there is one.

        Raises:
            UnsupportedError: several trials at once, or no supernet or images.
            ConfigError: float16, or a device that is not there.
        """
        if problem.trials != 1:
            raise UnsupportedError(
                f"algorithm={self.name} plays one trial at a time, got {problem.trials}"
            )
        self.begin(problem, streams)
        self.check_task(problem.task)
        self._searching = phase is Phase.SEARCH
        self._records: list[dict[str, Any]] = []
        self._kept: dict[str, Any] = {}
        processor, layout = self.processor.processor, self.processor.on_gpu
        seed = self._seed(0)
        with self.processor.computing(), stage("supernet", words=lambda: "being built"):
            images = problem.images()
            self.data = SharedData(images, self.scale, self.batch, processor, layout, seed)
            self.build(Scale(self.scale.channels, self.scale.cells), self.share)
            self._refresh("start")
            self.prepare()
            self._load()

    def check_task(self, task: Task) -> None:
        """Refuse a task that the supernet cannot learn.

        Raises:
            UnsupportedError: it is not to classify.
        """
        if task.objective is not None:
            raise UnsupportedError(
                f"algorithm={self.name} trains a supernet to classify, which is not what "
                f"task={task.name} is for: use a sample-based algorithm"
            )

    def step(self) -> Measured:
        """Train for an epoch, derive an architecture and judge it; known epochs are looked up.

        Nothing is trained after a training has diverged: the epochs that are left have no score.
        """
        if self.epoch == len(self._records):
            lost = bool(self._records) and not self._records[-1].get("finite", True)
            self._records.append(self._lost_epoch() if lost else self._trained_epoch())
            self._save()
        self.epoch += 1
        return self._measured()

    def _trained_epoch(self) -> dict[str, Any]:
        began = time.perf_counter()
        with self.processor.computing(), stage("supernet", self.epoch / self.planned_steps):
            self._train()
            tell((self.epoch + 1) / self.planned_steps, self._judging)
            finite = self._is_finite()
            arch, accuracy = self._derived(finite)
        self.processor.wait()
        cost = time.perf_counter() - began
        return {"arch": arch.tolist(), "accuracy": accuracy, "cost": cost, "finite": finite}

    def _lost_epoch(self) -> dict[str, Any]:
        """The record of an epoch that would be trained for nothing."""
        arch = self.recommend()[0].tolist()
        return {"arch": arch, "accuracy": math.nan, "cost": 0.0, "finite": False, "trained": False}

    def _derived(self, finite: bool) -> tuple[Archs, float]:
        """``(L,)`` what would be derived now, and its accuracy.

        In the epoch in which a training diverges it is what was derived before, without an
        accuracy: numbers that are none have their maximum in the first place, and see the first
        class in every image.
        """
        if finite:
            arch = self.derive()
            return arch, self.accuracy(arch, self.data.judging())
        return self.recommend()[0] if self._records else self.random_arch(), math.nan

    def _is_finite(self) -> bool:
        """Whether all that is learnt is finite; says when that is over."""
        finite = bool(torch.stack([part.isfinite().all() for part in self.learning()]).all())
        if not finite and self._searching:  # else who has the supernet trained refuses it
            log.warning(
                "%s: what is learnt is not finite after epoch %d, and nothing is derived from it: "
                "set algorithm.learning_rate or algorithm.max_gradient lower",
                self.name, self.epoch + 1,
            )  # fmt: skip
        return finite

    def learning(self) -> Sequence[Tensor]:
        """What is learnt; subclasses add what they derive architectures from."""
        return self.weights

    def recommend(self) -> Archs:
        """``(1, L)`` what was derived last."""
        return np.array([self._records[self.epoch - 1]["arch"]], np.int64)

    def _measured(self) -> Measured:
        record, archs = self._records[self.epoch - 1], self.recommend()
        accuracy, latency_ms = np.array([record["accuracy"]]), self.problem.latency_ms(archs)
        return Measured(
            archs,
            np.array([self.epoch]),
            accuracy,
            np.array([record["cost"]]),
            latency_ms,
            self.problem.reward(accuracy, latency_ms),
        )

    # Training

    def _train(self) -> None:
        self._refresh(f"epoch/{self.epoch}")
        self.begin_epoch()
        self.network.train()
        steps = self.data.steps
        for number, (x, y) in enumerate(self.data.training(self.epoch)):
            self.progress = self.epoch + number / steps
            self._set_rate()
            self.update(x, y)
            self._tell(number + 1)
        self.progress = self.epoch + 1.0
        self.end_epoch()

    def _judging(self) -> str:
        return f"epoch {self.epoch + 1} of {self.planned_steps}, judging what was found"

    def _tell(self, step: int) -> None:
        loss = self._last_loss

        def words() -> str:
            where = f"epoch {self.epoch + 1} of {self.planned_steps}"
            where = f"{where}, step {step} of {self.data.steps}"
            return where if loss is None else f"{where}, loss {float(loss):.3f}"

        tell((self.epoch + step / self.data.steps) / self.planned_steps, words)

    def _refresh(self, purpose: str) -> None:
        """Random numbers of this epoch alone, so that a resumed search draws the same ones."""
        self.draws = self._streams.fork(purpose)
        self.noise = torch.Generator().manual_seed(int(self.draws.integers(2**48)[0, 0]))
        self._share_noise()
        self._validation: Iterator[tuple[Tensor, Tensor]] = self.data.validating(self.epoch)

    def _share_noise(self) -> None:
        """Give the network a source of random numbers; a GPU draws its masks, which are large."""
        processor, seed = self.processor, self.noise.initial_seed()
        self.network.noise = processor.generator(seed) if processor.on_gpu else self.noise

    def valid_batch(self) -> tuple[Tensor, Tensor]:
        """The next batch of validation images, as training images are shown."""
        return next(self._validation)

    # Architectures

    def single_path(self, arch: Archs) -> list[Tensor]:
        """One-hot mixing rows of ``arch (L,)``."""
        options, names = self.network.rows_of(arch), self.network.rows
        blocks = [np.eye(len(row))[option] for option, row in zip(options, names, strict=True)]
        flat = torch.from_numpy(np.concatenate(blocks)).float()
        flat = flat.to(self.processor.processor, non_blocking=True)
        return list(flat.split([len(row) for row in names]))

    def random_arch(self) -> Archs:
        """``(L,)`` uniform over the space."""
        return self.problem.space.sample(self.draws)[0]

    def accuracy(self, arch: Archs, batches: Iterator[tuple[Tensor, Tensor]]) -> float:
        """Percentage of images that ``arch (L,)`` gets right with the shared weights."""
        rows, right, count = self.single_path(arch), 0, 0
        self.network.eval()
        with torch.inference_mode(), self.processor.autocast():
            for x, y in batches:
                right = right + (self.network(x, rows).argmax(dim=1) == y).sum()
                count += len(y)
        self.network.train()
        return 100.0 * float(right) / count

    def best_of(self, archs: Sequence[Archs]) -> Archs:
        """``(L,)`` the best of some architectures, each judged on one batch of validation images.

        Every candidate has a batch of its own, as in [A].
        """
        found = [self.accuracy(arch, self.data.glimpse(self.draws)) for arch in archs]
        return archs[int(np.argmax(found))]

    # Checkpoints

    def keep(self, **parts: Any) -> None:
        """Name what a checkpoint must hold besides weights: tensors, modules, optimisers."""
        self._kept |= parts

    def _save(self) -> None:
        if self.problem.folder is not None:
            state = {"records": self._records, "parts": self._state()}
            save_checkpoint(self.problem.folder / CHECKPOINT, state)

    def _state(self) -> dict[str, Any]:
        parts = {"network": self.network, "weights": self.weight_optimizer, **self._kept}
        return {
            name: part.detach() if isinstance(part, Tensor) else part.state_dict()
            for name, part in parts.items()
        }

    def _load(self) -> None:
        folder = self.problem.folder
        if folder is None or not (path := folder / CHECKPOINT).exists():
            return
        try:
            self._restore(load_checkpoint(path))
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise DataError(
                f"{path}: the checkpoint of another search ({type(error).__name__}: {reason:.99}); "
                "delete it to search anew"
            ) from None

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._records = state["records"]
        self.resume(sum(record.get("trained", True) for record in self._records))
        parts = {"network": self.network, "weights": self.weight_optimizer, **self._kept}
        for name, part in parts.items():
            if isinstance(part, Tensor):
                part.data.copy_(state["parts"][name])
            else:
                part.load_state_dict(state["parts"][name])

    def resume(self, epochs: int) -> None:
        """Rebuild what has another shape after ``epochs``, before a checkpoint is loaded."""
