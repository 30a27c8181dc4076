"""What meta-training is made of: tasks to learn searching on, before the search proper."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from nasrun.spec.evaluator import Evaluator, Measuring
from nasrun.spec.features import Vectors
from nasrun.spec.space import Archs, Mask, SearchSpace
from nasrun.spec.task import Task
from nasrun.streams import Floats, Ints


class MetaSession(ABC):
    """A pool that has been opened for a search; shares no state with any other."""

    # Whether the target decides what is learnt. What does not is trained once for all targets.
    uses_target: bool = True
    uses_evaluator: bool = True  # whether the search's evaluator measures on the tasks

    @abstractmethod
    def problem(self, epoch: int) -> tuple[Task, Measuring]:
        """The task of a meta epoch, and what measures on it."""

    @property
    @abstractmethod
    def label(self) -> str:
        """The pool in a few words: they stand in every row that it led to."""

    @property
    def files(self) -> Mapping[str, str]:
        """Data files read so far and their sha256."""
        return {}


class MetaPool(ABC):
    """What a config says about meta-training. Opening it never changes it.

    ``agents`` are trained side by side, agent ``a`` with seed ``seed + a``. Each of ``epochs`` meta
    epochs is a search of ``networks`` measurements on one task of the pool.
    """

    name: str
    agents: int
    epochs: int
    networks: int
    seed: int

    @abstractmethod
    def opened(self, space: SearchSpace, target: Task, evaluator: Evaluator) -> MetaSession:
        """The pool for a search on ``target``; ``evaluator`` is opened anew for each of its tasks.

        Raises:
            ConfigError: no task is left to learn on.
            UnsupportedError: the evaluator cannot serve the pool's tasks.
            DataError: a file that is missing or cannot be read.
        """


@dataclass(frozen=True)
class Records:
    """Architectures that were trained on many data sets, and what the data sets look like.

    Record ``i`` of ``n`` says that ``archs[i] (L,)`` reached ``score[i]``, higher is better, on
    data set ``dataset[i]``. Scores compare within a data set; they are standardised, so that they
    need no unit. A data set is a tuple of classes in ``datasets``; ``features (C, k, d)`` are unit
    vectors of ``k`` pictures of each class, or one that stands for all of its pictures.
    ``held_out (n,)`` are not learnt from: they tell how well was learnt. ``judgement (n,)``:
    scores of different ones do not compare even within a data set, and are standardised apart;
    ``joint_score (n,)`` is standardised over all. None: all are alike.
    """

    archs: Archs
    score: Floats
    dataset: Ints
    datasets: Sequence[tuple[int, ...]]
    features: Vectors
    held_out: Mask
    judgement: Ints | None = None
    joint_score: Floats | None = None


class Library(ABC):
    """Records to learn from, opened for a space."""

    uses_evaluator: ClassVar[bool] = False  # whether the search's evaluator decides what they say

    @abstractmethod
    def records(self) -> Records:
        """All of them.

        Raises:
            DataError: a file that is missing or cannot be read.
        """

    @property
    @abstractmethod
    def label(self) -> str:
        """The records in a few words: they stand in every row that they led to."""

    @property
    @abstractmethod
    def files(self) -> Mapping[str, str]:
        """Data files behind them and their sha256."""

    @property
    def shipped(self) -> Path | None:
        """Folder with what was learnt from these very records and comes along with nasrun."""
        return None


class Database(ABC):
    """What a config says about records to learn from. Opening it never changes it.

    Records do not depend on the target: what is learnt from them serves every search.
    """

    name: str

    @abstractmethod
    def opened(self, space: SearchSpace, target: Task, evaluator: Evaluator) -> Library:
        """The records of architectures of ``space``.

        Raises:
            ConfigError: records that cannot be had with these settings.
            UnsupportedError: records of another space.
        """


@dataclass(frozen=True)
class Learnt:
    """What a learner leaves: ``arrays`` by name, and how it went, a row an epoch."""

    arrays: Mapping[str, Any]
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


class Learner(ABC):
    """A part of an algorithm that learns from records; its fields decide what."""

    @abstractmethod
    def learn(self, records: Records, space: SearchSpace) -> Learnt:
        """What the records teach."""
