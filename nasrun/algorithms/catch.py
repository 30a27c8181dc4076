"""CATCH: a policy, a predictor and a task context that are meta-trained together."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, ClassVar

import numpy as np

from nasrun.algorithms.agents import Agents
from nasrun.algorithms.base import SampleBased
from nasrun.algorithms.context_networks import Context, Networks, Settings
from nasrun.algorithms.replay import Replay
from nasrun.algorithms.slots import Decided, Slots
from nasrun.errors import DataError
from nasrun.nets.cohort import blocks, side_by_side
from nasrun.ranges import require_at_least, require_not_negative, require_positive, require_within
from nasrun.spec import Archs, Floats, Mask, Measured, Phase, Problem, SearchSpace, Streams

STD_FLOOR = 1e-6  # of the rewards that are normalised


class Normalisation(Enum):
    """How rewards are made comparable over tasks, within the history of a trial."""

    zscore = "zscore"
    rank = "rank"


@dataclass
class CATCH(SampleBased):
    """A context-conditioned policy proposes, a predictor chooses, all three networks learn jointly.

    Chen et al., "CATCH: Context-Based Meta Reinforcement Learning for Transferrable Architecture
    Search" (ECCV 2020), Section 3 and Algorithm 1. The paper's appendix and code are not to be had,
    so this is a reconstruction: what the paper leaves open is a field, and the YAML gives reasons.

    A search epoch: the *encoder* turns the history into q(z), a product of one diagonal Gaussian
    per measured pair; the *controller*, an autoregressive policy, draws ``candidates``
    architectures given z; the *evaluator* predicts their scores, and the best one is measured (a
    random one with probability epsilon). Then the loss L_c + L_e + beta KL takes ``updates``
    steps, with gradients of both losses into the encoder: PPO's clipped surrogate on the last
    ``window`` architectures and the Huber loss on prioritised batches of the history.

    Departures, and why: the context is the whole history, as in Section 3.1, not C drawn pairs;
    the head gives the variance (eq. 1 is ambiguous), as in PEARL; illegal options are masked
    before the softmax (the paper masks probabilities, which would leak); z is encoded anew in every
    update, because a stored one is stale once the encoder has moved; ``mutants`` of the best
    network and ``strangers`` from anywhere in the space compete with the policy's candidates,
    because a policy that meta-training drew into a worse mode never draws the better one (PPO
    takes all candidates for the policy's, with the probability that it gives them: which one is
    measured is the evaluator's choice in any case); candidates measured before are
    dropped and the policy is smoothed by a uniform one, because a collapsed policy would spend the
    budget on repeats; rewards are normalised by rank, because one network that did not learn at all
    makes all others look alike to a z-score. A failed measurement (NaN) enters neither context nor
    losses.

    Raises:
        ConfigError: a field that means nothing.
        DataError: an infinite reward; agents that were trained for another space.
    """

    name: str = "catch"
    learns_to_search: ClassVar[bool] = True
    context: Context = Context.encoder
    latent: int = 10
    encoder_widths: list[int] = field(default_factory=lambda: [64, 64])
    controller_widths: list[int] = field(default_factory=lambda: [64, 64])
    evaluator_widths: list[int] = field(default_factory=lambda: [64, 64])
    encoder_rate: float = 3e-4
    controller_rate: float = 3e-4
    evaluator_rate: float = 2e-3
    initial: int = 3
    candidates: int = 20
    mutants: int = 5
    strangers: int = 5
    smoothing: float = 0.1
    epsilon: float = 1.0
    epsilon_adapted: float = 0.2
    epsilon_decay: float = 0.9
    epsilon_floor: float = 0.01
    normalisation: Normalisation = Normalisation.rank
    updates: int = 5
    beta: float = 0.1
    clip: float = 0.2
    entropy: float = 0.01
    window: int = 8
    max_gradient: float = 0.5
    replay_share: float = 0.8
    replay_alpha: float = 0.6
    replay_beta: float = 0.4
    replay_beta_step: float = 5e-4

    def __post_init__(self) -> None:
        self._learnt: Mapping[str, Any] = {}
        self._agents: list[Agents] = []
        counts = ("latent", "initial", "candidates", "updates", "window")
        widths = ("encoder_widths", "controller_widths", "evaluator_widths")
        rates = ("encoder_rate", "controller_rate", "evaluator_rate", "clip", "max_gradient")
        shares = ("smoothing", "epsilon", "epsilon_adapted", "epsilon_decay", "epsilon_floor")
        replay = ("replay_share", "replay_alpha", "replay_beta", "replay_beta_step")
        require_at_least(self, "algorithm", 1, *counts, *widths)
        require_positive(self, "algorithm", *rates)
        require_within(self, "algorithm", "[0, 1]", *shares, *replay)
        require_not_negative(self, "algorithm", "mutants", "strangers", "beta", "entropy")

    @property
    def startup_steps(self) -> int:
        """The random architectures that begin a history."""
        return self.initial

    def learnt(self) -> dict[str, Any]:
        """Weights of the agents, agents first; those loaded, if no search has begun."""
        if not self._agents:
            return dict(self._learnt)
        states = [agents.networks.state() for agents in self._agents]
        return {key: np.concatenate([state[key] for state in states]) for key in states[0]}

    def load_learnt(self, state: Mapping[str, Any]) -> None:
        """Begin later searches with these agents: trial seed s takes agent s mod agents."""
        self._learnt, self._agents = dict(state), []

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin a history; meta-training goes on with its networks, a search with the learnt."""
        super().start(problem, streams, phase)
        self._slots = Slots(problem.space)
        fresh = phase is Phase.SEARCH or not self._agents
        networks = self._fresh(streams) if fresh else [agents.networks for agents in self._agents]
        self._agents = [
            Agents(rows, problem.space, nets, self._memory(rows), self.latent, self.smoothing)
            for rows, nets in zip(blocks(problem.trials), networks, strict=True)
        ]
        adapts = phase is Phase.SEARCH and bool(self._learnt)
        self._greed = self.epsilon_adapted if adapts else self.epsilon
        self._archs: Archs = np.zeros((problem.trials, 0, len(self._slots.arity)), np.int64)
        self._rewards: Floats = np.zeros((problem.trials, 0))
        self._recent: deque[Decided] = deque(maxlen=self.window)
        self._asked: Decided | None = None

    def _fresh(self, streams: Streams) -> list[Networks]:
        """Networks by block of trials, with what was learnt or newly drawn."""
        settings = Settings(**{f.name: getattr(self, f.name) for f in fields(Settings)})
        return [
            Networks(settings, self._slots, self._learnt, streams, rows)
            for rows in blocks(len(streams))
        ]

    def _memory(self, rows: slice) -> Replay:
        alpha, beta, step = self.replay_alpha, self.replay_beta, self.replay_beta_step
        return Replay(rows.stop - rows.start, alpha, beta, step, self.replay_share)

    def ask(self) -> Archs:
        """``(T, L)`` random architectures at first, then each trial's most promising candidate."""
        if self.steps < self.initial:
            return self.problem.space.sample(self.streams)
        noise = self.streams.normal(self.latent)
        archs, given = self._blank()
        uniforms = self.streams.uniform(archs[0].size).reshape(archs.shape)
        self._give(archs)
        parts = side_by_side(
            lambda own: own.propose(noise[own.rows], uniforms[own.rows], archs[own.rows], given),
            self._agents,
        )
        joined = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("archs", "log_chance", "score")
        )
        return self._choose(*joined)

    def _blank(self) -> tuple[Archs, Mask]:
        """``(T, M, L)`` candidates without decisions; ``(M,)`` which are not left to the policy."""
        proposed = self.candidates + self.mutants + self.strangers
        shape = (self.problem.trials, proposed, len(self._slots.arity))
        return np.zeros(shape, np.int64), np.arange(proposed) >= self.candidates

    def _give(self, archs: Archs) -> None:
        """Put in a trial's last candidates: mutants of its best, then strangers."""
        space, mutants = self.problem.space, self.candidates + self.mutants
        for at in range(self.candidates, archs.shape[1]):
            near = at < mutants
            archs[:, at] = (
                space.mutate(self._best, self.streams) if near else space.sample(self.streams)
            )

    def _choose(self, archs: Archs, log_chance: Floats, score: Floats) -> Archs:
        """``(T, L)`` the best new candidate, or any new one with probability epsilon."""
        fresh = np.logical_not(_among(self.problem.space, archs, self._archs))
        explores = self.streams.uniform() < self._greed
        worth = np.where(explores, self.streams.uniform(score.shape[1]), score)
        chosen = np.argmax(np.where(fresh, worth, -np.inf), axis=1)
        trials = np.arange(len(archs))
        stuck = np.logical_not(fresh.any(axis=1))
        asked = np.where(stuck[:, None], self._spare(), archs[trials, chosen])
        self._asked = self._slots.decided(asked, log_chance[trials, chosen], ~stuck)
        return asked

    def _spare(self) -> Archs:
        """``(T, L)`` for when no candidate is new: a mutant of the best one, else a random one."""
        # Drawn whether needed or not, so that a trial's numbers do not depend on the policy.
        space = self.problem.space
        mutant, anyone = space.mutate(self._best, self.streams), space.sample(self.streams)
        return np.where(_among(space, mutant[:, None], self._archs), anyone, mutant)

    def tell(self, measured: Measured) -> None:
        """Add the pair to the history, and train the networks."""
        self._require_finite(measured)
        self._archs = np.concatenate([self._archs, measured.archs[:, None]], axis=1)
        self._rewards = np.column_stack([self._rewards, measured.reward])
        known = ~np.isnan(measured.reward)
        for agents in self._agents:
            agents.replay.add(known[agents.rows])
        if self._asked is not None:
            self._recent.append(self._asked.only(known))
            self._greed = max(self._greed * self.epsilon_decay, self.epsilon_floor)
        if self.steps + 1 >= self.initial:
            self._learn()

    def _require_finite(self, measured: Measured) -> None:
        for trial in np.flatnonzero(np.isinf(measured.reward)):
            raise DataError(
                f"the reward of {self.problem.space.text(measured.archs[trial])} is "
                f"{measured.reward[trial]}: rewards must be finite, or NaN where a measurement "
                "failed"
            )

    def _learn(self) -> None:
        score = normalised(self._rewards, self.normalisation)
        known = ~np.isnan(self._rewards)
        # Drawn for all beforehand: streams are no business of threads.
        noise = [
            (self.streams.gumbel(score.shape[1]), self.streams.normal(self.latent))
            for _ in range(self.updates)
        ]

        def learn(own: Agents) -> None:
            at = own.rows
            recent = [decided.of(at) for decided in self._recent]
            own_noise = [(gumbel[at], normal[at]) for gumbel, normal in noise]
            own.learn(self._archs[at], score[at], known[at], recent, own_noise)

        side_by_side(learn, self._agents)


def normalised(rewards: Floats, how: Normalisation) -> Floats:
    """``(T, N)`` rewards with mean 0 and variance 1 in each row; 0 where missing or all alike."""
    known = ~np.isnan(rewards)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    values = np.where(known, rewards, 0.0)
    if how is Normalisation.rank:
        worse = (rewards[:, None, :] < rewards[:, :, None]).sum(axis=2)
        equal = (rewards[:, None, :] == rewards[:, :, None]).sum(axis=2)
        values = np.where(known, worse + 0.5 * equal, 0.0)
    centred = np.where(known, values - values.sum(axis=1, keepdims=True) / count, 0.0)
    std = np.sqrt((centred**2).sum(axis=1, keepdims=True) / count)
    return np.where(std > STD_FLOOR, centred / np.maximum(std, STD_FLOOR), 0.0)


def _among(space: SearchSpace, archs: Archs, measured: Archs) -> Mask:
    """``(T, M)`` whether the trial has measured the candidate ``archs (T, M, L)`` before."""
    return (archs[:, :, None] == measured[:, None]).all(axis=-1).any(axis=2)
