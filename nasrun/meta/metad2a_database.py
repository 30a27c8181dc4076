"""Records for MetaD2A to learn from: the published ones, or trainings of one's own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.benchmarks import metad2a_records
from nasrun.benchmarks.checksum import sha256
from nasrun.benchmarks.ilsvrc import sorted_rows
from nasrun.benchmarks.trainings import TrainedEpoch, TrainingLog
from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.meta.subset_records import OfSubsets, classes_of, standardised
from nasrun.ranges import require_at_least, require_not_negative, require_within
from nasrun.spec import (
    Database,
    Evaluator,
    Features,
    Library,
    Records,
    SearchSpace,
    Task,
    metric_named,
    source_of,
)

SHIPPED = Path(__file__).parent / "shipped"


@dataclass
class MetaD2ADatabase(Database):
    """What MetaD2A's generator and predictor learn from, whatever the target.

    Without a ``path``: the published records of Lee et al. (ICLR 2021), 4,630 trainings of cells of
    NAS-Bench-201 on subsets of 20 classes of ImageNet. The pictures behind them are not published
    with them; for each class stands the row that the classifier of ``features`` has for it
    (``classifier_rows``), in the place of pictures. The published predictor records serve the
    generator, too, whose own file is not to be had: it learns from the best of each task.

    With a ``path``: a ``trainings.csv`` of ``evaluator=training``, such as ``meta=recorded`` reads,
    on subsets of the classes of ``source``, whose pictures give the features.

    Raises:
        ConfigError: a path without the source of its pictures; a field out of its range.
    """

    name: str = "metad2a_database"
    path: str | None = None
    source: Any = field(default=None)  # a Task of any class; OmegaConf knows no abstract types
    features: Any = field(default=None)  # Features of any class
    pictures: int = 100
    held_out: float = 0.1
    without: list[str] = field(default_factory=list[str])
    seed: int = 0
    data_dir: str = "."

    def __post_init__(self) -> None:
        require_at_least(self, "meta", 2, "pictures")
        require_within(self, "meta", "[0, 1)", "held_out")
        require_not_negative(self, "meta", "seed")
        if not isinstance(self.features, Features):
            raise ConfigError("meta.features must be features: choose some with features=NAME")
        if self.path is not None and not isinstance(self.source, Task):
            raise ConfigError(
                "meta.path needs the pictures that its networks were trained on: choose them with "
                "+task@meta.source=in16"
            )

    def opened(self, space: SearchSpace, target: Task, evaluator: Evaluator) -> Library:
        """The records, which are read when somebody learns from them.

        Raises:
            UnsupportedError: the published records are of another space.
            ConfigError: the source is the target's own data; a cell to leave out that is none.
        """
        for text in self.without:
            space.parse(text)
        if self.path is not None:
            if source_of(self.source.name) == source_of(target.name):
                raise ConfigError(
                    f"meta.source={self.source.name} is the data of task={target.name} itself: "
                    "choose other trainings with meta.path"
                )
            return OwnTrainings(self, space)
        if space.name != "nb201":
            raise UnsupportedError(
                f"the published records are of space=nb201, not of {space.name}: set meta.path to "
                "trainings of your own"
            )
        return Published(self, space)

    def kept(self, space: SearchSpace, records: Records) -> Records:
        """The records without the cells that are to be left out, in all of their encodings."""
        if not self.without:
            return records
        gone = {space.canonical(space.parse(text)) for text in self.without}
        keep = np.array([space.canonical(arch) not in gone for arch in records.archs])
        return Records(
            records.archs[keep],
            records.score[keep],
            records.dataset[keep],
            records.datasets,
            records.features,
            records.held_out[keep],
            None if records.judgement is None else records.judgement[keep],
            None if records.joint_score is None else records.joint_score[keep],
        )


class Published(Library):
    """MetaD2A's own records, with a classifier's rows for pictures.

    Args:
        pool: what the config says.
        space: NAS-Bench-201.
    """

    def __init__(self, pool: MetaD2ADatabase, space: SearchSpace) -> None:
        self._pool, self._space = pool, space

    def records(self) -> Records:
        """All 4,630, or those that are not to be left out.

        Accuracies are standardised apart for each of the two judgements, whose means are 17 points
        apart; the authors' ``loader.py`` standardises all together. The published permutation says
        which are held out.
        """
        found = metad2a_records.read(Path(self._pool.data_dir).expanduser() / "metad2a")
        rows = self._pool.features.class_rows()[sorted_rows()]
        records = Records(
            archs=np.array([self._space.parse(text) for text in found.cells], np.int64),
            score=standardised(found.accuracy, found.judgement),
            dataset=found.task,
            datasets=[tuple(classes) for classes in found.classes.tolist()],
            features=rows[:, None],
            held_out=found.validation,
            judgement=found.judgement,
            joint_score=standardised(found.accuracy, np.zeros(len(found.accuracy), np.int64)),
        )
        return self._pool.kept(self._space, records)

    @property
    def label(self) -> str:
        """Such as ``metad2a_database(published, classifier_rows of efficientnet_lite0)``."""
        left_out = f", {len(self._pool.without)} cells left out" if self._pool.without else ""
        features = self._pool.features.name
        return f"{self._pool.name}(published, classifier_rows of {features}{left_out})"

    @property
    def files(self) -> Mapping[str, str]:
        """The published files and their sha256, which is asked of them when they are read."""
        return {f"metad2a/{name}": digest for name, digest in metad2a_records.FILES.items()}

    @property
    def shipped(self) -> Path:
        """Where the networks lie that were trained on them."""
        return SHIPPED


class OwnTrainings(OfSubsets[MetaD2ADatabase]):
    """A table of trainings on subsets of a source's classes.

    Args:
        pool: what the config says.
        space: whose architectures were trained.
    """

    def __init__(self, pool: MetaD2ADatabase, space: SearchSpace) -> None:
        super().__init__(pool, space, pool.source)
        self._path = Path(str(pool.path)).expanduser()

    def records(self) -> Records:
        """The last epochs of all trainings on subsets of the source."""
        last = self._last_epochs()
        score = metric_named(last[0].metric).oriented(np.array([row.val_score for row in last]))
        archs = np.array([self._space.parse(row.arch) for row in last], np.int64)
        records = self.of(archs, score, [classes_of(row.task) for row in last])
        return self._pool.kept(self._space, records)

    def _last_epochs(self) -> list[TrainedEpoch]:
        if not self._path.exists():
            raise DataError(
                f"{self._path} is not there: set meta.path to a trainings.csv that "
                "evaluator=training has written"
            )
        source = self._pool.source.name
        last = [
            row
            for row in TrainingLog(self._path).all()
            if row.epoch == row.epochs
            and row.space == self._space.name
            and row.part == "search"
            and row.task.startswith(f"{source}[")
            and not np.isnan(row.val_score)
        ]
        metrics = sorted({row.metric for row in last})
        if len(metrics) > 1:
            raise DataError(
                f"{self._path}: expected scores of one metric, found {', '.join(metrics)}: give "
                "each a file of its own"
            )
        if not last:
            raise DataError(
                f"{self._path}: expected finished trainings of space={self._space.name} on subsets "
                f"of {source}, such as {source}[0,3,7], found none: choose another file with "
                "meta.path, or its pictures with +task@meta.source=NAME"
            )
        return last

    @property
    def label(self) -> str:
        """Such as ``metad2a_database(trainings.csv, pictures of in16)``."""
        return f"{self._pool.name}({self._path.name}, pictures of {self._pool.source.name})"

    @property
    def files(self) -> Mapping[str, str]:
        """The table, the pictures and their sha256."""
        if not self._path.exists():
            self._last_epochs()
        table = sha256(self._path, self._path.with_suffix(".sha256.json"))
        return {f"meta/{self._path.name}": table, **self._pool.source.load().files}
