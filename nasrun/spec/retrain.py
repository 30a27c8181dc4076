"""The retrain stage's settings."""

from dataclasses import dataclass, field

from nasrun.errors import ConfigError


@dataclass
class Retrain:
    """How the found architectures are scored in the end.

    Raises:
        ConfigError: a task that stands twice, whose rows would too.
    """

    tasks: list[str] = field(default_factory=list[str])  # task names; empty: the searched task
    export: list[str] = field(default_factory=list[str])  # file formats of the trained networks

    def __post_init__(self) -> None:
        if len(set(self.tasks)) < len(self.tasks):
            raise ConfigError(
                f"retrain.tasks must name each task once, got {', '.join(self.tasks)}"
            )
