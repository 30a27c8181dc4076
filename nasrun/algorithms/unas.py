"""UNAS: gradients of an expected loss over discrete architectures, one architecture per image."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from nasrun.algorithms.latency_loss import LatencyLoss
from nasrun.algorithms.mixture import Mixture
from nasrun.algorithms.reduction import Optimizer
from nasrun.nets import estimators
from nasrun.nets.estimators import Draw, uniforms
from nasrun.ranges import require_not_negative, require_positive, require_within

log = logging.getLogger("nasrun")

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


class Gap(Enum):
    """Where the absolute value of the generalisation gap is taken."""

    pair = "pair"
    batch = "batch"


@dataclass
class UNAS(Mixture):
    """One categorical per decision, learnt by REBAR, on training loss plus generalisation gap.

    Vahdat et al., "UNAS: Differentiable Architecture Search Meets Reinforcement Learning" (CVPR
    2020), with the settings of the authors' code ([UC], ``unas.py``): one architecture per image,
    drawn at a fixed temperature; L_gen = L_train + 0.5 |L_val - L_train|, the absolute value taken
    image pair by image pair (eq. 8); Adam for weights and logits; the architecture first, then the
    weights on the same relaxed architectures and the same training images; weights alone for the
    first 15 of 100 epochs. In factorised cells the two branches of a node are kept apart by a
    penalty that stands in the code, not in the paper. ``gap=batch`` takes the absolute value of the
    batch's mean gap instead: over pairs of unrelated images, ``|L_val - L_train|`` is large where
    losses are spread, whether or not there is a gap. ``arch_epochs=0.5`` trains the weights for
    half an epoch in every update of the logits (section 4.2, on ENAS-like training).
    ``latency_weight`` adds a latency term by RELAX (eq. 5) with a linear surrogate.

    Departures: the task's own split of the images (the authors validate on a tenth of the training
    images); one architecture per image on ImageNet, too, and images that are mirrored and cropped
    (the authors share one in a batch there, in either space, and leave the images as they are);
    where fewer images validate than train, a batch has as many pairs; REINFORCE's baseline begins
    at the first batch's mean instead of zero; logits begin at zero up to a noise that decides
    between equals; cosines fall step by step (the authors': epoch by epoch).

    Raises:
        ConfigError: a temperature that is not positive; see Mixture for the others.
    """

    name: str = "unas"
    estimator: Estimator = Estimator.rebar
    objective: Objective = Objective.gen
    temperature: float = 0.4
    softening: float = 0.0
    skip_dropout: float = 0.0
    gap_weight: float = 0.5
    gap: Gap = Gap.pair
    overlap_weight: float = 0.2
    baseline_decay: float = 0.1  # of REINFORCE's moving mean of the loss
    arch_epochs: float = 0.0  # of weights between two updates of the logits; 0: one step
    latency_weight: float = 0.0
    latency_target_ms: float = 0.0
    latency_ramp: int = 30_000  # steps until the latency term has its full weight
    latency_samples: int = 10_000  # architectures that the surrogate is fitted to
    optimizer: Optimizer = Optimizer.adam
    initial_std: float = 1e-6
    arch_beta: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "algorithm", "temperature")
        require_not_negative(self, "algorithm", "arch_epochs", "softening")
        require_within(self, "algorithm", "[0, 1)", "skip_dropout")

    @property
    def follows_rewards(self) -> bool:
        """Latencies are in the loss, if they have a weight."""
        return self.latency_weight > 0

    def prepare(self) -> None:
        """Draw the logits, and fit the surrogate of the latency.

        Raises:
            UnsupportedError: a space whose mixing rows are not its decisions.
        """
        super().prepare()
        self.require_rows_of_decisions("has one distribution per decision")
        self.network.least = SKIPPED
        self.network.skip_dropout = self.skip_dropout
        self._baseline = torch.full((), torch.nan)
        self._steps = torch.zeros((), dtype=torch.int64)
        self.gradient_variance: list[float] = []
        self._latency = self._latency_loss()
        self.keep(baseline=self._baseline, steps=self._steps)

    def begin_epoch(self) -> None:
        """Forget the gradients of the last epoch; the search proper has an optimiser of its own."""
        self._gradients: list[Tensor] = []
        if self.epoch == self.first_learning_epoch:
            self.weight_optimizer = self._optimizer()

    def cosine(self, first: float, last: float, half_period: int | None = None) -> float:
        """A rate that rests while weights alone are trained, and falls over the search proper."""
        return self.search_cosine(first, last, half_period)

    def update(self, x: Tensor, y: Tensor) -> None:
        """Architecture, after the epochs of weights alone, then weights."""
        drawn = self._draw(len(x))
        if self.learns_logits and self._is_due:
            self._learn(x, y, drawn)
        self.weight_step(self.loss(x, y, [row.detach() for row in drawn.soft]))

    @property
    def _is_due(self) -> bool:
        """Whether the logits' turn has come in this step."""
        if not self.arch_epochs:
            return True
        period = max(1, round(self.arch_epochs * self.data.steps))
        return (round(self.progress * self.data.steps) + 1) % period == 0

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
        rows = self.softened()
        noise = uniforms([len(row) for row in rows], count, self.noise, self.logits.device)
        return estimators.draw(rows, noise, self.temperature)

    def softened(self) -> list[Tensor]:
        """``(options,)`` logits of each row, of which ``softening`` keeps none from being drawn."""
        rows = self.by_row(self.logits)
        if not self.softening:
            return rows
        return [torch.log(row.softmax(dim=-1) + self.softening) for row in rows]

    def _learn(self, x: Tensor, y: Tensor, drawn: Draw) -> None:
        gradient = torch.autograd.grad(self.objective_of(x, y, drawn), self.logits)[0]
        self._gradients.append(gradient.detach().clone())
        self._steps += 1
        self.arch_move([gradient])

    def objective_of(self, x: Tensor, y: Tensor, drawn: Draw) -> Tensor:
        """A scalar whose gradient is the estimate for the logits."""
        valid = self.valid_batch()
        if self.objective is not Objective.train:  # images in pairs: the smaller batch has a say
            drawn = drawn.first(len(valid[1]))

        def losses(rows: Sequence[Tensor]) -> Tensor:
            return self._losses((x, y), valid, rows)

        if self.estimator is Estimator.gumbel:
            total = estimators.gumbel_softmax(drawn, losses)
        elif self.estimator is Estimator.rebar:
            total = estimators.rebar(drawn, losses)
        else:
            total = self._reinforce(drawn, losses)
        return total if self._latency is None else total + self._latency_term()

    def _losses(
        self, train: tuple[Tensor, Tensor], valid: tuple[Tensor, Tensor], rows: Sequence[Tensor]
    ) -> Tensor:
        """``(B,)`` the objective, image pair by image pair, with the penalty on equal branches."""
        pairs = min(len(train[1]), len(valid[1]))
        if self.objective is Objective.train:
            return self._penalised(self.losses(*train, rows), rows)
        judged = self.losses(valid[0][:pairs], valid[1][:pairs], rows)
        if self.objective is Objective.val:
            return self._penalised(judged, rows)
        learnt = self.losses(train[0][:pairs], train[1][:pairs], rows)
        gap = judged - learnt
        gap = gap.abs() if self.gap is Gap.pair else gap * gap.mean().detach().sign()
        return self._penalised(learnt + self.gap_weight * gap, rows)

    def _penalised(self, losses: Tensor, rows: Sequence[Tensor]) -> Tensor:
        overlap = self.network.branch_overlap(rows)
        return losses if overlap is None else losses + self.overlap_weight * overlap

    def _reinforce(self, drawn: Draw, losses: estimators.Loss) -> Tensor:
        with torch.no_grad():
            values = losses(drawn.hard)
        mean = values.mean().cpu()
        baseline = mean if bool(self._baseline.isnan()) else self._baseline
        total = estimators.reinforce(drawn, lambda _: values, float(baseline))
        self._baseline.copy_(self.baseline_decay * baseline + (1 - self.baseline_decay) * mean)
        return total

    # Latency

    def _latency_loss(self) -> LatencyLoss | None:
        if not self.latency_weight:
            return None
        first = int(self.draws.integers(2**48)[0, 0])
        seeds = range(first, first + self.latency_samples)
        return LatencyLoss.of_samples(self.problem, self.latency_target_ms, seeds, self.name)

    def _latency_term(self) -> Tensor:
        """The latency term's estimate by RELAX, from an architecture of its own."""
        assert self._latency is not None
        ramp = min(int(self._steps) / max(self.latency_ramp, 1), 1.0)
        drawn = self._draw(1)
        estimate = estimators.relax(drawn, self._latency.measured, self._latency.predicted)
        return self.latency_weight * ramp * estimate
