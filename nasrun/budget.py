"""How much a trial may spend."""

from dataclasses import dataclass, replace
from enum import Enum

from nasrun.ranges import require_positive

UNLIMITED = 50  # evaluations where nothing limits a trial


class Edge(Enum):
    """What becomes of the evaluation that crosses a time budget.

    Members of enums that configs use are lower-case, because OmegaConf reads them by name.
    """

    keep = "keep"
    drop = "drop"


@dataclass
class Budget:
    """How much a trial may spend. The first limit that is reached ends the trial.

    Raises:
        ConfigError: a limit that is not positive, or not finite.
    """

    evaluations: int | None = None  # measurements; of a one-shot method: epochs
    simulated_s: float | None = None  # seconds by the evaluator's own account (cost_s)
    wall_s: float | None = None  # seconds by this machine's clock, for the whole cohort
    edge: Edge = Edge.keep
    charge_repeats: bool = True  # False: measuring an architecture again costs nothing
    charge_startup: bool = True  # False: the initial population or history costs nothing

    def __post_init__(self) -> None:
        require_positive(self, "budget", "evaluations", "simulated_s", "wall_s")

    def within(self, planned: int | None, a_step: int = 1) -> "Budget":
        """This budget for a method that plans so many steps by itself (None: it goes on for ever).

        A budget without any limit is the method's own plan, or 50 steps of ``a_step`` evaluations.
        """
        if planned is not None:
            planned *= a_step
            return replace(self, evaluations=min(planned, self.evaluations or planned))
        if self.evaluations is self.simulated_s is self.wall_s is None:
            return replace(self, evaluations=UNLIMITED * a_step)
        return self
