"""CATCH's three networks, with the trials as an axis of every weight, and their joint loss.

Shapes: ``T`` trials, ``R`` rows computed (T, but at least two, see ``nets.cohort``), ``N`` measured
pairs, ``F`` one-hot columns of an architecture, ``P`` a width padded to whole cache lines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasrun.algorithms.slots import Decided, Slots
from nasrun.errors import DataError
from nasrun.nets.cohort import CohortMLP, clip_per_trial, padded, shapes_of, together
from nasrun.spec import Archs, Floats, Ints, Mask, Streams

ADAM_EPSILON = 1e-5  # [B] ppo2
VARIANCE_FLOOR = 1e-7  # of a pair's Gaussian; [P]
HEAD_SCALE = 0.01  # of a new policy's last layer, which makes it close to uniform; [B] ppo2
ARITY = "arity"  # key of the numbers of options in a state
TINY = 1e-12  # probabilities below it count as equal


class Context(Enum):
    """What the networks are told about the task."""

    encoder = "encoder"  # z ~ q(z | history)
    zero = "zero"  # z = 0
    prior = "prior"  # z ~ N(0, I)


@dataclass(frozen=True)
class Settings:
    """The fields of ``CATCH`` that shape the networks and their loss; see there."""

    context: Context
    latent: int
    encoder_widths: list[int]
    controller_widths: list[int]
    evaluator_widths: list[int]
    encoder_rate: float
    controller_rate: float
    evaluator_rate: float
    smoothing: float
    beta: float
    clip: float
    entropy: float
    max_gradient: float


class Lesson:
    """What the networks learn from after a measurement: the history, and recent decisions.

    Args:
        slots: columns of the space.
        latent: dimensions of z.
        archs: ``(T, N, L)`` measured architectures.
        score: ``(T, N)`` their normalised rewards.
        known: ``(T, N)`` whether the measurement succeeded.
        recent: the last architectures that the policy drew, oldest first.
    """

    def __init__(
        self,
        slots: Slots,
        latent: int,
        archs: Archs,
        score: Floats,
        known: Mask,
        recent: Sequence[Decided],
    ) -> None:
        rows = together(len(score))
        features = slots.one_hot(archs)[rows]
        self.measured = _widened(features, latent)
        self.pairs = _widened(np.concatenate([features, score[rows][..., None]], axis=2), 0)
        self.score = _tensor(score[rows])
        self.known = _tensor(known[rows])[..., None]
        self.policy = _PolicyLesson(slots, latent, score, recent) if recent else None


class _PolicyLesson:
    """The decisions behind the last ``W`` architectures, ``(R, W * L, ...)``."""

    def __init__(self, slots: Slots, latent: int, score: Floats, recent: Sequence[Decided]) -> None:
        rows, length = together(len(score)), len(slots.arity)

        def joined(name: str) -> Any:
            return np.concatenate([getattr(decided, name) for decided in recent], axis=1)[rows]

        self.taken = _widened(joined("taken"), latent)
        allowed = joined("allowed")
        self.even = _tensor(1.0 / allowed.sum(axis=2))
        surplus = padded(slots.width) - slots.width
        self.barred = torch.from_numpy(~np.pad(allowed, ((0, 0), (0, 0), (0, surplus))))
        self.column = torch.from_numpy(joined("column"))[..., None]
        self.log_chance = _tensor(joined("log_chance"))
        counts = np.repeat(np.stack([d.counts for d in recent], axis=1)[rows], length, axis=1)
        self.share = _tensor(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
        self.advantage = _tensor(np.repeat(score[rows, -len(recent) :], length, axis=1))


class Networks:
    """Encoder, controller and evaluator of ``T`` trials with their optimiser.

    Args:
        settings: shapes, rates and weights of the loss.
        slots: columns of the space.
        learnt: what ``state`` returned for some agents; empty: draw new weights.
        streams: of the cohort; a trial of seed s takes agent s mod agents.
        rows: the trials of the cohort that these networks are for.

    Raises:
        DataError: what was learnt has other shapes.
    """

    def __init__(
        self,
        settings: Settings,
        slots: Slots,
        learnt: Mapping[str, Any],
        streams: Streams,
        rows: slice,
    ) -> None:
        self._settings = settings
        self._arity = slots.arity
        self._first = slots.width
        seeds = np.array(streams.seeds[rows], np.int64)
        self._trials = len(seeds)
        self._rows = together(self._trials)
        width, latent = slots.width, settings.latent
        shapes = {
            "controller": [width + latent, *settings.controller_widths, width],
            "evaluator": [width + latent, *settings.evaluator_widths, 1],
        }
        if settings.context is Context.encoder:
            shapes["encoder"] = [width + 1, *settings.encoder_widths, 2 * latent]
        if learnt:
            _require_same(shapes, slots, learnt)
            agent = seeds % len(learnt[ARITY])
            self._nets = {name: CohortMLP.loaded(learnt, name, agent) for name in shapes}
        else:
            self._nets = _drawn(shapes, streams, rows)
        self._optimiser = torch.optim.Adam(
            [
                {"params": net.parameters, "lr": getattr(settings, f"{name}_rate")}
                for name, net in self._nets.items()
            ],
            eps=ADAM_EPSILON,
            fused=True,
        )

    def state(self) -> dict[str, Any]:
        """Weights by network and number, and the space's numbers of options; trials first."""
        parts = [net.state(self._trials, name) for name, net in self._nets.items()]
        arity = np.tile(self._arity, (self._trials, 1))
        return {ARITY: arity, **{key: array for part in parts for key, array in part.items()}}

    def context(self, lesson: Lesson, noise: Floats) -> tuple[Tensor, Tensor]:
        """``(R, latent)`` sample of z and ``(R,)`` KL divergence of its law from the prior."""
        eps = _tensor(noise[self._rows])
        if self._settings.context is not Context.encoder:
            is_prior = self._settings.context is Context.prior
            return eps if is_prior else torch.zeros_like(eps), torch.zeros(len(eps))
        head = self._nets["encoder"](lesson.pairs)
        latent = self._settings.latent
        spread = head[..., latent : 2 * latent]
        # torch's own softplus differs in the last bit with the place of a number in memory.
        variance = torch.relu(spread) + torch.log1p(torch.exp(-spread.abs()))
        precision = lesson.known / variance.clamp(min=VARIANCE_FLOOR)
        total = precision.sum(dim=1)
        alone = (total == 0).float()  # not one pair: the prior
        variance = 1.0 / (total + alone)
        mean = variance * (precision * head[..., :latent]).sum(dim=1)
        kl = 0.5 * (variance + mean.square() - 1.0 - variance.log()).sum(dim=1)
        return mean + variance.sqrt() * eps, kl

    def blank(self, z: Tensor, rows: int) -> Tensor:
        """``(R, rows, P)`` architectures with no decision taken yet, beside their context."""
        return self._told(torch.zeros(len(z), rows, padded(self._first + z.shape[1])), z)

    def take(self, told: Tensor, column: Ints) -> None:
        """Note in ``told`` that ``column (T, rows)`` was chosen."""
        told.scatter_(2, torch.from_numpy(column[self._rows])[..., None], 1.0)

    @torch.no_grad()
    def logits(self, told: Tensor) -> Floats:
        """``(T, rows, P)`` of all decisions, for whoever knows which one is next."""
        return self._nets["controller"](told)[: self._trials].double().numpy()

    @torch.no_grad()
    def predict(self, told: Tensor) -> Floats:
        """``(T, rows)`` predicted scores of complete architectures."""
        return self._nets["evaluator"](told)[: self._trials, :, 0].double().numpy()

    def update(self, lesson: Lesson, weight: Floats, noise: Floats) -> Floats:
        """One step of the joint loss; returns the evaluator's ``(T, N)`` errors before it.

        Args:
            lesson: history and decisions.
            weight: ``(T, N)`` importance weights of the evaluator's batch.
            noise: ``(T, latent)`` standard normal numbers.
        """
        z, kl = self.context(lesson, noise)
        loss, error = self._evaluator_loss(lesson, _tensor(weight[self._rows]), z)
        if lesson.policy is not None:
            loss = loss + self._controller_loss(lesson.policy, z)
        # The sum over trials: each trial's gradient is that of its own loss.
        (loss + self._settings.beta * kl).sum().backward()
        for net in self._nets.values():
            clip_per_trial(net.parameters, self._settings.max_gradient)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return error[: self._trials].double().numpy()

    def _evaluator_loss(self, lesson: Lesson, weight: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        predicted = self._nets["evaluator"](self._told(lesson.measured, z))[..., 0]
        error = predicted - lesson.score
        size = error.abs()
        huber = torch.where(size <= 1.0, 0.5 * error.square(), size - 0.5)
        drawn = (weight > 0).sum(dim=1).clamp(min=1)
        return (weight * huber).sum(dim=1) / drawn, error.detach()

    def _controller_loss(self, lesson: _PolicyLesson, z: Tensor) -> Tensor:
        settings = self._settings
        head = self._nets["controller"](self._told(lesson.taken, z))
        log_policy = torch.log_softmax(head.masked_fill(lesson.barred, -torch.inf), dim=-1)
        log_policy = log_policy.masked_fill(lesson.barred, 0.0)
        policy = log_policy.exp().masked_fill(lesson.barred, 0.0)
        entropy = -(policy * log_policy).sum(dim=-1)
        picked = policy.gather(-1, lesson.column)[..., 0]
        chance = (1.0 - settings.smoothing) * picked + settings.smoothing * lesson.even
        ratio = torch.exp(chance.clamp(min=TINY).log() - lesson.log_chance)
        clipped = ratio.clamp(1.0 - settings.clip, 1.0 + settings.clip)
        gain = torch.minimum(ratio * lesson.advantage, clipped * lesson.advantage)
        return -(lesson.share * (gain + settings.entropy * entropy)).sum(dim=1)

    def _told(self, features: Tensor, z: Tensor) -> Tensor:
        """Inputs of controller and evaluator: the decisions, beside them the context."""
        surplus = features.shape[2] - self._first - z.shape[1]
        return features + torch.nn.functional.pad(z, (self._first, surplus))[:, None]


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def _widened(features: Floats, more: int) -> Tensor:
    """``(R, n, P)`` inputs of a network with room for ``more`` columns; the surplus is zero."""
    rows, n, width = features.shape
    wide = np.zeros((rows, n, padded(width + more)), np.float32)
    wide[..., :width] = features
    return torch.from_numpy(wide)


def _drawn(shapes: Mapping[str, list[int]], streams: Streams, rows: slice) -> dict[str, CohortMLP]:
    scale = {"controller": HEAD_SCALE}
    return {
        name: CohortMLP.drawn(sizes, streams.fork(name, rows), head_scale=scale.get(name, 1.0))
        for name, sizes in shapes.items()
    }


def _require_same(shapes: Mapping[str, list[int]], slots: Slots, learnt: Mapping[str, Any]) -> None:
    wanted = {
        f"{name}.{at}": shape
        for name, sizes in shapes.items()
        for at, shape in enumerate(shapes_of(sizes))
    }
    found = {key: array.shape[1:] for key, array in learnt.items() if key != ARITY}
    # Padding gives spaces of almost the same size weights of the same shape.
    if found != wanted or not np.array_equal(learnt[ARITY][0], slots.arity):
        raise DataError(
            "the meta-trained agents have other networks than this search: they belong to another "
            "space or to other widths; train them anew, or set algorithm's fields as they were"
        )
