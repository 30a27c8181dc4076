"""Tasks whose examples are vectors: what programs learn from."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nasrun.ranges import require_at_least, require_not_negative
from nasrun.spec.metric import ACCURACY, Metric, metric_named
from nasrun.spec.task import Task

if TYPE_CHECKING:
    from nasrun.programs.interpreter import Examples


@dataclass
class VectorTask(Task):
    """Several small data sets of vectors with a number each; one score is their mean.

    ``train_images`` and ``valid_images`` count the examples of each that a program learns from and
    is judged on. ``final_split`` names other data sets of the kind.

    Args:
        features: length of a vector.
        sets: data sets of the search.
        final_sets: data sets that final figures come from.
        seed: of the data sets, both those of the search and the final ones.
    """

    features: int = 4
    sets: int = 10
    final_sets: int = 10
    seed: int = 0

    two_classes: ClassVar[bool] = False  # True: the number is a class, 0 or 1, and no value

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "task", 1, "features", "sets", "final_sets")
        require_not_negative(self, "task", "seed")

    @property
    def metric(self) -> Metric:
        """Accuracy of two classes; of values 1 - (2 / pi) atan(RMSE), as in AutoML-Zero."""
        return ACCURACY if self.two_classes else metric_named("fitness")

    @property
    def files(self) -> Mapping[str, str]:
        """None, where vectors are made up."""
        return {}

    @abstractmethod
    def examples(self, *, final: bool) -> "Examples":
        """Those of the search, or the others, which no search may see."""
