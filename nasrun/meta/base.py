"""What pools of meta-training tasks share."""

from nasrun.errors import ConfigError
from nasrun.spec import MetaPool


def require_sizes(pool: MetaPool) -> None:
    """Refuse a pool without agents, epochs or networks, or with a negative seed.

    Raises:
        ConfigError: names the field and its value.
    """
    for key in ("agents", "epochs", "networks"):
        if getattr(pool, key) < 1:
            raise ConfigError(f"meta.{key} must be at least 1, got {getattr(pool, key)}")
    if pool.seed < 0:
        raise ConfigError(f"meta.seed must not be negative, got {pool.seed}")


def source_of(task: str) -> str:
    """Name of the data set that a task is, or takes its classes from: before the bracket."""
    return task.partition("[")[0]
