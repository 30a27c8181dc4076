"""What methods with a recurrent controller share: batches of drawn architectures, a baseline."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from nasrun.algorithms.base import SampleBased
from nasrun.draws import TRIES
from nasrun.nets.controller import Controller, Drawn, policy_of
from nasrun.ranges import require_at_least, require_positive, require_within
from nasrun.spec import Archs, Floats, Measured, Phase, Policy, Problem, Streams


@dataclass
class Controlled(SampleBased):
    """A recurrent policy that draws ``batch`` architectures, and learns when all are measured.

    The advantage of a reward is its distance from the baseline, a moving average of the rewards
    before its batch, which begins with the mean of the first. A failed measurement teaches nothing,
    and where an evaluator answers with another architecture, the policy learns that one. What does
    not exist is drawn again, of which the gradient takes no account. Not in lock step: an LSTM's
    last bits depend on how many are computed side by side.
    """

    hidden: int = 100
    layers: int = 1
    learning_rate: float = 1e-3
    baseline_decay: float = 0.95
    batch: int = 20
    spread: float = 0.1

    cohort: ClassVar[bool] = False
    learns_in_floats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_at_least(self, "algorithm", 1, "hidden", "layers", "batch")
        require_positive(self, "algorithm", "learning_rate", "spread")
        require_within(self, "algorithm", "[0, 1)", "baseline_decay")

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin with a new controller, and draw the first batch."""
        super().start(problem, streams, phase)
        weights, draws = (int(seed) for seed in streams.integers(2**48, 2)[0])
        arity = problem.space.arity.tolist()
        with torch.random.fork_rng([]):
            torch.manual_seed(weights)
            self._controller = Controller(
                arity,
                self.hidden,
                layers=self.layers,
                spread=self.spread,
                anchors=problem.space.anchors,
            )
        self._generator = torch.Generator().manual_seed(draws)
        self._optimizer = torch.optim.Adam(self._controller.parameters(), self.learning_rate)
        self._baseline = np.nan
        self._walked: Drawn | None = None
        self._asked = self._drawn()
        self._measured: list[Measured] = []

    def ask(self) -> Archs:
        """``(1, L)`` the next architecture of the batch."""
        return self._asked[[len(self._measured)]]

    def tell(self, measured: Measured) -> None:
        """Learn where the batch is complete, and draw the next one."""
        self._measured.append(measured)
        if len(self._measured) < self.batch:
            return
        archs = np.concatenate([each.archs for each in self._measured])
        rewards = self.worth(np.concatenate([each.reward for each in self._measured]))
        known = ~np.isnan(rewards)
        if known.any():
            self._learn(archs[known], rewards[known])
        self._asked, self._measured = self._drawn(), []

    def worth(self, reward: Floats) -> Floats:
        """``(n,)`` what the policy is to maximise, of the search's rewards; NaN where they are."""
        return reward

    @abstractmethod
    def improve(self, archs: Tensor, advantage: Tensor) -> None:
        """Change the policy by the ``advantage (n,)`` of architectures ``(n, L)``."""

    def step_on(self, loss: Tensor) -> None:
        """One step of the optimiser."""
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()

    def judge(self, archs: Tensor) -> tuple[Tensor, Tensor]:
        """``(n,)`` log-probabilities of architectures ``(n, L)``, and entropies on their way."""
        found, self._walked = self._walked, None  # of the policy that drew; a step changes it
        if found is None or not torch.equal(found.archs, archs):
            found = self._controller.judge(archs, self.problem.space.legal)
        return found.log_p, found.entropy

    def policy(self) -> Policy:
        """How often the controller chooses each option."""
        return policy_of(self._controller, self.problem.space)

    def _learn(self, archs: Archs, rewards: Floats) -> None:
        if np.isnan(self._baseline):
            self._baseline = float(rewards.mean())
        advantage = torch.from_numpy(rewards - self._baseline).float()
        for reward in rewards.tolist():
            self._baseline += (1.0 - self.baseline_decay) * (reward - self._baseline)
        self.improve(torch.from_numpy(archs), advantage)

    def _drawn(self) -> Archs:
        """``(batch, L)`` architectures of the policy; what it gave them is kept to learn from."""
        space = self.problem.space
        walked = self._walked = self._controller(self.batch, self._generator, space.legal)
        archs = walked.archs.numpy().copy()
        for _ in range(TRIES):
            missing = np.flatnonzero(~space.exists(archs))
            if not len(missing):
                break
            with torch.no_grad():
                drawn = self._controller(len(missing), self._generator, space.legal)
            archs[missing] = drawn.archs.numpy()
        return archs
