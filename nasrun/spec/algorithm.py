"""What a search method is, and what it may see of a run."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nasrun.errors import UnsupportedError
from nasrun.images import SearchImages
from nasrun.spec.evaluator import Measured, no_curve
from nasrun.spec.meta import Learner
from nasrun.spec.metric import Metric
from nasrun.spec.network import Supernet
from nasrun.spec.predictor import Predictor
from nasrun.spec.space import Archs, Mask, SearchSpace
from nasrun.spec.task import Task
from nasrun.streams import Floats, Ints, Streams

if TYPE_CHECKING:
    from pathlib import Path

# Reads a figure of architectures after each of their first epochs.
ReadCurve = Callable[[Archs, Ints, str], Floats]
# Measures architectures after some epochs, started from parents' weights or None.
Measure = Callable[[Archs, Ints, Archs | None], Measured]


class Phase(Enum):
    """What a cohort is played for."""

    META_TRAIN = "meta_train"
    SEARCH = "search"


@dataclass(frozen=True)
class Problem:
    """What an algorithm may see of a run. Nothing about the test part is among it.

    ``task`` is the task in numbers, without its images; ``images`` reads the parts of them that a
    search may use. ``reward`` and ``latency_ms`` are for methods that measure by themselves:
    ``(n,)`` rewards of ``(n,)`` scores and latencies; ``evaluate`` has both in what it returns.
    ``folder`` is where a trial that is played alone may keep checkpoints; it goes when the trial is
    on record. None: nothing is kept.
    """

    space: SearchSpace
    task: Task
    metric: Metric
    trials: int
    fidelities: tuple[int, ...]
    measure: Measure
    measure_generation: Callable[[Archs, Ints], Measured]
    latency_ms: Callable[[Archs], Floats]
    reward: Callable[[Floats, Floats], Floats]
    objective_names: tuple[str, ...]
    objective_values: Callable[[Floats, Floats], Floats]
    images: Callable[[], SearchImages]
    folder: "Path | None" = None
    curves: tuple[str, ...] = ()  # what ``curve`` gives
    read_curve: ReadCurve | None = None

    def curve(self, archs: Archs, epochs: int | Ints, figure: str = "val_score") -> Floats:
        """``(n, max(epochs))`` the learning curves of ``archs (n, L)``; see ``Measuring.curve``.

        Free of charge, so a method must have measured each up to as many ``epochs`` before.
        """
        if self.read_curve is None:
            raise no_curve(figure, self.curves)
        lengths = np.broadcast_to(np.asarray(epochs, np.int64), len(archs))
        return self.read_curve(archs, lengths, figure)

    def evaluate(
        self, archs: Archs, epochs: int | Ints | None = None, parents: Archs | None = None
    ) -> Measured:
        """Measure ``archs (T, L)`` after ``epochs`` (default: the full training), with reward.

        ``parents (T, L)`` are those whose weights may be inherited, where the evaluator does so.
        """
        full = self.fidelities[-1] if epochs is None else epochs
        lengths = np.broadcast_to(np.asarray(full, np.int64), len(archs))
        return self.measure(archs, lengths, parents)

    def evaluate_generation(self, archs: Archs) -> Measured:
        """Measure ``archs (T, N, L)`` after the full training; arrays are ``(T, N, ...)``.

        A generation is one step: ``best_of_generation`` of the answer is what it returns.
        """
        return self.measure_generation(archs, np.full(len(archs), self.fidelities[-1], np.int64))

    def objectives(self, measured: Measured) -> Floats:
        """``(T, K)`` what ``objective_names`` name, each to be maximised; NaN where unknown."""
        return self.objective_values(measured.score, measured.latency_ms)


@dataclass(frozen=True)
class Policy:
    """What a search has come to prefer: by decision, or by edge of a supernet, its options.

    ``options`` names them; ``probabilities`` has ``(T, options)`` of each, in the same order:
    those of a policy, or the mixing weights of a supernet.
    """

    options: tuple[tuple[str, ...], ...]
    probabilities: Sequence[Floats]

    @classmethod
    def of_draws(cls, options: tuple[tuple[str, ...], ...], archs: Archs) -> "Policy":
        """How often each option was chosen in ``archs (T, n, L)`` that a policy has drawn."""
        shares = [
            (archs[:, :, at, None] == np.arange(len(own))).mean(axis=1)
            for at, own in enumerate(options)
        ]
        return cls(options, shares)

    def taken_from(self, other: "Policy", trials: Mask) -> "Policy":
        """This one, with the probabilities of ``trials (T,)`` from another."""
        pairs = zip(self.probabilities, other.probabilities, strict=True)
        return Policy(self.options, [np.where(trials[:, None], new, own) for own, new in pairs])


class Algorithm(ABC):
    """A search method. Its dataclass fields are its hyper-parameters and their schema.

    State that a run builds up is set in ``start``, never as a field. All trials advance together:
    ``step`` always moves all ``T`` of them, and ``play`` ignores those whose budget is spent, so
    an algorithm never needs to know who has finished.
    """

    name: str
    cohort: ClassVar[bool] = True  # False: the pipeline plays the trials one after the other
    learns_to_search: ClassVar[bool] = False  # True: meta-training leaves something to ``learnt``
    trains: ClassVar[bool] = False  # True: it trains by itself, and its costs are measured ones
    reads_images: ClassVar[bool] = False  # True: it looks at the task's images itself
    # True: what it proposes hangs on a model in floating point, whose last bits differ between
    # kinds of processors. Its trials repeat to the byte on one kind; those of the others on all.
    learns_in_floats: ClassVar[bool] = False

    @abstractmethod
    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin on a problem: keep what was learnt, drop what belonged to the last task."""

    @abstractmethod
    def step(self) -> Measured:
        """Do the smallest piece of work and return it with its cost."""

    @abstractmethod
    def recommend(self) -> Archs:
        """``(T, L)`` the architectures to report if the search ended now. Free of charge."""

    def front(self) -> list[Archs] | None:
        """``T`` arrays ``(k, L)``: each trial's best compromises between several objectives.

        All of them have been measured. Each is scored by the retrain stage. None: what is
        recommended is all there is. Must leave earlier answers as they are.
        """
        return None

    def policy(self) -> Policy | None:
        """What the policy, or the logits, have become; None for methods that have neither.

        For the record alone: it must draw nothing from the search's streams and change nothing.
        """
        return None

    def shortlist(self) -> Archs | None:
        """``(T, k, L)`` among which the retrain stage takes the one that is best by *test* score.

        An oracle's choice, for papers that report it, and every row says so. None: what is
        recommended is scored.
        """
        return None

    @property
    def label(self) -> str:
        """What a row calls the method: its name, with settings that no table may leave out."""
        return self.name

    @property
    def own_costs(self) -> bool:
        """Whether costs are the seconds that this machine took, whatever the evaluator's clock."""
        return self.trains

    @property
    def follows_rewards(self) -> bool:
        """Whether rewards decide what it chooses; a supernet's method may have losses instead."""
        return not self.trains

    @property
    def files(self) -> Mapping[str, str]:
        """Data files that the predictors in its fields read, and their sha256."""
        own = (part for part in vars(self).values() if isinstance(part, Predictor))
        return {name: digest for part in own for name, digest in part.files.items()}

    @property
    def learners(self) -> Mapping[str, Learner]:
        """What is meta-trained from records (a ``Database``), by the field it stands in."""
        return {}

    @property
    def shared_weights(self) -> Supernet | None:
        """The supernet that it has trained, as far as it is; None: it trains none."""
        return None

    @property
    def startup_steps(self) -> int:
        """Leading steps that only fill an initial population or history."""
        return 0

    @property
    def planned_steps(self) -> int | None:
        """Steps of a search whose schedule has an end (epochs of a supernet); None: no end.

        Asked before ``start``, too. A meta epoch ends by the pool's ``networks`` alone.
        """
        return None

    @property
    def evaluations_a_step(self) -> int:
        """How many evaluations a step stands for, where that is always the same number."""
        return 1

    @property
    def protocol(self) -> Mapping[str, str]:
        """Fields of ``Protocol`` that differ, where a method measures by itself."""
        return {}

    def end_meta_training(self) -> None:  # noqa: B027 - most methods learn task by task
        """Called once after the last meta epoch: for what is learnt from all tasks at once."""

    def learnt(self) -> dict[str, Any]:
        """Arrays worth keeping from meta-training; empty for methods that learn nothing."""
        return {}

    def load_learnt(self, state: Mapping[str, Any]) -> None:
        """Take over what ``learnt`` returned; refused by methods that learn nothing."""
        if state:
            raise UnsupportedError(f"algorithm={self.name} cannot be meta-trained: use meta=none")
