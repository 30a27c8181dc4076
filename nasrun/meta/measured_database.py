"""Records for MetaD2A to learn from that are measured when they are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any

import numpy as np

from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.meta.subset_records import OfSubsets
from nasrun.progress import stage
from nasrun.ranges import require_at_least, require_not_negative, require_within
from nasrun.spec import (
    Archs,
    Database,
    Evaluator,
    Features,
    Floats,
    Measuring,
    Records,
    SearchSpace,
    Streams,
    Task,
    drawn_from,
    source_of,
)


@dataclass
class MeasuredDatabase(Database):
    """Random architectures on random subsets of a supernet's classes, with its weights.

    How Lee et al. (ICLR 2021, section 4.2) made their records in MobileNetV3's space, with weights
    of a once-for-all network and nothing trained ([MC] ``MetaD2A_mobilenetV3``). The search's own
    evaluator measures, with so many ``epochs``. ``networks`` architectures are drawn for each of
    ``tasks`` subsets, whose number of classes is one of ``class_counts``. Where the authors drew
    new networks for the generator, and took the one of 10 with the best *predicted* score, it
    learns here from the best *measured* one of each subset.

    The target must have no class that the supernet knows.

    Raises:
        ConfigError: no features; no numbers of classes; a field out of its range.
    """

    name: str = "measured_database"
    features: Any = field(default=None)  # Features of any class
    epochs: int = 0
    class_counts: list[int] = field(default_factory=lambda: [10, 20])
    tasks: int = 100
    networks: int = 10
    pictures: int = 100
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        require_at_least(self, "meta", 2, "pictures", "class_counts", "networks")
        require_at_least(self, "meta", 1, "tasks")
        require_within(self, "meta", "[0, 1)", "held_out")
        require_not_negative(self, "meta", "epochs", "seed")
        if not isinstance(self.features, Features):
            raise ConfigError("meta.features must be features: choose some with features=NAME")
        if not self.class_counts:
            raise ConfigError("meta.class_counts must hold numbers of at least 2, got none")

    def opened(self, space: SearchSpace, target: Task, evaluator: Evaluator) -> "MeasuredNow":
        """The records, which are measured when somebody learns from them.

        Raises:
            UnsupportedError: the networks of the evaluator begin with nothing.
            ConfigError: more classes than there are; records of the target's own classes.
        """
        source = evaluator.begins_with
        if source is None or not is_dataclass(evaluator):
            raise UnsupportedError(
                "meta=measured_database measures networks that begin with the weights of a "
                f"supernet, which those of evaluator={evaluator.name} do not: use "
                "evaluator=once_for_all"
            )
        if max(self.class_counts) > source.classes:
            raise ConfigError(
                f"meta.class_counts asks for {max(self.class_counts)} classes, but the supernet "
                f"knows {source.classes}: lower it"
            )
        known, own = drawn_from(source.name)[1], drawn_from(target.name)[1]
        same = source_of(source.name) == source_of(target.name)  # also where one is a part of it
        if same and (known is None or own is None or set(known) & set(own)):
            raise ConfigError(
                f"the supernet and the records would know classes of task={target.name}: name "
                "them all in evaluator.left_out"
            )
        return MeasuredNow(self, space, source, replace(evaluator, epochs=self.epochs))


class MeasuredNow(OfSubsets[MeasuredDatabase]):
    """Random architectures on random subsets of a source's classes, which an evaluator measures.

    Its sessions put what they measure on record, so that asking again measures nothing twice.

    Args:
        pool: what the config says.
        space: of the architectures.
        source: whose classes the subsets have.
        evaluator: that measures.
    """

    uses_evaluator = True

    def __init__(
        self, pool: MeasuredDatabase, space: SearchSpace, source: Task, evaluator: Evaluator
    ) -> None:
        super().__init__(pool, space, source)
        self._evaluator = evaluator

    def records(self) -> Records:
        """Those with a score; the same ones whenever they are asked for."""
        archs, scores, tasks = list[Archs](), list[Floats](), list[tuple[int, ...]]()
        with stage("records", parts=self._pool.tasks) as own:
            for number in range(self._pool.tasks):
                own.begin(number)
                classes, drawn = self.classes(number), self._drawn(number)
                task = self._source.subset(classes)
                session: Measuring = self._evaluator.opened(self._space, task)
                epochs = np.full(len(drawn), session.fidelities[-1])
                streams = Streams([number] * len(drawn), f"{self._pool.name}/scores")
                score = session.evaluate(drawn, epochs=epochs, streams=streams).score
                score = session.metric.oriented(score)
                scored = ~np.isnan(score)
                archs.append(drawn[scored])
                scores.append(score[scored])
                tasks += [classes] * int(scored.sum())
        if not tasks:
            raise DataError(
                f"evaluator={self._evaluator.name} scored none of the networks to learn "
                "from: the column failure of trainings.csv in cache_dir says why"
            )
        return self.of(np.concatenate(archs), np.concatenate(scores), tasks)

    def classes(self, number: int) -> tuple[int, ...]:
        """Those of a subset, ascending, counted within the source."""
        pool = self._pool
        streams = Streams([pool.seed], f"{pool.name}/classes/{number}")
        count = pool.class_counts[int(streams.integers(len(pool.class_counts))[0, 0])]
        return tuple(np.sort(streams.subsets(self._source.classes, count)[0]).tolist())

    def _drawn(self, number: int) -> Archs:
        """``(networks, L)`` random architectures for a subset."""
        streams = Streams([self._pool.seed], f"{self._pool.name}/networks/{number}")
        return np.concatenate([self._space.sample(streams) for _ in range(self._pool.networks)])

    @property
    def label(self) -> str:
        """Such as ``measured_database(1000 by once_for_all, 180 classes of in16)``."""
        pool, name = self._pool, drawn_from(self._source.name)[0]
        count = pool.tasks * pool.networks
        what = f"{count} by {self._evaluator.name}, {self._source.classes} classes of {name}"
        return f"{pool.name}({what})"

    @property
    def files(self) -> Mapping[str, str]:
        """The pictures and their sha256."""
        return self._source.load().files
