"""Meta-training on trainings that were recorded before."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nasrun.benchmarks.checksum import sha256
from nasrun.benchmarks.trainings import TrainedEpoch, TrainingLog
from nasrun.errors import DataError
from nasrun.meta.base import require_sizes, source_of
from nasrun.meta.nearest import NearestRecorded
from nasrun.spec import Evaluator, MetaPool, SearchSpace, Task


@dataclass
class Recorded(MetaPool):
    """The tasks of a table of trainings, in turn; nothing is trained.

    The table is a ``trainings.csv``, as ``evaluator=training`` writes it, for instance while
    ``meta=image_subsets`` meta-trains on a GPU. An agent that asks for another architecture than
    those on record is told about the nearest one; see ``NearestRecorded``. Trainings of a task that
    differ in images, scale, recipe, length or seed cannot be compared; they are tasks of their own.
    The target's data set is left out, and with it every task of some of its classes.

    Raises:
        ConfigError: sizes that mean nothing.
    """

    name: str = "recorded"
    path: str = "trainings.csv"
    agents: int = 10
    epochs: int = 25
    networks: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        require_sizes(self)

    def start(self, space: SearchSpace, target: Task, evaluator: Evaluator) -> None:
        """Read the table; trainings on the target's data and unfinished ones are left out.

        Raises:
            DataError: there is no such file, or nothing in it to learn from.
        """
        path = Path(self.path).expanduser()
        if not path.exists():
            raise DataError(
                f"{path} is not there: set meta.path to a trainings.csv that evaluator=training "
                "has written"
            )
        self._space = space
        self._files = {f"meta/{path.name}": sha256(path, path.with_suffix(".sha256.json"))}
        curves: dict[str, list[TrainedEpoch]] = {}
        for row in TrainingLog(path).all():
            others = source_of(row.task) != source_of(target.name)
            if row.space == space.name and row.part == "search" and others:
                curves.setdefault(row.training, []).append(row)
        self._tasks: dict[tuple[object, ...], list[list[TrainedEpoch]]] = {}
        for curve in curves.values():
            if curve[-1].epoch == curve[-1].epochs:
                self._tasks.setdefault(_protocol(curve[-1]), []).append(curve)
        if not self._tasks:
            raise DataError(
                f"{path}: expected finished trainings of space={space.name} on other data than "
                f"{target.name}, found none: choose another file with meta.path"
            )

    def problem(self, epoch: int) -> tuple[Task, Evaluator]:
        """The tasks take turns, in the order of the file."""
        curves = list(self._tasks.values())[epoch % len(self._tasks)]
        row = curves[0][-1]
        name, sizes = row.task, (row.valid_images, row.train_images)
        task = Task(name, row.classes, row.image_px, name, name, *sizes)
        evaluator = NearestRecorded(self.name, curves)
        evaluator.start(self._space, task)
        return task, evaluator

    @property
    def label(self) -> str:
        """Such as ``recorded(25 tasks, 500 trainings)``."""
        trainings = sum(map(len, self._tasks.values()))
        return f"{self.name}({len(self._tasks)} tasks, {trainings} trainings)"

    def files(self) -> Mapping[str, str]:
        """The table and its sha256."""
        return self._files


def _protocol(row: TrainedEpoch) -> tuple[object, ...]:
    """What trainings share whose accuracies can be compared."""
    return row.task, row.images, row.channels, row.cells, row.recipe, row.epochs, row.seed
