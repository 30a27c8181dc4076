"""A supernet, and how its weights are made and learn."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.algorithms.reduction import Optimizer, Reduction
from nasrun.errors import ConfigError
from nasrun.nets.device import Device
from nasrun.nets.graphs import RecordedMixture
from nasrun.nets.recipe import Precision
from nasrun.nets.supernet import SharedNet
from nasrun.ranges import require_at_least, require_not_negative, require_positive
from nasrun.spec import Algorithm, Problem, Scale, Streams


@dataclass
class SupernetTraining(Algorithm):
    """A method that trains a supernet: its weights, their optimiser and their losses.

    Common settings are NAS-Bench-201's ([A] ``configs/nas-benchmark/algos``): SGD with Nesterov
    momentum, a cosine from 0.025 to 0.001, weight decay 5e-4, batches of 64, gradients clipped at
    5, batch normalisation without weights but with running statistics.

    Raises:
        ConfigError: fewer than 1 epoch or image a batch, a learning rate that is not positive, or
            a final rate, momentum or weight decay that is negative.
    """

    epochs: int = 50
    batch: int = 64
    optimizer: Optimizer = Optimizer.sgd
    learning_rate: float = 0.025
    final_rate: float = 0.001
    momentum: float = 0.9  # of Adam: its first moment's decay
    nesterov: bool = True
    weight_decay: float = 5e-4
    max_gradient: float | None = 5.0  # norm to which the weights' gradient is clipped
    half_period: int | None = None  # epochs from the highest rate to the lowest; None: all
    track: bool = True  # whether normalisation judges by running statistics
    device: str = "auto"
    precision: Precision = Precision.auto
    scale: Reduction = field(default_factory=Reduction)

    share: ClassVar[int] = 1
    mixes_all: ClassVar[bool] = False  # whether rows have no zeros, and one update one gradient
    exact: ClassVar[bool] = False  # whether an automatic precision is float32 on a GPU, too

    def __post_init__(self) -> None:
        require_at_least(self, "algorithm", 1, "epochs", "batch")
        require_positive(self, "algorithm", "learning_rate")
        require_not_negative(self, "algorithm", "final_rate", "momentum", "weight_decay")
        self._last_loss: Tensor | None = None  # of a batch, for the progress line
        self._recorded: RecordedMixture | None = None  # the network's passes, where it mixes all

    @property
    def planned_steps(self) -> int:
        """Epochs of the schedule."""
        return self.scale.epochs or self.epochs

    @property
    @abstractmethod
    def epochs_on_record(self) -> int:
        """Epochs that are over: a supernet that is made after some has first weights of its own."""

    def begin(self, problem: Problem, streams: Streams) -> None:
        """Forget what was trained before, and choose the processor.

        Raises:
            ConfigError: float16, or a device that is not there.
        """
        self.problem, self._streams = problem, streams.fork("one_shot")
        self.processor = self._chosen_processor()
        self.epoch, self.progress = 0, 0.0
        self._last_loss = None

    def _chosen_processor(self) -> Device:
        chosen = Device(self.device, self.precision, group="algorithm")
        half = chosen.dtype is torch.float16
        if self.precision is Precision.float16:
            raise ConfigError(
                "algorithm.precision=float16 needs scaled losses, which supernets do not have: use "
                "auto, bfloat16 or float32"
            )
        if self.precision is Precision.auto and (self.exact or half or not chosen.on_gpu):
            # On a CPU a supernet's channels are too few for bfloat16 to pay.
            return replace(chosen, precision=Precision.float32)
        return chosen

    # The supernet

    def _seed(self, number: int) -> int:
        return int(self._streams.fork(f"seed/{number}").integers(2**48)[0, 0])

    def build(self, scale: Scale, share: int) -> None:
        """Make the supernet, and the optimiser of its weights."""
        with self.processor.seeded(self._seed(1 + self.epochs_on_record)):
            made = self.problem.space.supernet(
                self.problem.task, scale, share=share, track=self.track
            )
        # Channels last pay on a GPU; a CPU is faster without at a supernet's few channels.
        place = self.processor.place if self.processor.on_gpu else lambda net: net
        self.network = cast(SharedNet, place(cast(nn.Module, made)))
        if self.mixes_all:
            self._recorded = RecordedMixture(self.network, self.processor)
        self.weights = list(self.network.parameters())
        self.weight_optimizer = self._optimizer()

    def _optimizer(self) -> torch.optim.Optimizer:
        rate, decay = self.learning_rate, self.weight_decay
        if self.optimizer is Optimizer.adam:
            betas = (self.momentum, 0.999)
            return torch.optim.Adam(self.weights, rate, betas, weight_decay=decay)
        return torch.optim.SGD(
            self.weights, rate, self.momentum, nesterov=self.nesterov, weight_decay=decay
        )

    # Rates and steps

    def _set_rate(self) -> None:
        for group in self.weight_optimizer.param_groups:
            group["lr"] = self.cosine(self.learning_rate, self.final_rate, self.half_period)

    def cosine(self, first: float, last: float, half_period: int | None = None) -> float:
        """A rate that falls from ``first`` to ``last`` over the search (or goes up and down)."""
        done = self.progress / (half_period or self.planned_steps)
        return last + (first - last) * (1.0 + math.cos(math.pi * done)) / 2.0

    def losses(self, x: Tensor, y: Tensor, mixing: Sequence[Tensor]) -> Tensor:
        """``(B,)`` cross-entropies."""
        with self.processor.autocast():
            logits = (self._recorded or self.network)(x, mixing)
        return F.cross_entropy(logits.float(), y, reduction="none")

    def loss(self, x: Tensor, y: Tensor, mixing: Sequence[Tensor]) -> Tensor:
        """Mean cross-entropy."""
        return self.losses(x, y, mixing).mean()

    def weight_step(self, loss: Tensor) -> None:
        """One update of the shared weights."""
        self._last_loss = loss.detach()
        self.weight_optimizer.zero_grad()
        loss.backward(inputs=self.weights)
        self.move_weights()

    def move_weights(self) -> None:
        """Let the shared weights follow the gradients that they have."""
        if self.max_gradient is not None:
            nn.utils.clip_grad_norm_(self.weights, self.max_gradient)
        self.decay()
        self.weight_optimizer.step()

    def decay(self) -> None:
        """Add to the weights' gradients the decay that is not the optimiser's."""
