"""REINFORCE: a policy of independent categorical decisions, trained by policy gradient."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nasrun.algorithms.base import SampleBased
from nasrun.draws import probabilities_of, redrawn, softmax
from nasrun.ranges import require_not_negative, require_positive, require_within
from nasrun.spec import Archs, Floats, Ints, Measured, Phase, Policy, Problem, Streams

# Adam's remaining constants (Kingma and Ba, ICLR 2015, Algorithm 1).
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


@dataclass
class Reinforce(SampleBased):
    """One table of logits per trial, one architecture per update, Adam, a moving baseline.

    Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement
    Learning" (Machine Learning 1992), as the NAS-Bench-201 baseline runs it: [A] ``reinforce.py``
    of NAS-Bench-201-algos (learning rate 0.5 in its docs) and of NATS-algos (0.01). As there, the
    reward is in percent, the baseline is updated before the advantage is taken, there is no
    entropy term, and the best architecture sampled is reported, not the mode of the policy.

    Departures: options that the space forbids are masked and what does not exist is drawn again
    (the gradient takes no account of that), which changes nothing in a space of independent
    decisions; a failed measurement leaves policy, optimiser and baseline untouched; where an
    evaluator answers with another architecture than the one asked for, the policy learns the one
    measured, as if it had drawn that.
    """

    name: str = "reinforce"
    learning_rate: float = 0.5
    baseline_decay: float = 0.9
    initial_std: float = 1e-3

    learns_in_floats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_positive(self, "algorithm", "learning_rate")
        require_within(self, "algorithm", "[0, 1)", "baseline_decay")
        require_not_negative(self, "algorithm", "initial_std")

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin with a policy that is close to uniform."""
        super().start(problem, streams, phase)
        arity = problem.space.arity
        shape = (problem.trials, len(arity), int(arity.max()))
        noise = streams.normal(shape[1] * shape[2]).reshape(shape)
        self._logits: Floats = self.initial_std * noise
        self._asked: Archs = self._best.copy()
        self._probabilities: Floats = np.zeros(shape)
        self._moment_1: Floats = np.zeros(shape)
        self._moment_2: Floats = np.zeros(shape)
        self._updates: Ints = np.zeros(problem.trials, np.int64)
        self._baseline: Floats = np.zeros(problem.trials)

    def ask(self) -> Archs:
        """``(T, L)`` architectures drawn from the policies."""
        self._asked, self._probabilities = redrawn(self.problem.space, self._logits, self.streams)
        return self._asked.copy()

    def policy(self) -> Policy:
        """The softmax of the logits, whatever the decisions before."""
        options = self.problem.space.decisions
        rows = [softmax(self._logits[:, at, : len(own)]) for at, own in enumerate(options)]
        return Policy(options, rows)

    def tell(self, measured: Measured) -> None:
        """One policy-gradient step of every trial whose measurement succeeded."""
        rows = np.flatnonzero(~np.isnan(measured.reward))
        reward = measured.reward[rows]
        self._updates[rows] += 1
        advantage = reward - self._update_baseline(rows, reward)
        # The gradient of -log p(arch): the probabilities, less 1 at the options drawn.
        gradient = self._probabilities[rows]
        other = (measured.archs[rows] != self._asked[rows]).any(axis=1)
        if other.any():
            at = rows[other]
            logits, archs = self._logits[at], measured.archs[at]
            gradient[other] = probabilities_of(self.problem.space, logits, archs)
        drawn = measured.archs[rows][:, :, None]
        np.put_along_axis(gradient, drawn, np.take_along_axis(gradient, drawn, 2) - 1.0, 2)
        self._adam(rows, gradient * advantage[:, None, None])

    def _update_baseline(self, rows: Ints, reward: Floats) -> Floats:
        """``(rows,)`` moving averages of the reward, corrected for their start at zero."""
        decay = self.baseline_decay
        self._baseline[rows] = decay * self._baseline[rows] + (1.0 - decay) * reward
        return self._baseline[rows] / (1.0 - decay ** self._updates[rows])

    def _adam(self, rows: Ints, gradient: Floats) -> None:
        first = BETA_1 * self._moment_1[rows] + (1.0 - BETA_1) * gradient
        second = BETA_2 * self._moment_2[rows] + (1.0 - BETA_2) * gradient**2
        updates = self._updates[rows][:, None, None]
        scale = np.sqrt(second / (1.0 - BETA_2**updates)) + EPSILON
        self._logits[rows] -= self.learning_rate * first / (1.0 - BETA_1**updates) / scale
        self._moment_1[rows], self._moment_2[rows] = first, second
