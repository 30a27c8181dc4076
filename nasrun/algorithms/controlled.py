"""What methods with a recurrent controller share: batches of drawn architectures, a baseline."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Generator, Tensor

from nasrun.algorithms.base import SampleBased
from nasrun.draws import TRIES
from nasrun.nets.cohort import side_by_side, together
from nasrun.nets.controller import POLICY_DRAWS, Controller, Drawn
from nasrun.nets.controller_cohort import CohortAdam, CohortController
from nasrun.ranges import require_at_least, require_positive, require_within
from nasrun.spec import (
    Archs,
    Floats,
    Ints,
    Mask,
    Measured,
    Phase,
    Policy,
    Problem,
    SearchSpace,
    Streams,
)

BLOCK = 32  # trials; the weights of more do not stay in a core's cache


@dataclass
class Controlled(SampleBased):
    """A recurrent policy that draws ``batch`` architectures, and learns when all are measured.

    The advantage of a reward is its distance from the baseline, a moving average of the rewards
    before its batch, which begins with the mean of the first. A failed measurement teaches nothing,
    and where an evaluator answers with another architecture, the policy learns that one. What does
    not exist is drawn again, of which the gradient takes no account.
    """

    hidden: int = 100
    layers: int = 1
    learning_rate: float = 1e-3
    baseline_decay: float = 0.95
    batch: int = 20
    spread: float = 0.1

    learns_in_floats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_at_least(self, "algorithm", 1, "hidden", "layers", "batch")
        require_positive(self, "algorithm", "learning_rate", "spread")
        require_within(self, "algorithm", "[0, 1)", "baseline_decay")

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin with new controllers, and draw the first batch."""
        super().start(problem, streams, phase)
        seeds, trials = streams.integers(2**48, 2), problem.trials
        blocks = [np.arange(at, min(at + BLOCK, trials)) for at in range(0, trials, BLOCK)]
        self._policies = [self._made(rows, seeds[rows]) for rows in blocks]
        self._baseline: Floats = np.full(trials, np.nan)
        self._draw()

    def ask(self) -> Archs:
        """``(T, L)`` the next architectures of the batches."""
        return self._asked[:, len(self._measured)]

    def tell(self, measured: Measured) -> None:
        """Learn where the batch is complete, and draw the next one."""
        self._measured.append(measured)
        if len(self._measured) < self.batch:
            return
        archs = np.stack([each.archs for each in self._measured], axis=1)
        self._learn(archs, self.worth(np.stack([each.reward for each in self._measured], axis=1)))
        self._draw()

    def worth(self, reward: Floats) -> Floats:
        """What the policy is to maximise, of the search's rewards; NaN where they are."""
        return reward

    @abstractmethod
    def improve(
        self, policies: "Policies", archs: Tensor, advantage: Tensor, share: Tensor
    ) -> None:
        """Change the policies by the ``advantage (T, n)`` of architectures ``(T, n, L)``.

        ``share (T, n)`` is each one's weight in a mean: 0 where a measurement failed.
        """

    def policy(self) -> Policy:
        """How often the controllers choose each option."""
        draws = [policies.sampled() for policies in self._policies]
        return Policy.of_draws(self.problem.space.decisions, np.concatenate(draws))

    def _made(self, rows: Ints, seeds: Ints) -> "Policies":
        space, own = self.problem.space, list[Controller]()
        for weights in seeds[:, 0].tolist():
            with torch.random.fork_rng([]):
                torch.manual_seed(weights)
                own.append(
                    Controller(
                        space.arity.tolist(),
                        self.hidden,
                        layers=self.layers,
                        spread=self.spread,
                        anchors=space.anchors,
                    )
                )
        return Policies(space, rows, own, seeds[:, 1], self.learning_rate)

    def _learn(self, archs: Archs, rewards: Floats) -> None:
        """Of the ``rewards (T, n)`` of a batch."""
        known = ~np.isnan(rewards)
        number = np.maximum(known.sum(axis=1, keepdims=True), 1)
        mean = np.where(known, rewards, 0.0).sum(axis=1) / number[:, 0]
        self._baseline = np.where(
            np.isnan(self._baseline) & known.any(axis=1), mean, self._baseline
        )
        advantage = np.where(known, rewards - self._baseline[:, None], 0.0)
        for reward, counts in zip(rewards.T, known.T, strict=True):
            step = (1.0 - self.baseline_decay) * (reward - self._baseline)
            self._baseline = np.where(counts, self._baseline + step, self._baseline)

        def improve(policies: "Policies") -> None:
            rows = policies.rows
            parts = (advantage[rows], (known / number)[rows])
            self.improve(
                policies,
                torch.from_numpy(archs[rows]),
                *(torch.from_numpy(part).float() for part in parts),
            )

        side_by_side(improve, self._policies)

    def _draw(self) -> None:
        drawn = side_by_side(lambda policies: policies.draw(self.batch), self._policies)
        self._asked: Archs = np.concatenate(drawn)
        self._measured: list[Measured] = []


class Policies:
    """The controllers of some neighbouring trials, which draw and learn together.

    Args:
        space: whose architectures are drawn.
        rows: which trials of the cohort these are; the attribute has a lone one twice, as do
            all arrays of ``judge`` and ``step_on``.
        own: their controllers.
        seeds: ``(T,)`` of what they draw.
        rate: of Adam.
    """

    def __init__(
        self, space: SearchSpace, rows: Ints, own: list[Controller], seeds: Ints, rate: float
    ) -> None:
        twice = together(len(rows))
        self.rows, self._trials, self._space = rows[twice], len(rows), space
        self._controller = CohortController([own[row] for row in twice])
        self._generators = [Generator().manual_seed(int(seed)) for seed in seeds[twice]]
        self._optimizer = CohortAdam(list(self._controller.parameters()), rate)
        self._walked: Drawn | None = None

    def draw(self, batch: int) -> Archs:
        """``(T, batch, L)`` architectures; what they gave the policies is kept to learn from."""
        drawn = self._controller.draw(batch, self._generators, self._space.legal)
        self._walked, archs = drawn, drawn.archs.numpy().copy()
        for _ in range(TRIES):
            missing = ~self._exist(archs)
            if not missing.any():
                break
            trials = zip(self._generators, missing, strict=True)
            drawing = [generator if own.any() else None for generator, own in trials]
            with torch.no_grad():
                again = self._controller.draw(batch, drawing, self._space.legal)
            archs[missing] = again.archs.numpy()[missing]
        return archs[: self._trials]

    def judge(self, archs: Tensor) -> tuple[Tensor, Tensor]:
        """``(T, n)`` log-probabilities of ``archs (T, n, L)``, and entropies on their way."""
        found, self._walked = self._walked, None  # of the policy that drew; a step changes it
        if found is None or not torch.equal(found.archs, archs):
            found = self._controller.judge(archs, self._space.legal)
        return found.log_p, found.entropy

    def step_on(self, loss: Tensor, learning: Tensor) -> None:
        """One step of the optimiser on losses ``(T,)``, of the trials ``learning (T,)``."""
        loss.sum().backward()
        self._optimizer.step(learning)

    def sampled(self) -> Archs:
        """``(T, n, L)`` draws that say what the policies have become."""
        generators = [Generator().manual_seed(0) for _ in self._generators]
        with torch.no_grad():
            drawn = self._controller.draw(POLICY_DRAWS, generators, self._space.legal)
        return drawn.archs.numpy()[: self._trials]

    def _exist(self, archs: Archs) -> Mask:
        return self._space.exists(archs.reshape(-1, archs.shape[-1])).reshape(archs.shape[:-1])
