"""What judges architectures: a table, or training."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nasrun.errors import UnsupportedError
from nasrun.spec.metric import Metric
from nasrun.spec.space import Archs, Mask, SearchSpace
from nasrun.spec.task import Task
from nasrun.streams import Floats, Ints, Streams

if TYPE_CHECKING:
    from pathlib import Path


# What a learning curve may be of: figures of the images that a search may see, after each epoch.
CURVES = ("val_score", "val_loss", "train_score", "train_loss")


class Clock(Enum):
    """Where a cost comes from: the seconds a table reports, or the seconds this machine took."""

    SIMULATED = "simulated"
    MEASURED = "measured"


@dataclass(frozen=True)
class Protocol:
    """How a search's figures came about, in words that stand in every row.

    ``split``: images that were trained and validated on; ``fidelity``: training behind a score;
    ``run``: training seeds; ``clock``: what a measurement costs.
    """

    split: str
    fidelity: str
    run: str
    clock: str


@dataclass(frozen=True)
class Measured:
    """One measurement per trial: what was measured and what it cost.

    ``archs (T, L)``: the architectures behind the figures, which need not be those asked for;
    ``epochs (T,)`` of training behind the score; ``score (T,)`` in the metric's unit;
    ``cost_s (T,)``; ``latency_ms (T,)`` and ``reward (T,)`` are NaN until the problem adds them;
    ``count (T,)`` evaluations that the step stands for, None: one each; ``parents (T, L)`` whose
    weights the networks started from, None: from scratch; ``solved (T,)`` whether the task is
    solved, after which a trial has nothing left to look for, None: a task without such an end.

    Of a generation (``evaluate_generation``) every array has its ``N`` members behind the trials.
    """

    archs: Archs
    epochs: Ints
    score: Floats
    cost_s: Floats
    latency_ms: Floats
    reward: Floats
    count: Ints | None = None
    parents: Archs | None = None
    solved: Mask | None = None

    @classmethod
    def scored(
        cls,
        archs: Archs,
        epochs: Ints,
        score: Floats,
        cost_s: Floats,
        count: Ints | None = None,
        solved: Mask | None = None,
    ) -> "Measured":
        """A measurement to which the problem will add latency and reward."""
        unknown = np.full(score.shape, np.nan)
        return cls(archs, epochs, score, cost_s, unknown, unknown, count, solved=solved)

    def best_of_generation(self) -> "Measured":
        """``(T,)`` the best member of each trial's ``N``, which stands for all of them.

        Costs are summed; a task is solved if one member has solved it, and the best of these is
        the one that stands for all.
        """
        trials, members = self.score.shape
        rank = np.where(np.isnan(self.reward), -np.inf, self.reward)
        solved: Mask | None = None
        if self.solved is not None:
            solved = np.array([own.any() for own in self.solved], np.bool_)
            rank = np.where(self.solved | ~solved[:, None], rank, -np.inf)
        rows: Ints = np.arange(trials, dtype=np.int64)
        best: Ints = rank.argmax(axis=1).astype(np.int64)
        archs, epochs = self.archs[rows, best], self.epochs[rows, best]
        score, latency_ms = self.score[rows, best], self.latency_ms[rows, best]
        reward = self.reward[rows, best]
        count, cost_s = np.full(trials, members, np.int64), self.cost_s.sum(axis=1)
        return Measured(archs, epochs, score, cost_s, latency_ms, reward, count, solved=solved)


@dataclass(frozen=True)
class Scored:
    """Final figures of ``(n,)`` architectures on one task: the retrain stage's answer.

    ``rank`` counts the architectures that are strictly better in validation score, plus one.
    ``final`` says in words which trainings the figures come from; it stands in every row.
    """

    val_score: Floats
    test_score: Floats
    params_m: Floats
    flops_m: Floats
    rank: Floats
    final: str


class Measuring(ABC):
    """The face of an evaluator that a search sees."""

    metric: Metric  # of what ``evaluate`` returns

    @property
    @abstractmethod
    def fidelities(self) -> tuple[int, ...]:
        """Training lengths in epochs that can be measured, ascending; the last is the full one."""

    @abstractmethod
    def evaluate(
        self, archs: Archs, *, epochs: Ints, streams: Streams, parents: Archs | None = None
    ) -> Measured:
        """Validation score and cost of ``archs (T, L)`` after ``epochs (T,)``; no reward yet.

        ``parents (T, L)`` are those whose weights a network may start from. Evaluators that train
        from scratch or look figures up ignore them; others return them with what they measured,
        because the same architecture from other weights is no repeat.
        """

    def evaluate_generation(self, archs: Archs, *, epochs: Ints, streams: Streams) -> Measured:
        """``evaluate`` of ``archs (T, N, L)``, member after member; arrays are ``(T, N, ...)``.

        Evaluators that try many at once override it.
        """
        members = [
            self.evaluate(archs[:, at], epochs=epochs, streams=streams)
            for at in range(archs.shape[1])
        ]
        names = ("archs", "epochs", "score", "cost_s")
        figures = [np.stack([getattr(one, name) for one in members], axis=1) for name in names]
        solved = [one.solved for one in members if one.solved is not None]
        return Measured.scored(*figures, solved=np.stack(solved, axis=1) if solved else None)

    @property
    def curves(self) -> tuple[str, ...]:
        """Which of ``CURVES`` ``curve`` gives for the full training, in that order."""
        return ()

    def curve(self, archs: Archs, *, epochs: Ints, figure: str = "val_score") -> Floats:
        """``(n, max(epochs))`` a figure after the epochs 1, 2, ... of the full training.

        NaN after ``epochs (n,)`` of each of ``archs (n, L)``, and where it is not known. It is free
        of charge: who asks has paid for so many epochs by ``evaluate``.

        Args:
            archs: ``(n, L)`` whose training.
            epochs: ``(n,)`` up to which epoch, at most that of the full training.
            figure: one of ``curves``; scores in the metric's unit, losses in the evaluator's own.

        Raises:
            UnsupportedError: there are no curves of this figure.
        """
        raise no_curve(figure, self.curves)

    @property
    @abstractmethod
    def protocol(self) -> Protocol:
        """How the figures come about; it stands in every row."""

    @property
    def why_nothing(self) -> str:
        """What may be the matter when every measurement fails, in a few words."""
        return "the evaluator gave no score"

    @property
    def files(self) -> Mapping[str, str]:
        """Data files read so far and their sha256."""
        return {}


def no_curve(figure: str, curves: Sequence[str]) -> UnsupportedError:
    """The sentence for a learning curve that an evaluator does not have."""
    have = f"only of {', '.join(curves)}" if curves else "none at all"
    return UnsupportedError(
        f"expected learning curves of {figure}, and the evaluator has {have}: use a table with a "
        "figure for every epoch (nasrun/benchmarks/README.md), or evaluator=training"
    )


class Judging(ABC):
    """The face of an evaluator that only the retrain stage sees."""

    name: str

    def final_metric(self, task: Task) -> Metric:
        """Of what ``score`` returns."""
        return task.metric

    def check_final(self, task: Task) -> None:  # noqa: B027 - most evaluators serve all tasks
        """Refuse, before the search, a final task that ``score`` could not serve after it."""

    @property
    def final_training(self) -> str:
        """What ``score`` trains for each network and task, in words; empty if it trains nothing."""
        return ""

    @abstractmethod
    def score(self, archs: Archs, task: Task) -> Scored:
        """Final figures of ``archs (n, L)``, test score included."""

    def check_export(self, formats: list[str]) -> None:
        """Refuse, before the search, formats that ``export`` could not write after it."""
        raise UnsupportedError(
            f"evaluator={self.name} trains no network to export: set retrain.export=[], or use "
            "evaluator=training"
        )

    def export(self, arch: Archs, task: Task, stem: "Path", formats: list[str]) -> None:
        """Write the network of ``arch (L,)`` that ``score`` trained, beside each other."""
        self.check_export(formats)


class Session(Measuring, Judging):
    """An evaluator that has been opened for a space and a task; shares no state with any other."""


class Evaluator(ABC):
    """What a config says about an evaluator. Opening it never changes it."""

    name: str
    clock: ClassVar[Clock]
    # The most trials in lock step where what they have measured takes long and is kept by nothing
    # until they have finished; None: as many as ``cohort`` says.
    at_once: ClassVar[int | None] = None

    @property
    def begins_with(self) -> Task | None:
        """The task whose weights all networks begin with; None: weights are drawn, or looked up."""
        return None

    @abstractmethod
    def opened(self, space: SearchSpace, task: Task) -> Session:
        """Load what is needed to judge architectures of ``space`` on ``task``.

        Raises:
            ConfigError: what the config asks for is not to be had.
            UnsupportedError: the evaluator cannot serve this space or task.
            DataError: a file that is missing or cannot be read.
        """

    def check_scorer(self) -> None:  # noqa: B027 - most evaluators can
        """Refuse to give another evaluator's search its final figures, where it cannot."""
