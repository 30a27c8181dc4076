"""What pools of meta-training tasks share."""

from nasrun.ranges import require_at_least, require_not_negative
from nasrun.spec import MetaPool


def require_sizes(pool: MetaPool) -> None:
    """Refuse a pool without agents, epochs or networks, or with a negative seed.

    Raises:
        ConfigError: names the field and its value.
    """
    require_at_least(pool, "meta", 1, "agents", "epochs", "networks")
    require_not_negative(pool, "meta", "seed")
