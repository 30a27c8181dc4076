"""CATCH: context-based meta reinforcement learning of architecture search."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

import numpy as np

from nasrun.algorithms.base import SampleBased
from nasrun.algorithms.catch_agent import OPTIONS, CATCHer, make_nets
from nasrun.algorithms.catch_networks import (
    Actions,
    Controller,
    Encoder,
    Evaluator,
    Pairs,
    Uninformed,
)
from nasrun.algorithms.catch_rehearsal import Rehearsal
from nasrun.algorithms.memory import History, Normalisation, Replay, normalised
from nasrun.draws import OneHot
from nasrun.errors import DataError
from nasrun.nets.cohort import CohortMLP, blocks, side_by_side
from nasrun.ranges import require_at_least, require_not_negative, require_positive, require_within
from nasrun.spec import (
    Archs,
    Floats,
    Mask,
    Measured,
    Phase,
    Policy,
    Problem,
    SearchSpace,
    Streams,
)


class Context(Enum):
    """What the networks are told about the task."""

    encoder = "encoder"  # z ~ q(z | history)
    zero = "zero"  # z = 0
    prior = "prior"  # z ~ N(0, I)


class EncoderInputs(Enum):
    """What the encoder reads of a network-reward pair."""

    plain = "plain"  # the network's one-hot columns and its normalised reward
    products = "products"  # rank and z-score of the reward, too, and their products with columns


@dataclass(frozen=True)
class Asked:
    """What a step asked to be measured.

    ``archs (T, L)``, the policy's ``log_chance (T, L)`` of their decisions, and ``proposed (T,)``:
    whether they were among the candidates, so that the policy may learn from them.
    """

    archs: Archs
    log_chance: Floats
    proposed: Mask


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

    Departures, and why: the context is the whole history, as in Section 3.1, not C drawn pairs; the
    head gives the variance (eq. 1 is ambiguous), as in PEARL; illegal options are masked before the
    softmax (the paper masks probabilities, which would leak); z is encoded anew in every update,
    because a stored one is stale once the encoder has moved; ``mutants`` of the best network and
    ``strangers`` from anywhere in the space compete with the policy's candidates, because a policy
    that meta-training drew into a worse mode never draws the better one (PPO takes all candidates
    for the policy's, with the probability that it gives them: which one is measured is the
    evaluator's choice in any case); candidates that do not exist or were measured before are
    dropped and the policy is smoothed by a uniform one, because a collapsed policy would spend the
    budget on repeats; rewards are normalised by rank, because one network that did not learn at all
    makes all others look alike to a z-score. A failed measurement (NaN) enters neither context nor
    losses. Where an evaluator answers with another architecture than the one asked for
    (``Measured.archs``), history and losses get the one measured, with the probability that the
    proposing policy gave to its decisions given the same z. It is a candidate that was given, as a
    stranger is; left out, it would leave the policy nothing to learn under ``meta=recorded``, where
    almost every answer is such a one.

    Two more ways to meta-train are fields, off by default. ``rehearsals`` learn off the policy,
    from the histories of all meta tasks after each meta epoch (see ``Rehearsal``), in place of the
    updates within it. ``revisits`` lets a meta epoch measure what was measured on other tasks.

    A step that follows N measurements costs O(updates * N), because the context and the predictor's
    batch are the whole history, and O(N * log N) for the ranks: a search is quadratic in its
    evaluations, by its definition. Ten searches of 250, 500, 1,000 and 2,000 evaluations take 22,
    55, 138 and 476 CPU seconds (``catch_sfs``; ``scripts/benchmark.py --only growth``).

    Raises:
        ConfigError: a field out of its range.
        DataError: an infinite reward; agents that were trained for another space.
    """

    name: str = "catch"
    learns_to_search: ClassVar[bool] = True
    learns_in_floats: ClassVar[bool] = True
    context: Context = Context.encoder
    latent: int = 10
    encoder_inputs: EncoderInputs = EncoderInputs.plain
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
    rehearsals: int = 0
    revisits: float = 0.0
    contrast: float = 0.0
    imitation: float = 0.0
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
        self._catchers: list[CATCHer] = []
        self._rehearsal = Rehearsal(self.contrast, self.imitation, self.beta, self.normalisation)
        counts = ("latent", "initial", "candidates", "updates", "window")
        widths = ("encoder_widths", "controller_widths", "evaluator_widths")
        rates = ("encoder_rate", "controller_rate", "evaluator_rate", "clip", "max_gradient")
        shares = (
            "revisits",
            "smoothing",
            "epsilon",
            "epsilon_adapted",
            "epsilon_decay",
            "epsilon_floor",
        )
        replay = ("replay_share", "replay_alpha", "replay_beta", "replay_beta_step")
        require_at_least(self, "algorithm", 1, *counts, *widths)
        require_positive(self, "algorithm", *rates)
        require_within(self, "algorithm", "[0, 1]", *shares, *replay)
        meta = ("rehearsals", "contrast", "imitation")
        require_not_negative(self, "algorithm", "mutants", "strangers", "beta", "entropy", *meta)

    @property
    def startup_steps(self) -> int:
        """The random architectures that begin a history."""
        return self.initial

    def learnt(self) -> dict[str, Any]:
        """Weights of the agents, agents first; those loaded, if no search has begun."""
        if not self._catchers:
            return dict(self._learnt)
        states = [catcher.state() for catcher in self._catchers]
        options = np.tile(self._one_hot.options, (self.problem.trials, 1))
        joined = {key: np.concatenate([state[key] for state in states]) for key in states[0]}
        return {OPTIONS: options, **joined}

    def load_learnt(self, state: Mapping[str, Any]) -> None:
        """Begin later searches with these agents: trial seed s takes agent s mod agents."""
        self._learnt, self._catchers = dict(state), []

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin a history; meta-training goes on with its networks, a search with the learnt."""
        if phase is Phase.META_TRAIN:
            self._rehearse()
        super().start(problem, streams, phase)
        self._one_hot = OneHot(problem.space)
        if phase is Phase.SEARCH or not self._catchers:
            self._catchers = [
                self.catcher(problem.space, streams, rows) for rows in blocks(problem.trials)
            ]
        for catcher in self._catchers:
            catcher.begin(self._replay(catcher.rows))
        adapts = phase is Phase.SEARCH and bool(self._learnt)
        self._epsilon = self.epsilon_adapted if adapts else self.epsilon
        self._history = History(problem.trials, len(self._one_hot.options))
        # Of the last measurements: log-probabilities of the decisions, and whether they count.
        self._recent: deque[tuple[Floats, Mask]] = deque(maxlen=self.window)
        self._proposals: deque[Archs] = deque(maxlen=self.window)
        revisits = phase is Phase.META_TRAIN and self.revisits > 0
        self._to_revisit = self._rehearsal.unmeasured(problem.task.name) if revisits else []

    @property
    def _rehearses(self) -> bool:
        return self.phase is Phase.META_TRAIN and self.rehearsals > 0

    def end_meta_training(self) -> None:
        """Rehearse after the last meta epoch, too."""
        self._rehearse()

    def _rehearse(self) -> None:
        """Learn from all meta tasks; does nothing before there is one."""
        if not self._rehearsal.histories or not self.rehearsals:
            return
        streams = self.streams.fork("rehearsal")
        for catcher in self._catchers:
            rows = catcher.rows
            own = self._rehearsal.of(rows)
            own.steps(
                self.rehearsals, catcher, self.read, self._one_hot, streams.fork("rows", rows)
            )

    def read(self, archs: Archs, rewards: Floats) -> Pairs:
        """The pairs of contexts as the encoder takes them, normalised within each context.

        Args:
            archs: ``(T, N, L)``, or ``(T, C, N, L)`` of several contexts a trial.
            rewards: ``(T, N)`` or ``(T, C, N)``, NaN where a pair is not of the context.
        """
        trials, count = len(rewards), rewards.shape[-1]
        single, shape = rewards.reshape(-1, count), (trials, -1)
        score = normalised(single, self.normalisation).reshape(shape)
        second = None
        if self.encoder_inputs is EncoderInputs.products:
            second = normalised(single, Normalisation.zscore).reshape(shape)
        flat = archs.reshape(trials, -1, archs.shape[-1])
        known = ~np.isnan(rewards).reshape(shape)
        return Pairs(OneHot(self.problem.space), self.latent, flat, score, known, second)

    def catcher(self, space: SearchSpace, streams: Streams, rows: slice) -> CATCHer:
        """The three networks of the trials ``rows``, with what was learnt or newly drawn."""
        one_hot = OneHot(space)
        inputs = one_hot.width + self.latent
        sizes = {
            "controller": [inputs, *self.controller_widths, one_hot.width],
            "evaluator": [inputs, *self.evaluator_widths, 1],
        }
        if self.context is Context.encoder:
            pair = one_hot.width + 1
            if self.encoder_inputs is EncoderInputs.products:
                pair += 2 * one_hot.width + 1
            sizes["encoder"] = [pair, *self.encoder_widths, 2 * self.latent]
        nets = make_nets(sizes, one_hot.options, self._learnt, streams, rows)
        policy = (self.smoothing, self.clip, self.entropy)
        return CATCHer(
            rows,
            nets,
            {name: getattr(self, f"{name}_rate") for name in nets},
            self._encoder(nets),
            Controller(nets["controller"], space, *policy),
            Evaluator(nets["evaluator"], space),
            self.latent,
            self.beta,
            self.max_gradient,
        )

    def _encoder(self, nets: Mapping[str, CohortMLP]) -> Encoder | Uninformed:
        if self.context is Context.encoder:
            return Encoder(nets["encoder"], self.latent)
        return Uninformed(1.0 if self.context is Context.prior else 0.0)

    def _replay(self, rows: slice) -> Replay:
        alpha, beta, step = self.replay_alpha, self.replay_beta, self.replay_beta_step
        return Replay(rows.stop - rows.start, alpha, beta, step, self.replay_share)

    def ask(self) -> Archs:
        """``(T, L)`` random architectures at first, then each trial's most promising candidate."""
        if not self._is_revisit():
            return self._new()
        again = np.array([left.pop(0) for left in self._to_revisit], np.int64)
        self._asked = Asked(again, np.zeros(again.shape), np.zeros(len(again), np.bool_))
        return again

    def _is_revisit(self) -> bool:
        """Whether this step of a meta epoch measures what was measured on other tasks."""
        due = int((self.steps + 1) * self.revisits) > int(self.steps * self.revisits)
        return due and bool(self._to_revisit) and all(self._to_revisit)

    def _new(self) -> Archs:
        if self.steps < self.initial:
            return self.problem.space.sample(self.streams)
        # Drawn for all trials beforehand: streams are no business of threads.
        self._noise: Floats = self.streams.normal(self.latent)
        archs, given = self._blank()
        uniforms = self.streams.uniform(archs[0].size).reshape(archs.shape)
        self._give(archs)

        def propose(catcher: CATCHer) -> tuple[Archs, Floats, Floats]:
            at = catcher.rows
            return catcher.propose(archs[at], given, self._noise[at], uniforms[at])

        parts = zip(*side_by_side(propose, self._catchers), strict=True)
        return self._choose(*map(np.concatenate, parts))

    def _blank(self) -> tuple[Archs, Mask]:
        """``(T, M, L)`` candidates without decisions; ``(M,)`` which are not left to the policy."""
        proposed = self.candidates + self.mutants + self.strangers
        shape = (self.problem.trials, proposed, len(self._one_hot.options))
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
        self._proposals.append(archs[:, : self.candidates])
        shape = archs.shape[:2]
        exists = self.problem.space.exists(archs.reshape(-1, archs.shape[2])).reshape(shape)
        fresh = exists & ~self._history.has(archs)
        explores = self.streams.uniform() < self._epsilon
        worth = np.where(explores, self.streams.uniform(score.shape[1]), score)
        chosen = np.argmax(np.where(fresh, worth, -np.inf), axis=1)
        trials = np.arange(len(archs))
        proposed = np.logical_or.reduce(fresh, axis=1)
        asked = np.where(proposed[:, None], archs[trials, chosen], self._spare())
        self._asked = Asked(asked, log_chance[trials, chosen], proposed)
        return asked

    def _spare(self) -> Archs:
        """``(T, L)`` for when no candidate is new: a mutant of the best one, else a random one."""
        # Drawn whether needed or not, so that a trial's numbers do not depend on the policy.
        space = self.problem.space
        mutant, anyone = space.mutate(self._best, self.streams), space.sample(self.streams)
        return np.where(self._history.has(mutant[:, None]), anyone, mutant)

    def policy(self) -> Policy | None:
        """How often the policy chose each option, of its candidates in the last ``window`` steps.

        Its decisions depend on one another, so that there is no plain probability; these candidates
        were drawn anyway. None: it has not proposed anything yet.
        """
        if not self._proposals:
            return None
        drawn = np.concatenate(self._proposals, axis=1)
        return Policy.of_draws(self.problem.space.decisions, drawn)

    def tell(self, measured: Measured) -> None:
        """Add the pair to the history, and train the networks."""
        self._require_finite(measured)
        known = ~np.isnan(measured.reward)
        self._history.add(measured)
        if self.phase is Phase.META_TRAIN and (self.rehearsals or self.revisits):
            self._rehearsal.add(self.problem.task.name, measured)
        for catcher in self._catchers:
            catcher.memory.add(known[catcher.rows])
        if self.steps >= self.initial:
            self._recent.append((self._chance_of(measured.archs), self._asked.proposed & known))
            self._epsilon = max(self._epsilon * self.epsilon_decay, self.epsilon_floor)
        if self.steps + 1 >= self.initial:
            self._learn()

    def _require_finite(self, measured: Measured) -> None:
        for trial in np.flatnonzero(np.isinf(measured.reward)):
            raise DataError(
                f"the reward of {self.problem.space.text(measured.archs[trial])} is "
                f"{measured.reward[trial]}: rewards must be finite, or NaN where a measurement "
                "failed"
            )

    def _chance_of(self, archs: Archs) -> Floats:
        """``(T, L)`` log-probabilities that the proposing policy gave to what was measured."""
        other = (archs != self._asked.archs).any(axis=1)
        if not other.any():
            return self._asked.log_chance
        parts = [c.log_chance(archs[c.rows], self._noise[c.rows]) for c in self._catchers]
        return np.where(other[:, None], np.concatenate(parts), self._asked.log_chance)

    def _learn(self) -> None:
        """Train the networks, or just read the history where they are trained after the epoch."""
        past = self._history
        score = normalised(past.rewards, self.normalisation)
        noise = [
            (self.streams.gumbel(len(past)), self.streams.normal(self.latent))
            for _ in range(0 if self._rehearses else self.updates)
        ]

        def learn(catcher: CATCHer) -> None:
            at, last = catcher.rows, slice(len(past) - len(self._recent), None)
            archs, own = past.archs[at], score[at]
            pairs = self.read(archs, past.rewards[at])
            actions = None
            if self._recent:
                log_chance, counts = (
                    np.stack([part[at] for part in parts], axis=1)
                    for parts in zip(*self._recent, strict=True)
                )
                actions = Actions(
                    self._one_hot, self.latent, archs[:, last], own[:, last], log_chance, counts
                )
            catcher.optimise(pairs, actions, [(gumbel[at], z[at]) for gumbel, z in noise])

        side_by_side(learn, self._catchers)
