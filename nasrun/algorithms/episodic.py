"""What controllers share that change a first network step by step: episodes, rewards, updates."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from nasrun.algorithms.base import SampleBased
from nasrun.ranges import require_at_least, require_not_negative, require_positive, require_within
from nasrun.spec import Archs, Measured, Phase, Problem, Streams

CEILING = 0.999  # of an accuracy in the reward, whose tangent has no end


@dataclass
class Episodic(SampleBased):
    """REINFORCE on a controller whose episodes begin with the first network, and with its weights.

    As the authors of EAS and of PathLevel-EAS have it: the reward is tan of the accuracy (as a
    fraction) times pi/2, its baseline a moving average in which the mean of the newest ``batch``
    weighs ``renewal``: 0.95, so that it hardly remembers.

    Departures: an accuracy above ``CEILING`` counts as that; a failed measurement teaches nothing;
    the policy learns from the episodes that it drew, whatever architecture an evaluator answers
    with; the best network measured is recommended. Not in lock step: an LSTM's last bits depend on
    how many are computed side by side.

    Args:
        batch: episodes from which the controller learns at once.
        learning_rate: of Adam.
        entropy: its weight in what is maximised.
        renewal: weight of the newest rewards in the baseline.

    Raises:
        ConfigError: a value out of its range.
    """

    batch: int = 10
    learning_rate: float = 1e-3
    entropy: float = 1e-5
    renewal: float = 0.95

    cohort: ClassVar[bool] = False
    learns_in_floats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_at_least(self, "algorithm", 1, "batch")
        require_positive(self, "algorithm", "learning_rate")
        require_not_negative(self, "algorithm", "entropy")
        require_within(self, "algorithm", "(0, 1]", "renewal")

    @abstractmethod
    def prepare(self, problem: Problem, streams: Streams) -> Archs:
        """``(L,)`` the first network; keep what the controller acts on."""

    @abstractmethod
    def make(self) -> nn.Module:
        """The controller, with weights of torch's own random numbers."""

    @abstractmethod
    def played(self) -> tuple[Archs, Tensor, Tensor]:
        """``(L,)`` what an episode makes of the first network, its log-probability and entropy."""

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin with a new controller; the first network is measured first."""
        super().start(problem, streams, phase)
        weights, draws = (int(seed) for seed in streams.integers(2**48, 2)[0])
        self.first = self.prepare(problem, streams)
        with torch.random.fork_rng([]):
            torch.manual_seed(weights)
            made = self.make()
        self.generator = torch.Generator().manual_seed(draws)
        self._optimizer = torch.optim.Adam(made.parameters(), self.learning_rate)
        self._baseline = math.nan
        self._gains: list[tuple[Tensor, Tensor, float]] = []
        self._asked: Archs = self.first.copy()
        self._log_p = self._entropy = torch.zeros(())

    def ask(self) -> Archs:
        """``(1, L)`` what an episode has made of the first network."""
        return self._asked[None]

    def started_from(self) -> Archs | None:
        """``(1, L)`` the first network, once it has been measured."""
        return self.first[None] if self.steps else None

    def tell(self, measured: Measured) -> None:
        """Learn where the batch is complete, and play the next episode."""
        if self.steps and not np.isnan(measured.reward[0]):
            worth = self.worth(float(measured.reward[0]))
            self._gains.append((self._log_p, self._entropy, worth))
        if len(self._gains) == self.batch:
            self._learn()
        self._asked, self._log_p, self._entropy = self.played()

    def worth(self, reward: float) -> float:
        """What the policy is to maximise, of a reward in hundredths."""
        return math.tan(max(-CEILING, min(reward / 100.0, CEILING)) * math.pi / 2.0)

    def _learn(self) -> None:
        """One step of the optimiser for a batch of episodes."""
        rewards = torch.tensor([reward for *_, reward in self._gains])
        mean = float(rewards.mean())
        old = mean if math.isnan(self._baseline) else self._baseline
        self._baseline = old + self.renewal * (mean - old)
        log_p = torch.stack([own for own, *_ in self._gains])
        entropy = torch.stack([own for _, own, _ in self._gains])
        gain = (log_p * (rewards - self._baseline)).mean() + self.entropy * entropy.mean()
        self._gains = []
        if gain.requires_grad:  # not where no episode had a choice
            self._optimizer.zero_grad()
            (-gain).backward()
            self._optimizer.step()
