"""Meta-training on the other tasks that the evaluator knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nasrun.errors import ConfigError
from nasrun.meta.base import require_sizes
from nasrun.ranges import require_at_least
from nasrun.spec import Evaluator, Measuring, MetaPool, MetaSession, SearchSpace, Task, source_of


@dataclass
class LeaveOneOut(MetaPool):
    """The listed tasks other than the target, in turn, through the search's own evaluator.

    Not what Chen et al. (CATCH, ECCV 2020) did, who trained on subsets of ImageNet (see
    ``ImageSubsets``): it is what a table offers at no cost, and every row says so.

    Raises:
        ConfigError: agents, epochs, networks or others below 1, or a negative seed.
    """

    name: str = "leave_one_out"
    tasks: dict[str, Task] = field(default_factory=dict[str, Task])
    others: int | None = None  # how many of the other tasks, in the order listed; None: all
    agents: int = 10
    epochs: int = 25
    networks: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        require_sizes(self)
        require_at_least(self, "meta", 1, "others")

    def opened(self, space: SearchSpace, target: Task, evaluator: Evaluator) -> "OtherTasks":
        """The evaluator, opened for each task that is not the target.

        Raises:
            ConfigError: no task is left.
        """
        own = source_of(target.name)  # whose figures those of a part of it are, too
        names = [name for name in self.tasks if source_of(name) != own][: self.others]
        if not names:
            raise ConfigError(
                f"meta=leave_one_out finds no task besides {target.name} in meta.tasks: list "
                "another one there, or use meta=none"
            )
        tasks = [self.tasks[name] for name in names]
        problems = [(task, evaluator.opened(space, task)) for task in tasks]
        return OtherTasks(self.name, problems, uses_target=own in map(source_of, self.tasks))


class OtherTasks(MetaSession):
    """Some tasks, in turn.

    Args:
        name: of the pool.
        problems: each task with what measures on it.
        uses_target: whether one was left out because it is the target.
    """

    def __init__(
        self, name: str, problems: Sequence[tuple[Task, Measuring]], *, uses_target: bool
    ) -> None:
        self._name, self._problems, self.uses_target = name, problems, uses_target

    def problem(self, epoch: int) -> tuple[Task, Measuring]:
        """The tasks take turns."""
        return self._problems[epoch % len(self._problems)]

    @property
    def label(self) -> str:
        """Such as ``leave_one_out(cifar10+cifar100)``."""
        return f"{self._name}({'+'.join(task.name for task, _ in self._problems)})"

    @property
    def files(self) -> Mapping[str, str]:
        """Data files of the other tasks' evaluators and their sha256."""
        return {k: v for _, session in self._problems for k, v in session.files.items()}
