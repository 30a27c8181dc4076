"""Training of one network: epoch by epoch, from checkpoint to checkpoint."""

import copy
import logging
import math
import time
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nasrun.errors import DataError
from nasrun.nets.checkpoint import load_checkpoint, save_checkpoint
from nasrun.nets.device import Device
from nasrun.nets.graphs import Forward, fast_forward
from nasrun.nets.optimizers import make_optimizer
from nasrun.nets.recipe import Recipe
from nasrun.progress import tell
from nasrun.spec import Objective, Tally

log = logging.getLogger("nasrun")

Batches = Iterable[tuple[Tensor, Tensor]]  # images (B, C, H, W), normalised, and targets (B, ...)
EpochBatches = Callable[[int], Batches]  # of an epoch, counted from 0: the same ones each time
PARTS = 2  # into which a batch is cut that does not fit the memory
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass(frozen=True)
class Epoch:
    """What an epoch (counted from 1) gave and took; a score is NaN where none was measured."""

    epoch: int
    loss: float
    train_score: float
    val_score: float
    train_s: float
    valid_s: float


class Trainer:
    """A network in training; goes on from its checkpoint where there is one.

    Everything random depends on ``seed`` and the epoch alone, so a training that was killed ends
    with the weights of an unbroken one.

    Args:
        make: returns the network; its weights are drawn under ``seed``.
        objective: what it is trained for, and judged by.
        recipe: how it is trained.
        epochs: length of the training, over which the learning rate falls.
        device: where.
        seed: of the weights, and of what networks draw while they are trained.
        checkpoint: file that is written after every epoch; None: nothing is kept.
        inherited: a state dict to begin with in the place of weights that are drawn.

    Raises:
        DataError: a checkpoint or inherited weights of another network.
    """

    def __init__(
        self,
        make: Callable[[], nn.Module],
        objective: Objective,
        recipe: Recipe,
        epochs: int,
        device: Device,
        seed: int,
        checkpoint: Path | None = None,
        inherited: Mapping[str, Any] | None = None,
    ) -> None:
        self.objective, self.recipe, self.epochs = objective, recipe, epochs
        self.device, self.seed = device, seed
        self.rows: list[Epoch] = []
        self.failure = ""  # in words, once the training has failed
        self.parts = 1  # into which each batch is cut
        self._steps: int | None = None  # of an epoch, once there has been one
        with device.seeded(seed):
            self.network = device.place(make())
        if inherited is not None:
            self._inherit(inherited)
        scales = device.dtype is torch.float16
        self.optimizer = make_optimizer(self.network, recipe, scales)
        self._scaler = torch.amp.GradScaler(device.processor.type, enabled=scales)
        self._checkpoint = checkpoint
        self._forward: Forward | None = None
        if checkpoint is not None and checkpoint.exists():
            self._load(load_checkpoint(checkpoint))

    @property
    def done(self) -> int:
        """Epochs that are behind the network."""
        return len(self.rows)

    def train(
        self,
        train: EpochBatches,
        valid: Batches,
        until: int | None = None,
        judged: Container[int] | None = None,
    ) -> list[Epoch]:
        """Train until so many epochs are done (None: all); returns what each epoch gave.

        A loss that is not finite, or batches that do not fit the memory even when halved, end the
        training; ``failure`` then says why.

        Args:
            train: batches of an epoch.
            valid: batches to judge by.
            until: number of epochs.
            judged: epochs, counted from 1, after which to judge; None: each.
        """
        until = self.epochs if until is None else min(until, self.epochs)
        with self.device.computing():
            while self.done < until and not self.failure:
                judges = judged is None or self.done + 1 in judged
                self.rows.append(self._epoch(train, valid if judges else ()))
                self.save()
        return self.rows

    def _epoch(self, train: EpochBatches, valid: Batches) -> Epoch:
        epoch = self.done
        self.prepare(epoch)
        began = time.perf_counter()
        loss, train_score = self._pass_with_halving(train, epoch)
        self.device.wait()
        trained = time.perf_counter()
        self.failure = self.failure or self.fault(loss, epoch + 1)
        val_score = math.nan
        if not self.failure:
            val_score = judged(self.network, self.objective, valid, self.device)
        ended = time.perf_counter()
        return Epoch(epoch + 1, loss, train_score, val_score, trained - began, ended - trained)

    def fault(self, loss: float, epoch: int) -> str:
        """What went wrong in an epoch, in words; empty if nothing did."""
        if not math.isfinite(loss):
            return f"the loss is {loss} in epoch {epoch}"
        norms = [parameter.detach().norm() for parameter in self.network.parameters()]
        finite = bool(torch.stack(norms).isfinite().all())
        return "" if finite else f"the weights are not finite after epoch {epoch}"

    def prepare(self, epoch: int) -> None:
        """Set what depends on the epoch: learning rate and the share of dropped paths."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(epoch, self.epochs)
        network: Any = self.network
        if hasattr(network, "drop_path"):
            network.drop_path = self.recipe.drop_path * epoch / self.epochs

    def _pass_with_halving(self, train: EpochBatches, epoch: int) -> tuple[float, float]:
        """Loss and score over an epoch; begun anew with halved batches if memory is short."""
        before = copy.deepcopy(self.state())
        try:
            return self._pass(train(epoch), epoch)
        except RuntimeError as error:
            if not lacks_memory(error):
                raise
            reason = str(error).splitlines()[0]
        if self.parts == PARTS:
            self.failure = f"out of memory in epoch {epoch + 1} even with halved batches"
            return math.nan, math.nan
        self.parts = PARTS
        self._forward = None  # and with it what a recorded graph holds
        self.optimizer.zero_grad()
        self.device.free()
        half = self.recipe.batch // PARTS
        log.warning(
            "batches of %d images do not fit the memory (%s): each is computed in %d parts of %d "
            "and learnt from at once; batch normalisation sees the parts alone",
            self.recipe.batch, reason, PARTS, half,
        )  # fmt: skip
        self.restore(before)
        return self._pass_with_halving(train, epoch)

    def _pass(self, batches: Batches, epoch: int) -> tuple[float, float]:
        """Mean loss and score of one pass over the training images."""
        self.network.train()
        loss_sum = torch.zeros((), device=self.device.processor)
        score = self.objective.tally(training=True)
        with self.device.seeded(self.seed, epoch):
            step = 0
            for step, (x, y) in enumerate(batches, start=1):
                loss_sum += self._step(x, y, score)
                self._tell(epoch, step, loss_sum, score.images)
        self._steps = step or None
        return float(loss_sum) / max(score.images, 1), score.value

    def _tell(self, epoch: int, step: int, loss_sum: Tensor, images: int) -> None:
        def words() -> str:
            return f"epoch {epoch + 1} of {self.epochs}, step {step}, loss {loss_sum / images:.3f}"

        within = 0.0 if self._steps is None else step / self._steps
        tell((epoch + within) / self.epochs, words)

    def _step(self, x: Tensor, y: Tensor, score: Tally) -> Tensor:
        """One update; returns the batch's summed loss and adds to the score."""
        if self._forward is None:
            self._forward = fast_forward(self.network, self.recipe, self.device, x, self.parts)
        self.optimizer.zero_grad()
        loss_sum = torch.zeros((), device=x.device)
        for part, target in zip(x.chunk(self.parts), y.chunk(self.parts), strict=True):
            with self.device.autocast():
                outputs = self._forward(part)
                output, *second = outputs if isinstance(outputs, tuple) else (outputs,)
                loss = self._loss(output, target)
                for other in second:
                    loss = loss + self.recipe.auxiliary * self._loss(other, target)
            self._scaler.scale(loss / len(y)).backward()
            loss_sum += loss.detach()
            score.add(output.detach(), target)
        if self.recipe.max_gradient is not None:
            self._scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.max_gradient)
        self._scaler.step(self.optimizer)
        self._scaler.update()
        return loss_sum

    def _loss(self, output: Tensor, target: Tensor) -> Tensor:
        return self.objective.loss(output.float(), target, self.recipe.label_smoothing)

    def _inherit(self, state: Mapping[str, Any]) -> None:
        try:
            self.network.load_state_dict(state)
        except RuntimeError as error:
            raise DataError(
                "expected inherited weights of all parts of this network, got those of another "
                "one: see SearchSpace.morph"
            ) from error

    def state(self) -> dict[str, Any]:
        """What the next step depends on."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a ``state``."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])

    def save(self) -> None:
        """Write the checkpoint, if one is kept."""
        if self._checkpoint is not None:
            rows = [asdict(row) for row in self.rows]
            own = {"rows": rows, "failure": self.failure, "parts": self.parts}
            save_checkpoint(self._checkpoint, {**self.state(), **own})

    def _load(self, state: dict[str, Any]) -> None:
        try:
            self.restore(state)
            self.rows = [Epoch(**row) for row in state["rows"]]
            self.failure, self.parts = state["failure"], state["parts"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise DataError(
                f"{self._checkpoint}: the checkpoint of another network ({error!r}); delete it to "
                "train anew"
            ) from None


def judged(network: nn.Module, objective: Objective, batches: Batches, device: Device) -> float:
    """Score of a network on some images; NaN without images."""
    network.eval()
    score = objective.tally()
    with torch.inference_mode(), device.autocast():
        for x, y in batches:
            score.add(objective.judged_output(network, x), y)
    return score.value


def lacks_memory(error: RuntimeError) -> bool:
    """Whether the memory did not suffice, of a GPU or of the machine."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or any(words in text for words in NO_MEMORY)
