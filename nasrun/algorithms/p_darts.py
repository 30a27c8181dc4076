"""P-DARTS: the supernet gets deeper while it loses options."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from nasrun.algorithms.mixture import Mixture
from nasrun.errors import ConfigError
from nasrun.nets.supernet import SharedNet
from nasrun.spec import Archs, Floats, Scale

SKIP = "skip_connect"


@dataclass
class PDARTS(Mixture):
    """DARTS in stages: more cells, fewer options, and dropout on skip-connections.

    Chen et al., "Progressive Differentiable Architecture Search" (ICCV 2019), with the settings of
    the authors' ``train_search.py``: three stages of equal length, each with new weights and
    logits, which rest for the first 10 of 25 epochs; the learning rate falls to zero in every
    stage; the dropout fades linearly while the logits rest, at a pace that would end it with the
    stage, and from its full rate by exp(-0.2) an epoch afterwards; the logits' gradient is clipped
    as the weights' is; skip-connections of the derived cell are limited, those of the lowest weight
    going first.

    Departures: on NAS-Bench-201, which the paper does not have, stages have 1, 3 and 5 cells and 5,
    3 and 2 options (``cells``, ``options``); a stage starts at the first epoch that is due, however
    few there are; the limit on skip-connections holds for the first cell type alone, the normal
    one, and it is one limit (the authors print a cell for each); the cosine falls step by step
    (the authors': epoch by epoch).

    Raises:
        ConfigError: stages of different numbers.
    """

    name: str = "p_darts"
    nesterov: bool = False
    frozen: float = 0.4  # of a stage
    cells: list[int] = field(default_factory=lambda: [1, 3, 5])
    options: list[int] = field(default_factory=lambda: [5, 3, 2])
    skip_dropout: list[float] = field(default_factory=lambda: [0.1, 0.4, 0.7])
    fading: float = 0.2
    skips: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        stages = {len(self.cells), len(self.options), len(self.skip_dropout)}
        if len(stages) > 1 or not self.cells:
            raise ConfigError(
                "algorithm.cells, algorithm.options and algorithm.skip_dropout must have one value "
                f"for each stage, got {self.cells}, {self.options} and {self.skip_dropout}"
            )

    def prepare(self) -> None:
        """Draw the logits; no option is dropped yet."""
        super().prepare()
        self._allowed = torch.ones_like(self.logits, requires_grad=False)
        self.keep(allowed=self._allowed)

    def build(self, scale: Scale, share: int) -> None:
        """Make the supernet of the present stage."""
        cells = self._cells(self._stage)
        super().build(Scale(scale.channels, cells), share)

    def begin_epoch(self) -> None:
        """Begin a stage where one is due, and set the dropout on skip-connections."""
        if self.epoch and self.epoch == self._first(self._stage):
            with torch.no_grad():
                for at, row in enumerate(self.softmax()):
                    worst = row.argsort(descending=True)[self.options[self._stage] :]
                    self._allowed[at, worst] = 0.0
                self.logits.copy_(self.parameter())
            self._renew()
        rate = self.skip_dropout[self._stage]
        self.network.skip_dropout = rate * self._faded()

    def resume(self, epochs: int) -> None:
        """Make the supernet of the stage that the last epoch belonged to."""
        self.epoch = epochs - 1
        self._renew()
        self.epoch = 0

    def _renew(self) -> None:
        self.build(Scale(self.scale.channels, self.scale.cells), self.share)
        self._share_noise()
        self.arch_optimizer = self.adam([self.logits])
        self.keep(arch_optimizer=self.arch_optimizer)

    # Stages

    @property
    def _stage(self) -> int:
        stages = len(self.cells)
        return max(at for at in range(stages) if self._first(at) <= self.epoch)

    def _first(self, stage: int) -> int:
        """First epoch of a stage."""
        return stage * self.planned_steps // len(self.cells)

    def _length(self) -> int:
        """Epochs of the present stage."""
        return self._first(self._stage + 1) - self._first(self._stage)

    def _cells(self, stage: int) -> int:
        """Cells of a stage's supernet; a reduced scale limits the last and, in proportion, all."""
        limit = self.scale.cells or max(self.cells)
        return max(1, round(self.cells[stage] * limit / max(self.cells)))

    def _faded(self) -> float:
        """Share of the dropout that is left in this epoch."""
        begun, rest = self.epoch - self._first(self._stage), self.frozen * self._length()
        if begun < rest:
            return (self._length() - begun - 1) / self._length()
        return math.exp(-self.fading * (begun - rest))

    @property
    def learns_logits(self) -> bool:
        """Whether the epochs of this stage in which only weights are trained are over."""
        return self.epoch - self._first(self._stage) >= self.frozen * self._length()

    def cosine(self, first: float, last: float, half_period: int | None = None) -> float:
        """A rate that falls from ``first`` to ``last`` in every stage."""
        done = (self.progress - self._first(self._stage)) / (half_period or self._length())
        return last + (first - last) * (1.0 + math.cos(math.pi * done)) / 2.0

    # Learning

    def softmax(self) -> list[Tensor]:
        """Mixing rows: probabilities of the options that are left; the others have weight zero."""
        logits = self.logits.masked_fill(self._allowed == 0, -torch.inf)
        return [F.softmax(row, dim=-1) for row in self.by_row(logits)]

    def update(self, x: Tensor, y: Tensor) -> None:
        """Logits, after the epochs of weights alone, then weights."""
        if self.learns_logits:
            self.arch_step(self.loss(*self.valid_batch(), self.softmax()))
        self.weight_step(self.loss(x, y, [row.detach() for row in self.softmax()]))

    def arch_move(self, gradients: Sequence[Tensor]) -> None:
        """One update of the logits along these gradients, clipped."""
        if self.max_gradient is not None:
            norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
            share = (self.max_gradient / (norm + 1e-6)).clamp(max=1.0)
            gradients = [share * gradient for gradient in gradients]
        super().arch_move(gradients)

    def derive(self) -> Archs:
        """``(L,)`` the architecture of the best options, with its skip-connections limited."""
        with torch.no_grad():
            rows = [row.cpu().double().numpy() for row in self.softmax()]
        return limited_skips(rows, self.network, self.skips)


def limited_skips(rows: list[Floats], network: SharedNet, limit: int) -> Archs:
    """``(L,)`` the architecture of ``rows`` with at most ``limit`` skips in the normal cell."""
    rows = [row.copy() for row in rows]
    while True:
        arch = network.derive(rows)
        taken = network.rows_of(arch)
        skipping = [
            at
            for at in network.normal_rows
            if network.rows[at][taken[at]] == SKIP and rows[at][taken[at]] > 0
        ]
        if len(skipping) <= limit:
            return arch
        weakest = min(skipping, key=lambda at: rows[at][taken[at]])
        rows[weakest][taken[weakest]] = 0.0
