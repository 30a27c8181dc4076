"""MetaQNN: Q-learning with a table, an epsilon that falls, and experience replay."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from nasrun.algorithms.base import SampleBased
from nasrun.algorithms.memory import History
from nasrun.draws import pick
from nasrun.errors import ConfigError
from nasrun.ranges import require_at_least, require_within
from nasrun.spec import Archs, Floats, Ints, Mask, Measured, Phase, Policy, Problem, Streams

UNKNOWN = -np.inf  # worth of an option that has not been legal yet


@dataclass
class MetaQNN(SampleBased):
    """Decides option by option: at random with probability epsilon, else by the highest Q.

    Baker et al., "Designing Neural Network Architectures using Reinforcement Learning" (ICLR 2017),
    sections 3 and 4, Algorithms 1 to 3, Table 2. After each measurement ``replays`` architectures
    are drawn uniformly, with replacement, from all measured so far, and each is learnt from its
    last decision back to its first: ``Q(s, a) += learning_rate (r + max Q(s', .) - Q(s, a))``,
    where only the last has a reward ``r``, in hundredths, and no state after it. The state is the
    number of decisions before and what ``SearchSpace.state`` makes of them. Epsilon falls by the
    number of different architectures; one that was measured is drawn again instead.

    Departures: values begin at ``initial``, the 0.5 of the authors' code, in place of 0; decisions
    with a single option are none, so that what does not exist delays no reward; a repeat is not
    added to the memory; after ``draws`` draws a repeat is measured; a failed measurement is not
    learnt from; where an evaluator answers with another architecture, that one is learnt; the
    reward is the task's, after the last epoch (the authors' code: the best of all epochs). Every
    trial has a table of its own.

    Args:
        epsilons: by which decisions are made at random, one after another.
        models: different architectures for each of them; the last one stays.
        learning_rate: of values; alpha in the paper.
        discount: of the value of the next state.
        initial: value of what has not been learnt.
        replays: architectures learnt from after each measurement.
        draws: of an architecture that has not been measured, after which a repeat is; 1: at once.

    Raises:
        ConfigError: not a number of models for each epsilon, or a value out of its range.
    """

    name: str = "metaqnn"
    epsilons: list[float] = field(
        default_factory=lambda: [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    )
    models: list[int] = field(default_factory=lambda: [1500, *[100] * 3, *[150] * 6])
    learning_rate: float = 0.01
    discount: float = 1.0
    initial: float = 0.5
    replays: int = 100
    draws: int = 100

    learns_in_floats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_within(self, "algorithm", "[0, 1]", "epsilons", "discount")
        require_within(self, "algorithm", "(0, 1]", "learning_rate")
        require_at_least(self, "algorithm", 1, "models", "replays", "draws")
        if len(self.epsilons) != len(self.models) or not self.models:
            raise ConfigError(
                "algorithm.models must have a number for each of algorithm.epsilons, got "
                f"{len(self.models)} for {len(self.epsilons)}"
            )

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin with an empty table and memory."""
        super().start(problem, streams, phase)
        arity = problem.space.arity
        most = int(arity.max())
        # Values (T, L, states, options): more states when they are met.
        self._values: Floats = np.full((problem.trials, len(arity), most, most), UNKNOWN)
        self._memory = History(problem.trials, len(arity))
        self._different: Ints = np.zeros(problem.trials, np.int64)
        self._states: Ints = np.zeros((problem.trials, 0, len(arity)), np.int64)
        self._live: Mask = np.zeros((problem.trials, 0, len(arity)), np.bool_)

    def epsilon(self) -> Floats:
        """``(T,)`` probability of a random decision in the next architecture."""
        stage = np.searchsorted(np.cumsum(self.models), self._different, side="right")
        return np.array(self.epsilons)[np.minimum(stage, len(self.epsilons) - 1)]

    def ask(self) -> Archs:
        """``(T, L)`` architectures that the trial has not measured, if few draws find any."""
        everyone = np.arange(self.problem.trials)
        archs = self._drawn(everyone)
        for _ in range(self.draws - 1):
            known = self._memory.has(archs[:, None])[:, 0] | ~self.problem.space.exists(archs)
            rows = np.flatnonzero(known)
            if not len(rows):
                break
            archs[rows] = self._drawn(rows)
        return archs

    def tell(self, measured: Measured) -> None:
        """Remember what was measured, and learn from the memory."""
        self._different += ~self._memory.has(measured.archs[:, None])[:, 0]
        self._memory.add(measured)
        states, live = self._met(measured.archs)
        self._states = np.concatenate([self._states, states[:, None]], axis=1)
        self._live = np.concatenate([self._live, live[:, None]], axis=1)
        self._replay()

    def policy(self) -> Policy:
        """The greedy choice of each decision, after the greedy choices before it."""
        space, archs = self.problem.space, self.greedy()
        return Policy.of_draws(space.decisions, archs[:, None])

    def greedy(self) -> Archs:
        """``(T, L)`` by the highest values alone; of several the first."""
        everyone = np.arange(self.problem.trials)
        uniforms = np.zeros((len(everyone), 2 * len(self.problem.space.decisions)))
        return self._walk(everyone, np.zeros(len(everyone)), uniforms)

    def _drawn(self, rows: Ints) -> Archs:
        """``(n, L)`` architectures of trials ``rows (n,)``, epsilon-greedily."""
        uniforms = self.streams.uniform(2 * len(self.problem.space.decisions), rows)
        return self._walk(rows, self.epsilon()[rows], uniforms)

    def _walk(self, rows: Ints, epsilon: Floats, uniforms: Floats) -> Archs:
        """As ``_drawn``: two of ``uniforms (n, 2L)`` a decision, whether random and which option.

        Ties are broken at random.
        """
        space = self.problem.space
        archs = np.zeros((len(rows), len(space.decisions)), np.int64)
        for place, options in enumerate(space.decisions):
            prefix = archs[:, :place]
            legal, states = space.legal(prefix), self._room(space.state(prefix))
            values = self._values[rows, place, states, : len(options)]
            values = np.where(legal, np.where(values == UNKNOWN, self.initial, values), UNKNOWN)
            best = values == values.max(axis=1, keepdims=True)
            explores = (uniforms[:, 2 * place] < epsilon)[:, None]
            chances = np.where(explores, legal, best).astype(np.float64)
            archs[:, place] = pick(chances, uniforms[:, 2 * place + 1])
        return archs

    def _room(self, states: Ints) -> Ints:
        """The same states, for which there are values from now on."""
        missing = int(states.max(initial=0)) + 1 - self._values.shape[2]
        if missing > 0:
            more = ((0, 0), (0, 0), (0, missing), (0, 0))
            self._values = np.pad(self._values, more, constant_values=UNKNOWN)
        return states

    def _met(self, archs: Archs) -> tuple[Ints, Mask]:
        """``(T, L)`` the states on the way to ``archs (T, L)``, and which decisions are live.

        What is legal in a state gets a value.
        """
        space, rows = self.problem.space, np.arange(len(archs))
        states, live = np.zeros(archs.shape, np.int64), np.zeros(archs.shape, np.bool_)
        for place in range(archs.shape[1]):
            legal = space.legal(archs[:, :place])
            # What an evaluator answered with was legal, whatever the space says.
            legal[rows, archs[:, place]] = True
            states[:, place] = self._room(space.state(archs[:, :place]))
            live[:, place] = legal.sum(axis=1) > 1
            trial, option = np.nonzero(legal)
            values = self._values[trial, place, states[trial, place], option]
            known = np.where(values == UNKNOWN, self.initial, values)
            self._values[trial, place, states[trial, place], option] = known
        return states, live

    def _replay(self) -> None:
        """Learn from architectures that each trial draws from its memory."""
        drawn = self._places(self.streams.uniform(self.replays))
        trials = np.arange(self.problem.trials)
        for replayed in drawn.T:
            rows = trials[replayed >= 0]
            if len(rows):
                self.learn(rows, replayed[rows])

    def _places(self, uniforms: Floats) -> Ints:
        """``(T, replays)`` places in the memory of measurements that succeeded; -1: there is none.

        Of ``(T, replays)`` uniform numbers.
        """
        known = self._memory.known
        order = np.argsort(~known, axis=1, kind="stable")
        count = known.sum(axis=1, keepdims=True)
        places = np.take_along_axis(order, (uniforms * count).astype(np.int64), axis=1)
        return np.where(count > 0, places, -1)

    def learn(self, trials: Ints, places: Ints) -> None:
        """Learn from the architecture at ``places (n,)`` of the memories of ``trials (n,)``.

        From the last live decision back to the first.
        """
        archs, states = self._memory.archs[trials, places], self._states[trials, places]
        live, target = self._live[trials, places], self._memory.rewards[trials, places] / 100.0
        for place in range(archs.shape[1] - 1, -1, -1):
            rows = np.flatnonzero(live[:, place])
            own, state, option = trials[rows], states[rows, place], archs[rows, place]
            value = self._values[own, place, state, option]
            value += self.learning_rate * (target[rows] - value)
            self._values[own, place, state, option] = value
            target[rows] = self.discount * self._values[own, place, state].max(axis=1)
