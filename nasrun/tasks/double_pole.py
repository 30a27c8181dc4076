"""Balance two poles of different lengths on a cart, with and without their velocities."""

from abc import abstractmethod
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np

from nasrun.ranges import require_at_least, require_within
from nasrun.spec import Controllers, ControlTask, Floats, Ints, Mask
from nasrun.tasks.poles import FALLEN, Balanced, Shown, State, balance

PCT = 100.0
GRID = (0.05, 0.25, 0.5, 0.75, 0.95)  # of each range of the 625 starts
RANGES = (2.16, 1.35, np.radians(3.6), np.radians(8.6))  # of x, its speed, the angle, its speed
DAMPED = 100  # last actions whose wobble is punished, and the fewest to earn that part


class DoublePole(ControlTask):
    """What both variants share: the system, the long run and the other starts.

    Stanley and Miikkulainen (2002), section 4.3 and 4.4 (recalled), with Gruau's criteria. The long
    pole starts at an angle of ``tilt`` rad, all else at rest.
    """

    actions: int
    trial: int
    tilt: float

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "task", 1, "actions", "trial")
        require_within(self, "task", f"[-{FALLEN:.4f}, {FALLEN:.4f}]", "tilt")

    @abstractmethod
    def _shown(self, state: State) -> State:
        """What a controller sees of a state."""

    def _run(self, controllers: Controllers, actions: int, kept: int = 0) -> Balanced:
        start = np.zeros((6, len(controllers)))
        start[2] = self.tilt
        shown: Shown = self._shown
        return balance(controllers, start, shown, actions, kept)

    def generalises(self, controllers: Controllers) -> Ints:
        """``(n,)`` from how many of the 625 starts each keeps the poles up for ``trial`` actions.

        They form a grid over position, speed, and angle and its speed of the long pole.
        """
        points = np.array([2.0 * share - 1.0 for share in GRID])
        start = np.zeros((6, len(GRID) ** 4))
        axes = [limit * points for limit in RANGES]
        start[:4] = np.array(list(product(*axes))).T
        each = np.repeat(np.arange(len(controllers)), start.shape[1])
        starts = np.tile(start, len(controllers))
        lasted = balance(controllers.of(each), starts, self._shown, self.trial).lasted
        return (lasted >= self.trial).reshape(len(controllers), -1).sum(axis=1)

    def achieved(self, controllers: Controllers) -> tuple[Floats, Floats]:
        """Percent of the long run that each lasts, and of the 625 starts that it masters."""
        lasted = self._run(controllers, self.actions).lasted
        return PCT * lasted / self.actions, PCT * self.generalises(controllers) / len(GRID) ** 4


@dataclass
class WithVelocities(DoublePole):
    """All six numbers of the state are shown, scaled as in goNEAT, with a bias of 0.5.

    Fitness is the number of actions (0.02 s each) until a pole falls or the cart leaves the track;
    the task is solved at ``actions`` of them. The long pole starts at one degree (recalled).
    """

    inputs: int = 7
    actions: int = 100_000
    trial: int = 1000
    tilt: float = 0.017453292519943295

    _scales: ClassVar[tuple[float, ...]] = (4.8, 2.0, 0.52, 2.0, 0.52, 2.0)

    def _shown(self, state: State) -> State:
        scaled = [part / scale for part, scale in zip(state, self._scales, strict=True)]
        return (*scaled, 0.0 * state[0] + 0.5)

    def fitness(self, controllers: Controllers) -> Floats:
        """``(n,)`` actions until failure."""
        return self._run(controllers, self.actions).lasted.astype(np.float64)

    def solved(self, controllers: Controllers, fitness: Floats) -> Mask:
        """``(n,)`` whether none was a failure."""
        return fitness >= self.actions


@dataclass
class WithoutVelocities(DoublePole):
    """Position and both angles alone are shown, with a bias of 1: a network needs memory.

    Fitness is Gruau's: 0.1 t / 1000 + 0.9 f, t up to 1,000 actions, f = 0 if t < 100, or else 0.75
    over the sum of |x| + |its speed| + |long pole's angle| + |its speed| in the last 100 of them,
    so that cart and poles must come to rest. Of each generation the best that was not yet is put to
    the test: it has to last ``actions`` and to master at least ``starts`` of the 625 starts.

    The long pole starts at 0.07 rad, as in Stanley's C++ (whose comment beside it says one degree).
    From one degree networks become as fit that can do no more than hold still what hardly moves:
    they last 1,000 actions, and fail from almost all of the other starts.
    """

    inputs: int = 4
    memory: bool = True
    actions: int = 100_000
    trial: int = 1000
    tilt: float = 0.07
    starts: int = 200

    champions: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "task", DAMPED, "actions", "trial")
        require_within(self, "task", "[0, 625]", "starts")

    def _shown(self, state: State) -> State:
        x, _, first, _, second, _ = state
        return x / 4.8, first / 0.52, second / 0.52, 0.0 * x + 1.0

    def fitness(self, controllers: Controllers) -> Floats:
        """``(n,)`` Gruau's fitness."""
        lasted, wobble = self._run(controllers, self.trial, DAMPED)
        rest = np.where(lasted < DAMPED, 0.0, 0.75 / np.sum(wobble, axis=1))
        return 0.1 * lasted / self.trial + 0.9 * rest

    def solved(self, controllers: Controllers, fitness: Floats) -> Mask:
        """``(n,)`` which master enough starts and last long."""
        solved = self.generalises(controllers) >= self.starts
        some = np.flatnonzero(solved)
        if len(some):
            solved[some] = self._run(controllers.of(some), self.actions).lasted >= self.actions
        return solved
