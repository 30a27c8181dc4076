"""What methods with one row of logits per decision or edge share."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from nasrun.algorithms.one_shot import OneShot
from nasrun.errors import UnsupportedError
from nasrun.ranges import require_positive, require_within
from nasrun.spec import Archs, Policy


@dataclass
class Mixture(OneShot):
    """A one-shot method that learns logits by gradient descent and derives their best options.

    Defaults are NAS-Bench-201's ([A] ``configs/nas-benchmark/algos``): Adam with rate 3e-4, decay
    rates 0.5 and 0.999, weight decay 1e-3, logits from N(0, 1e-3^2).

    Raises:
        ConfigError: a rate of the logits that is not positive, or ``frozen`` outside [0, 1); see
            OneShot for the others.
    """

    arch_rate: float = 3e-4
    arch_final_rate: float | None = None  # at the end of a cosine; None: the rate is constant
    arch_beta: float = 0.5  # of Adam's first moment
    arch_weight_decay: float = 1e-3
    initial_std: float = 1e-3
    frozen: float = 0.0  # share of the epochs before the logits are learnt

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "algorithm", "arch_rate")
        require_within(self, "algorithm", "[0, 1)", "frozen")

    def prepare(self) -> None:
        """Draw the logits, and make their optimiser."""
        self.logits = self.parameter()
        self.arch_optimizer = self.adam([self.logits])
        self.keep(logits=self.logits, arch_optimizer=self.arch_optimizer)

    def require_rows_of_decisions(self, what: str) -> None:
        """Refuse a space whose mixing rows are its edges; ``what`` the method does by decision.

        Raises:
            UnsupportedError: says which space to take.
        """
        if self.network.rows != self.problem.space.decisions:
            raise UnsupportedError(
                f"algorithm={self.name} {what}, but this space mixes by edge: set "
                "space=darts_unas, or choose another algorithm"
            )

    def parameter(self) -> Tensor:
        """``(rows, most options)`` numbers close to zero; unused beyond a row's options."""
        rows = self.network.rows
        shape = len(rows), max(map(len, rows))
        drawn = self.initial_std * torch.randn(shape, generator=self.noise)
        return drawn.to(self.processor.processor).requires_grad_()

    def adam(self, parameters: list[Tensor]) -> torch.optim.Adam:
        """The optimiser of what the architecture is derived from."""
        betas = (self.arch_beta, 0.999)
        decay = self.arch_weight_decay
        return torch.optim.Adam(parameters, self.arch_rate, betas, weight_decay=decay)

    def by_row(self, values: Tensor) -> list[Tensor]:
        """``(options,)`` of each row of ``values (rows, most options)``."""
        names = self.network.rows
        return [row[: len(options)] for row, options in zip(values, names, strict=True)]

    def softmax(self) -> list[Tensor]:
        """Mixing rows: the probabilities of the options."""
        return [F.softmax(row, dim=-1) for row in self.by_row(self.logits)]

    @property
    def learns_logits(self) -> bool:
        """Whether the epochs in which only weights are trained are over."""
        return self.epoch >= self.first_learning_epoch

    @property
    def first_learning_epoch(self) -> int:
        """The epoch, from 0 on, in which the logits are learnt first."""
        return math.ceil(self.frozen * self.planned_steps)

    def search_cosine(self, first: float, last: float, half_period: int | None = None) -> float:
        """A rate that rests while weights alone are trained, and then falls to the end."""
        begun = self.progress - self.first_learning_epoch
        length = half_period or self.planned_steps - self.first_learning_epoch
        done = max(begun, 0.0) / max(length, 1)
        return last + (first - last) * (1.0 + math.cos(math.pi * done)) / 2.0

    def arch_step(self, loss: Tensor) -> None:
        """One update of the logits; the weights get no gradient."""
        parameters = self.arch_parameters()
        self.arch_move(torch.autograd.grad(loss, parameters))

    def arch_parameters(self) -> list[Tensor]:
        """What ``arch_step`` updates."""
        return [p for group in self.arch_optimizer.param_groups for p in group["params"]]

    def learning(self) -> Sequence[Tensor]:
        """Weights and logits."""
        return [*super().learning(), *self.arch_parameters()]

    def arch_move(self, gradients: Sequence[Tensor]) -> None:
        """One update of the logits along these gradients."""
        for parameter, gradient in zip(self.arch_parameters(), gradients, strict=True):
            parameter.grad = gradient
        if self.arch_final_rate is not None:
            for group in self.arch_optimizer.param_groups:
                group["lr"] = self.cosine(self.arch_rate, self.arch_final_rate)
        self.arch_optimizer.step()

    def policy(self) -> Policy:
        """The mixing weights."""
        with torch.no_grad():
            rows = [row.cpu().double().numpy()[None] for row in self.softmax()]
        return Policy(self.network.rows, rows)

    def derive(self) -> Archs:
        """``(L,)`` the architecture of the most probable options."""
        with torch.no_grad():
            return self.network.derive([row.cpu().double().numpy() for row in self.softmax()])
