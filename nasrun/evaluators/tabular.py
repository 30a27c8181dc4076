"""Look-ups in a table of measured figures, with the table's own account of time."""

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from nasrun.benchmarks.source import Source
from nasrun.errors import ConfigError
from nasrun.ranges import require_at_least
from nasrun.spec import Clock, Evaluator, SearchSpace, Task

if TYPE_CHECKING:
    from nasrun.evaluators.tabular_session import TabularSession

LAST = "last"  # in place of a number of epochs: those of the longest training


class MissingRun(Enum):
    """What stands in for a training run that the table lacks."""

    mean = "mean"  # mean over the architecture's other runs
    error = "error"  # refuse to search


@dataclass
class Tabular(Evaluator):
    """A benchmark table as evaluator.

    The cost of a query is its training epochs plus one validation pass, in the seconds that the
    table reports, averaged over runs ([A] R_EA.py, [N] api_utils.py; those draw one run's seconds).

    Raises:
        ConfigError: a reward other than ``val@EPOCHS`` or ``val@last``, or epochs below 1.
    """

    name: str = "tabular"
    tables: dict[str, Source] = field(default_factory=dict[str, Source])
    sources: list[str] = field(default_factory=list[str])  # names in tables; empty: all at hand
    cache_dir: str = ""
    reward: str = "val@last"
    run: str = "mean"
    missing_run: MissingRun = MissingRun.mean
    charge_validation: bool = True
    charge_epochs: int | None = None  # epochs a full query pays for; None: those of the reward
    score_epochs: int | None = None  # training behind the final figures; None: the longest there is
    score_run: str = "mean"

    clock: ClassVar[Clock] = Clock.SIMULATED

    def __post_init__(self) -> None:
        metric, _, epochs = self.reward.partition("@")
        if metric != "val" or not (epochs == LAST or (epochs.isdecimal() and int(epochs) > 0)):
            raise ConfigError(
                "evaluator.reward must be val@EPOCHS, such as val@12, or val@last, got "
                f"{self.reward!r}"
            )
        require_at_least(self, "evaluator", 1, "charge_epochs", "score_epochs")

    @property
    def schedule(self) -> int | None:
        """Epochs of the training that the reward comes from; None: the longest that there is."""
        epochs = self.reward.partition("@")[2]
        return None if epochs == LAST else int(epochs)

    def opened(self, space: SearchSpace, task: Task) -> "TabularSession":
        """The table, with the columns of the reward and its cost.

        Raises:
            ConfigError: the sources lack what the protocol asks for; says which and what to do.
            DataError: a source cannot be read.
        """
        from nasrun.evaluators.tabular_session import TabularSession

        return TabularSession(self, space, task)
