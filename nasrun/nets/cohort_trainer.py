"""Training of several networks of one shape at once, each as if it were alone."""

import copy
import logging
import math
import time
from collections.abc import Container, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nasrun.nets.fused import Fuser, shape_of
from nasrun.nets.fused_cell import link
from nasrun.nets.optimizers import make_optimizer
from nasrun.nets.recorded_step import Step, as_recordable, fast_step, set_rate
from nasrun.nets.trainer import Batches, Epoch, EpochBatches, Trainer, lacks_memory
from nasrun.progress import tell
from nasrun.spec import SummedObjective

log = logging.getLogger("nasrun")


def cohort_shape(trainer: Trainer) -> Hashable | None:
    """What must be equal for networks to train together; None: this one trains alone.

    Alone train networks that drop paths, which draws random numbers for all at once, and those
    whose losses are scaled (float16), because one network's overflow would make all skip a step.
    So do those whose metric is no sum over batches. ``deterministic`` and compiled trainings stay
    what they were.
    """
    device = trainer.device
    alone = device.deterministic or device.compile or device.dtype is torch.float16
    alone = alone or not isinstance(trainer.objective, SummedObjective)
    if alone or trainer.recipe.drop_path or trainer.parts > 1:
        return None
    return shape_of(trainer.network)


def train_together(
    trainers: Sequence[Trainer],
    train: Sequence[EpochBatches],
    valid: Batches,
    until: int,
    judged: Container[int] | None = None,
) -> None:
    """Train all until so many epochs are done; ``trainer.rows`` then hold what each epoch gave.

    A network whose loss is not finite ends there, the others go on. If the memory does not suffice,
    the networks train in two halves, down to one at a time, which then halves its batches.

    A network's weights do not depend on which others there are, save for rounding. Its seconds are
    an equal share of the cohort's.

    Args:
        trainers: of one ``cohort_shape``, recipe and length, all with the same epochs done.
        train: batches of an epoch for each of them, of the same sizes.
        valid: batches to judge by.
        until: number of epochs.
        judged: epochs, counted from 1, after which to judge; None: each.
    """
    jobs = [(t, own) for t, own in zip(trainers, train, strict=True) if not t.failure]
    while jobs and jobs[0][0].done < min(until, jobs[0][0].epochs):
        if len(jobs) == 1:
            jobs[0][0].train(jobs[0][1], valid, until, judged)
            return
        cohort = Cohort([trainer for trainer, _ in jobs])
        try:
            cohort.train([own for _, own in jobs], valid, until, judged)
        except RuntimeError as error:
            if not lacks_memory(error):
                raise
            del cohort
            jobs[0][0].device.free()
            log.warning(
                "%d networks together do not fit the memory (%s): they train in two halves",
                len(jobs), str(error).splitlines()[0],
            )  # fmt: skip
            for half in (jobs[: len(jobs) // 2], jobs[len(jobs) // 2 :]):
                train_together([t for t, _ in half], [own for _, own in half], valid, until, judged)
            return
        jobs = [(trainer, own) for trainer, own in jobs if not trainer.failure]


class Cohort:
    """Networks that train together for as long as none fails; see ``train_together``."""

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        self._trainers, self._first = trainers, trainers[0]
        self._recipe, self._device = self._first.recipe, self._first.device
        assert isinstance(self._first.objective, SummedObjective)
        self._objective = self._first.objective
        fuser = Fuser([trainer.network for trainer in trainers])
        self._count, self._places = fuser.count, fuser.places
        link(fuser.network)
        self._network = fuser.network.to(self._device.processor)
        self._optimizer = make_optimizer(self._network, self._recipe, scales=False)
        self._owners = self._owners_by_parameter()
        self._take_optimizers()
        as_recordable(self._optimizer, self._device)
        self._fast: Step | None = None
        self._steps: int | None = None

    def train(
        self,
        train: Sequence[EpochBatches],
        valid: Batches,
        until: int,
        judged: Container[int] | None,
    ) -> None:
        """Until the epochs are done, or a network has failed."""
        with self._device.computing():
            while self._first.done < min(until, self._first.epochs):
                judges = judged is None or self._first.done + 1 in judged
                self._epoch(train, valid if judges else ())
                if any(trainer.failure for trainer in self._trainers):
                    return

    def _epoch(self, train: Sequence[EpochBatches], valid: Batches) -> None:
        epoch = self._first.done
        set_rate(self._optimizer, self._recipe.rate(epoch, self._first.epochs))
        began = time.perf_counter()
        before = [copy.deepcopy(trainer.state()) for trainer in self._trainers]
        try:
            losses, scores = self._pass([batches(epoch) for batches in train], epoch)
        except RuntimeError:
            for trainer, state in zip(self._trainers, before, strict=True):
                trainer.restore(state)
            raise
        self._device.wait()
        trained = time.perf_counter()
        found = self._judged(valid)
        ended = time.perf_counter()
        self._return_optimizers()
        seconds = (trained - began) / self._count, (ended - trained) / self._count
        for at, trainer in enumerate(self._trainers):
            trainer.failure = trainer.fault(losses[at], epoch + 1)
            val_score = math.nan if trainer.failure else found[at]
            trainer.rows.append(Epoch(epoch + 1, losses[at], scores[at], val_score, *seconds))
            trainer.save()

    def _pass(self, batches: Sequence[Batches], epoch: int) -> tuple[list[float], list[float]]:
        """Mean loss and score of each network over the training images."""
        self._network.train()
        losses = torch.zeros(self._count, device=self._device.processor)
        sums: list[Tensor] | None = None
        images = step = 0
        for step, parts in enumerate(zip(*batches, strict=True), start=1):
            x = torch.cat([x for x, _ in parts], dim=1)
            targets = [y for _, y in parts]
            if self._fast is None:
                made = self._network, self._optimizer, self._device
                self._fast = fast_step(self._step, *made, (x, targets))
            loss, added = self._fast(x, targets)
            losses += loss
            sums = added if sums is None else [a + b for a, b in zip(sums, added, strict=True)]
            images += len(targets[0])
            self._tell(epoch, step, losses, images)
        self._steps = step or None
        objective = self._objective
        scores = [math.nan] * self._count
        if sums is not None:
            scores = [objective.score(own, images) for own in sums]
        return (losses / max(images, 1)).tolist(), scores

    def _tell(self, epoch: int, step: int, losses: Tensor, images: int) -> None:
        def words() -> str:
            mean = losses.nanmean() / images
            return (
                f"{self._count} networks, epoch {epoch + 1} of {self._first.epochs}, step {step}, "
                f"mean loss {mean:.3f}"
            )

        within = 0.0 if self._steps is None else step / self._steps
        tell((epoch + within) / self._first.epochs, words)

    def _step(self, x: Tensor, targets: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One update of every network; returns summed losses ``(K,)`` and sums for the metric."""
        self._optimizer.zero_grad()
        with self._device.autocast(cached=False):  # a recorded step casts weights at each replay
            outputs = self._network(x)
        output, *second = outputs if isinstance(outputs, tuple) else (outputs,)
        losses = self._losses(output, targets)
        for other in second:
            losses = losses + self._recipe.auxiliary * self._losses(other, targets)
        # A sum, of which each network's weights touch one term.
        (losses.sum() / len(targets[0])).backward()
        if self._recipe.max_gradient is not None:
            self._clip(self._recipe.max_gradient)
        self._optimizer.step()
        objective = self._objective
        parts = output.detach().float().chunk(self._count, dim=1)
        return losses.detach(), [
            objective.sums(part, target) for part, target in zip(parts, targets, strict=True)
        ]

    def _losses(self, output: Tensor, targets: Sequence[Tensor]) -> Tensor:
        """``(K,)`` losses of ``output (B, K * k, ...)``, each summed over its images."""
        objective, smoothing = self._objective, self._recipe.label_smoothing
        parts = output.float().chunk(self._count, dim=1)
        return torch.stack(
            [
                objective.loss(part, target, smoothing)
                for part, target in zip(parts, targets, strict=True)
            ]
        )

    def _clip(self, most: float) -> None:
        """Scale each network's gradient to a norm of ``most``, as torch clips a single one's."""
        squares = self._owners[0][0].new_zeros(self._count)
        for parameter, owners in self._owners:
            if parameter.grad is not None:
                parts = parameter.grad.reshape(len(owners), -1)
                squares = squares.index_add(0, owners, parts.square().sum(dim=1))
        factors = (most / (squares.sqrt() + 1e-6)).clamp(max=1.0)
        for parameter, owners in self._owners:
            if parameter.grad is not None:
                scale = factors[owners].repeat_interleave(len(parameter) // len(owners))
                parameter.grad.mul_(scale.view(-1, *(1,) * (parameter.dim() - 1)))

    def _owners_by_parameter(self) -> list[tuple[nn.Parameter, Tensor]]:
        """Each parameter with the network of each of its parts."""
        found: dict[nn.Parameter, list[int]] = {}
        for place in self._places:
            found.setdefault(place.fused, []).append(place.network)
        where = self._device.processor
        return [(one, torch.tensor(owners, device=where)) for one, owners in found.items()]

    def _take_optimizers(self) -> None:
        """Go on from what the networks' own optimisers remember, such as momentum."""
        states: dict[nn.Parameter, list[dict[str, Any]]] = {}
        for place in self._places:
            own = self._trainers[place.network].optimizer.state.get(place.single, {})
            states.setdefault(place.fused, []).append(own)
        for parameter, parts in states.items():
            if not any(parts):
                continue
            if not all(parts):
                raise AssertionError("networks that have learned beside those that have not")
            self._optimizer.state[parameter] = {
                name: _joined([part[name] for part in parts]) for name in parts[0]
            }

    def _return_optimizers(self) -> None:
        """Give the networks' own optimisers what was learned, so that they can be saved."""
        for place in self._places:
            whole = self._optimizer.state.get(place.fused)
            if whole:
                self._trainers[place.network].optimizer.state[place.single] = {
                    name: place.part(value) if value.dim() else value.clone()
                    for name, value in whole.items()
                    if value is not None
                }

    def _judged(self, valid: Batches) -> list[float]:
        """Scores of all networks on some images; NaN without images."""
        self._network.eval()
        objective = self._objective
        sums: list[Tensor] | None = None
        images = 0
        with torch.inference_mode(), self._device.autocast():
            for x, y in valid:
                outputs = self._network(x.repeat(1, self._count, 1, 1)).float()
                parts = outputs.chunk(self._count, dim=1)
                added = [objective.sums(part, y) for part in parts]
                sums = added if sums is None else [a + b for a, b in zip(sums, added, strict=True)]
                images += len(y)
        if sums is None:
            return [math.nan] * self._count
        return [objective.score(own, images) for own in sums]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """What optimisers remember of a parameter's parts, as that of the whole; counts are equal."""
    return torch.cat(list(parts)) if parts[0].dim() else parts[0].clone()
