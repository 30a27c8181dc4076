"""What meta-training is made of: tasks to learn searching on, before the search proper."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from nasrun.spec.evaluator import Evaluator, Measuring
from nasrun.spec.space import SearchSpace
from nasrun.spec.task import Task


class MetaSession(ABC):
    """A pool that has been opened for a search; shares no state with any other."""

    # Whether the target decides what is learnt. What does not is trained once for all targets.
    uses_target: bool = True

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
