"""Meta-training on trainings that were recorded before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nasrun.benchmarks.checksum import sha256
from nasrun.benchmarks.trainings import TrainedEpoch, read_trainings
from nasrun.errors import DataError
from nasrun.meta.base import require_sizes
from nasrun.meta.nearest import NearestRecorded
from nasrun.spec import Evaluator, Measuring, MetaPool, MetaSession, SearchSpace, Task, source_of


@dataclass
class Recorded(MetaPool):
    """The tasks of a table of trainings, in turn; nothing is trained.

    The table is a ``trainings.csv``, as ``evaluator=training`` writes it, for instance while
    ``meta=image_subsets`` meta-trains on a GPU. An agent that asks for another architecture than
    those on record is told about the nearest one; see ``NearestRecorded``. Trainings of a task that
    differ in images, scale, recipe, length or seed cannot be compared; they are tasks of their own.
    The target's data set is left out, and with it every task of some of its classes.

    Raises:
        ConfigError: agents, epochs or networks below 1, or a negative seed.
    """

    name: str = "recorded"
    path: str = "trainings.csv"
    agents: int = 10
    epochs: int = 25
    networks: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        require_sizes(self)

    def opened(self, space: SearchSpace, target: Task, evaluator: Evaluator) -> "RecordedTasks":
        """The table's tasks; trainings on the target's data and unfinished ones are left out.

        Raises:
            DataError: there is no such file, or nothing in it to learn from.
        """
        path = Path(self.path).expanduser()
        if not path.exists():
            raise DataError(
                f"{path} is not there: set meta.path to a trainings.csv that evaluator=training "
                "has written"
            )
        own, curves = False, dict[str, list[TrainedEpoch]]()
        for row in read_trainings(path):
            if row.space != space.name or row.part != "search":
                continue
            if source_of(row.task) == source_of(target.name):
                own = True
            else:
                curves.setdefault(row.training, []).append(row)
        tasks: dict[tuple[object, ...], list[list[TrainedEpoch]]] = {}
        for curve in curves.values():
            if curve[-1].epoch == curve[-1].epochs:
                tasks.setdefault(_protocol(curve[-1]), []).append(curve)
        if not tasks:
            raise DataError(
                f"{path}: expected finished trainings of space={space.name} on other data than "
                f"{target.name}, found none: choose another file with meta.path"
            )
        files = {f"meta/{path.name}": sha256(path, path.with_suffix(".sha256.json"))}
        return RecordedTasks(self.name, space, list(tasks.values()), files, uses_target=own)


class RecordedTasks(MetaSession):
    """The tasks of a table of trainings, in the order of the file.

    Args:
        name: of the pool.
        space: whose architectures were trained.
        tasks: the curves of each task's trainings.
        files: the table and its sha256.
        uses_target: whether trainings were left out because of the target.
    """

    uses_evaluator: bool = False

    def __init__(
        self,
        name: str,
        space: SearchSpace,
        tasks: Sequence[Sequence[Sequence[TrainedEpoch]]],
        files: Mapping[str, str],
        uses_target: bool,
    ) -> None:
        self._name, self._space, self._tasks, self._files = name, space, tasks, files
        self.uses_target = uses_target

    def problem(self, epoch: int) -> tuple[Task, Measuring]:
        """The tasks take turns."""
        curves = self._tasks[epoch % len(self._tasks)]
        row = curves[0][-1]
        name, sizes = row.task, (row.valid_images, row.train_images)
        task = Task(name, row.classes, row.image_px, name, name, *sizes)
        return task, NearestRecorded(curves, self._space, task)

    @property
    def label(self) -> str:
        """Such as ``recorded(25 tasks, 500 trainings)``."""
        trainings = sum(map(len, self._tasks))
        return f"{self._name}({len(self._tasks)} tasks, {trainings} trainings)"

    @property
    def files(self) -> Mapping[str, str]:
        """The table and its sha256."""
        return self._files


def _protocol(row: TrainedEpoch) -> tuple[object, ...]:
    """What trainings share whose accuracies can be compared."""
    return row.task, row.images, row.channels, row.cells, row.recipe, row.epochs, row.seed
