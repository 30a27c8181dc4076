"""UNAS: gradients of an expected loss over discrete architectures, one architecture per image."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from nasrun.algorithms.latency_loss import LatencyLoss
from nasrun.algorithms.mixture import Mixture
from nasrun.algorithms.reduction import Optimizer
from nasrun.errors import ConfigError
from nasrun.nets import estimators
from nasrun.nets.estimators import Draw, uniforms
from nasrun.spec import Archs, Streams

log = logging.getLogger("nasrun")

LONG_S = 60.0  # a fit of the latency surrogate that takes longer is announced
SKIPPED = 0.05  # an option with less weight than this for all images is not computed; [UC]


class Estimator(Enum):
    """How the gradient of the expected loss is estimated."""

    gumbel = "gumbel"
    rebar = "rebar"
    reinforce = "reinforce"


class Objective(Enum):
    """The loss that the architecture is learnt from."""

    train = "train"
    val = "val"
    gen = "gen"


@dataclass
class UNAS(Mixture):
    """One categorical per decision, learnt by REBAR, on training loss plus generalisation gap.

    Vahdat et al., "UNAS: Differentiable Architecture Search Meets Reinforcement Learning" (CVPR
    2020), with the settings of the authors' code ([UC], ``unas.py``): one architecture per image,
    drawn at a fixed temperature; L_gen = L_train + 0.5 |L_val - L_train|, the absolute value taken
    image pair by image pair (eq. 8); Adam for weights and logits; the architecture first, then the
    weights on the same relaxed architectures and the same training images; weights alone for the
    first 15 of 100 epochs. In factorised cells the two branches of a node are kept apart by a
    penalty that stands in the code, not in the paper. ``latency_weight`` adds a latency term by
    RELAX (eq. 5) with a linear surrogate.

    Departures: the task's own split of the images (the authors validate on a tenth of the training
    images); Adam's decay rate for the logits is not given, 0.9 is PyTorch's default; REINFORCE,
    which the paper names without a row in its Table 2, has a moving mean of the loss as baseline;
    logits begin at zero up to a noise that decides between equals; batch normalisation of an
    operation sees only the images that drew it; pools are normalised; the overlap penalty has a
    plain pathwise gradient; options are left out by their row's weight, before input and operation
    are multiplied; cosines span all epochs instead of the last 85.

    Raises:
        ConfigError: a value that means nothing.
    """

    name: str = "unas"
    estimator: Estimator = Estimator.rebar
    objective: Objective = Objective.gen
    temperature: float = 0.4
    gap_weight: float = 0.5
    overlap_weight: float = 0.2
    baseline_decay: float = 0.9
    latency_weight: float = 0.0
    latency_target_ms: float = 0.0
    latency_ramp: int = 30_000  # steps until the latency term has its full weight
    latency_samples: int = 10_000  # architectures that the surrogate is fitted to
    optimizer: Optimizer = Optimizer.adam
    initial_std: float = 1e-6
    arch_beta: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.temperature > 0:
            raise ConfigError(f"algorithm.temperature must be positive, got {self.temperature}")

    def prepare(self) -> None:
        """Draw the logits, and fit the surrogate of the latency.

        Raises:
            UnsupportedError: a space whose mixing rows are not its decisions.
        """
        super().prepare()
        self.require_rows_of_decisions("has one distribution per decision")
        self._baseline = torch.full((), torch.nan)
        self._steps = torch.zeros((), dtype=torch.int64)
        self.gradient_variance: list[float] = []
        self._latency = self._latency_loss()
        self.keep(baseline=self._baseline, steps=self._steps)

    def begin_epoch(self) -> None:
        """Forget the gradients of the last epoch."""
        self._gradients: list[Tensor] = []

    def update(self, x: Tensor, y: Tensor) -> None:
        """Architecture, once its time has come, then weights."""
        drawn = self._draw(len(x))
        if self.learns_logits:
            self._learn(x, y, drawn)
        self.weight_step(self.loss(x, y, self._thinned([row.detach() for row in drawn.soft])))

    def end_epoch(self) -> None:
        """Log how much the gradient of the logits varied from step to step."""
        if len(self._gradients) < 2:
            return
        variance = float(torch.stack(self._gradients).var(dim=0).sum())
        self.gradient_variance.append(variance)
        log.info(
            "%s, epoch %d: variance of the logits' gradient over %d steps %.3e",
            self.name, self.epoch + 1, len(self._gradients), variance,
        )  # fmt: skip

    # The architecture's gradient

    def _draw(self, count: int) -> Draw:
        rows = self.by_row(self.logits)
        noise = uniforms([len(row) for row in rows], count, self.noise, self.logits.device)
        return estimators.draw(rows, noise, self.temperature)

    def _learn(self, x: Tensor, y: Tensor, drawn: Draw) -> None:
        gradient = torch.autograd.grad(self.objective_of(x, y, drawn), self.logits)[0]
        self._gradients.append(gradient.detach().clone())
        self._steps += 1
        self.arch_move([gradient])

    def objective_of(self, x: Tensor, y: Tensor, drawn: Draw) -> Tensor:
        """A scalar whose gradient is the estimate for the logits."""
        valid = self.valid_batch()

        def losses(rows: Sequence[Tensor]) -> Tensor:
            return self._losses((x, y), valid, self._thinned(rows))

        if self.estimator is Estimator.gumbel:
            total = estimators.gumbel_softmax(drawn, losses)
        elif self.estimator is Estimator.rebar:
            total = estimators.rebar(drawn, losses)
        else:
            total = self._reinforce(drawn, losses)
        overlap = self.network.branch_overlap(drawn.soft)
        if overlap is not None:
            total = total + self.overlap_weight * overlap.mean()
        return total if self._latency is None else total + self._latency_term()

    def _losses(
        self, train: tuple[Tensor, Tensor], valid: tuple[Tensor, Tensor], rows: Sequence[Tensor]
    ) -> Tensor:
        """``(B,)`` the objective, image pair by image pair."""
        pairs = min(len(train[1]), len(valid[1]))
        if self.objective is Objective.train:
            return self.losses(*train, rows)
        rows_of_pairs = [row[:pairs] for row in rows]
        judged = self.losses(valid[0][:pairs], valid[1][:pairs], rows_of_pairs)
        if self.objective is Objective.val:
            return judged
        learnt = self.losses(train[0][:pairs], train[1][:pairs], rows_of_pairs)
        return learnt + self.gap_weight * (judged - learnt).abs()

    def _reinforce(self, drawn: Draw, losses: estimators.Loss) -> Tensor:
        with torch.no_grad():
            values = losses(drawn.hard)
        mean = values.mean().cpu()
        baseline = mean if bool(self._baseline.isnan()) else self._baseline
        total = estimators.reinforce(drawn, lambda _: values, float(baseline))
        self._baseline.copy_(self.baseline_decay * baseline + (1 - self.baseline_decay) * mean)
        return total

    @staticmethod
    def _thinned(rows: Sequence[Tensor]) -> list[Tensor]:
        """The rows, where options that hardly weigh for any image are not computed."""
        return [row * (row.detach() >= SKIPPED).any(dim=0) for row in rows]

    # Latency

    def _latency_loss(self) -> LatencyLoss | None:
        if not self.latency_weight:
            return None
        first, space = int(self.draws.integers(2**48)[0, 0]), self.problem.space
        seeds = range(first, first + self.latency_samples)
        archs = space.sample(Streams(seeds, "latency samples"))
        self._announce(archs)
        return LatencyLoss(self.problem.latency_ms, self.latency_target_ms, archs, space)

    def _announce(self, archs: Archs) -> None:
        """Warn where the device measures so slowly that the fit takes long: a table does not."""
        began = time.perf_counter()
        self.problem.latency_ms(archs[:1])
        seconds = (time.perf_counter() - began) * len(archs)
        if seconds > LONG_S:
            log.warning(
                "%s: the latencies of %d architectures are measured first, which takes about %.0f "
                "minutes: set algorithm.latency_samples lower, or choose a hardware with a table",
                self.name, len(archs), seconds / 60,
            )  # fmt: skip

    def _latency_term(self) -> Tensor:
        """The latency term's estimate by RELAX, from an architecture of its own."""
        assert self._latency is not None
        ramp = min(int(self._steps) / max(self.latency_ramp, 1), 1.0)
        drawn = self._draw(1)
        estimate = estimators.relax(drawn, self._latency.measured, self._latency.predicted)
        return self.latency_weight * ramp * estimate
