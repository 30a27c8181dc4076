"""The settings of a tuning."""

from dataclasses import dataclass, field

from nasrun.errors import ConfigError
from nasrun.ranges import require_at_least, require_not_negative


@dataclass
class Settings:
    """The settings of a tuning, ``hydra.sweeper``.

    Raises:
        ConfigError: no tasks, a task on both sides, counts below 1, or a negative seed.
    """

    tasks: list[str] = field(default_factory=list[str])  # tuned on
    report_tasks: list[str] = field(default_factory=list[str])  # none of those tuned on
    params: dict[str, str] = field(default_factory=dict[str, str])  # key -> Hydra sweep
    configurations: int = 30
    parallel: int = 1
    startup: int = 10
    sampler_seed: int = 0
    seed: int = 1_000_000  # first trial seed of every tuning job
    trials: int = 50  # of every tuning job

    def __post_init__(self) -> None:
        for key in ("tasks", "report_tasks"):
            names = getattr(self, key)
            if not names or len(set(names)) < len(names):
                raise ConfigError(f"hydra.sweeper.{key} must name tasks, each once, got {names}")
        if both := sorted(set(self.tasks) & set(self.report_tasks)):
            raise ConfigError(
                f"{', '.join(both)} is both tuned on and reported, and figures of a task that the "
                "values were chosen on prove nothing: name another in hydra.sweeper.report_tasks"
            )
        counts = ("configurations", "parallel", "startup", "trials")
        require_at_least(self, "hydra.sweeper", 1, *counts)
        require_not_negative(self, "hydra.sweeper", "seed", "sampler_seed")
