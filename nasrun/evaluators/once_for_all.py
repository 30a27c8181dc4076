"""Networks that begin with a once-for-all network's weights, as an evaluator."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from nasrun.errors import ConfigError
from nasrun.evaluators.training import Training
from nasrun.ranges import require_at_least
from nasrun.spec import Algorithm, SearchSpace, Task

if TYPE_CHECKING:
    from nasrun.evaluators.once_for_all_session import OnceForAllSession


@dataclass
class OnceForAllWeights(Training):
    """As ``evaluator=training``, but every network is cut out of one supernet, and fine-tuned.

    Cai et al., "Once-for-All" (ICLR 2020); so do NSGANetV2 (Lu et al., ECCV 2020) and MetaD2A's
    search in MobileNetV3's space (Lee et al., ICLR 2021, section 4.2). ``supernet``, a method that
    shares weights, trains it on the pictures of ``source`` once; it stays in ``cache_dir``. Classes
    ``left_out`` are not shown to it, so that a task of them is a new data set.

    A task whose classes are among the supernet's begins with their rows of the classifier, any
    other with a classifier that is drawn. With ``epochs=0`` nothing is fine-tuned: a network is
    judged as it is cut out, which needs such rows, as MetaD2A's records were made ([MC]
    ``MetaD2A_mobilenetV3``). Normalisation takes its statistics from ``calibrated_on`` images of
    the task, in whole batches of 1,000; the seconds of that and of the supernet are not charged.

    Final figures are those of networks that begin with the supernet's weights, too.

    Raises:
        ConfigError: no source or supernet; networks trained side by side; classes to leave out that
            the source does not have; see ``Training`` for the others.
    """

    name: str = "once_for_all"
    epochs: int = 2
    score_epochs: int | None = 10
    source: Any = field(default=None)  # a Task of any class; OmegaConf knows no abstract types
    left_out: list[int] = field(default_factory=list[int])
    supernet: Any = field(default=None)  # an Algorithm of any class
    calibrated_on: int = 2000

    least_epochs: ClassVar[int] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "evaluator", 1, "calibrated_on")
        if not isinstance(self.source, Task):
            raise ConfigError(
                "evaluator.source must be a task whose pictures train the supernet: choose one "
                "with task@evaluator.source=in32"
            )
        if not (isinstance(self.supernet, Algorithm) and self.supernet.trains):
            raise ConfigError(
                "evaluator.supernet must be a method that trains shared weights: choose one with "
                "algorithm@evaluator.supernet=sandwich"
            )
        if self.parallel > 1:
            raise ConfigError(
                f"evaluator=once_for_all trains in one process, got evaluator.parallel="
                f"{self.parallel}: set it to 1"
            )
        if not set(self.left_out) < set(range(self.source.classes)):
            raise ConfigError(
                f"evaluator.left_out must name some of the {self.source.classes} classes of "
                f"{self.source.name}, counted from 0, got {self.left_out}"
            )
        out = set(self.left_out)
        kept = [label for label in range(self.source.classes) if label not in out]
        self._shown = self.source.subset(kept) if out else self.source  # its pictures read once

    @property
    def begins_with(self) -> Task:
        """What the supernet is trained on: the source without the classes that are left out."""
        return self._shown

    def opened(self, space: SearchSpace, task: Task) -> "OnceForAllSession":
        """A task's images; the supernet is trained for the first network, unless it is cached.

        Raises:
            DataError: the images cannot be read.
            UnsupportedError: a space without such a supernet; nothing is to be fine-tuned, and the
                task has other classes.
            ConfigError: a device that is not there; some classes of the task, but not all, are the
                supernet's.
        """
        from nasrun.evaluators.once_for_all_session import OnceForAllSession

        return OnceForAllSession(self, space, task)
