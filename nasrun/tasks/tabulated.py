"""Tasks that a benchmark's table knows and whose images are not at hand."""

from dataclasses import dataclass

from nasrun.spec import Metric, Task, metric_named


@dataclass
class Tabulated(Task):
    """A task of a benchmark that publishes figures only.

    ``scored_by`` names what they are; the table's own ``metrics`` must say the same.

    Raises:
        ConfigError: a count below 1.
    """

    scored_by: str = "accuracy_pct"

    @property
    def metric(self) -> Metric:
        """What ``scored_by`` names."""
        return metric_named(self.scored_by)
