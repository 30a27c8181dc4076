"""The one loop: step an algorithm until every trial's budget is spent."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nasrun.budget import Budget, Edge
from nasrun.errors import ConfigError
from nasrun.meter import Meter
from nasrun.record.history import History
from nasrun.spec import Algorithm, Archs, Floats, Ints, Measured, Phase, Policy, Problem, Streams

# How far a run is: trials finished, measurements counted so far, best reward so far.
Watch = Callable[[int, int, float], None]


@dataclass(frozen=True)
class Outcome:
    """What ``T`` trials found and spent; ``wall_s`` is this machine's time until each finished.

    ``failed`` counts those of the ``evaluations`` that gave no score.

    ``fronts`` has each trial's best compromises ``(k, L)``, if the algorithm names them;
    ``policy`` what its policy was when each trial ended (a last measurement that the budget drops
    included), if it has one.
    """

    archs: Archs
    reward: Floats
    evaluations: Ints
    clock_s: Floats
    wall_s: Floats
    failed: Ints
    fronts: list[Archs] | None = None
    policy: Policy | None = None


def play(
    algorithm: Algorithm,
    problem: Problem,
    budget: Budget,
    streams: Streams,
    phase: Phase,
    history: History,
    watch: Watch | None = None,
) -> Outcome:
    """Step an algorithm until every trial's budget is spent. Owns the clock.

    A trial whose budget is spent, or whose task is solved, goes on being stepped with the others;
    nothing of it is counted.

    Raises:
        ConfigError: the budget ends before the first measurement, or costs are unknown.
    """
    algorithm.start(problem, streams, phase)
    planned_steps = algorithm.planned_steps if phase is Phase.SEARCH else None
    budget = budget.within(planned_steps, algorithm.evaluations_a_step)
    meter = Meter(budget, problem.trials, algorithm.startup_steps, planned_steps)
    archs: Archs = np.zeros((problem.trials, len(problem.space.decisions)), np.int64)
    fronts: list[Archs] | None = None
    policy: Policy | None = None
    best = -np.inf
    while not meter.finished.all():
        # A measurement that is dropped must not be in a front, nor keep those out that it beats.
        before = algorithm.front() if budget.edge is Edge.drop and len(history) else None
        measured = algorithm.step()
        _require_cost(measured, budget)
        finished = meter.finished
        counted, measured = meter.charge(measured)
        if not len(history) and not counted.all():
            raise _nothing_fits(budget, measured)
        history.add(phase, measured, counted, meter.clock_s, meter.evaluations)
        archs = np.where(counted[:, None], algorithm.recommend(), archs)
        ended = meter.finished & ~finished
        if ended.any() and (found := algorithm.front()) is not None:
            # A trial that has finished goes on being stepped: what it finds then does not count.
            fronts = list(found) if fronts is None else fronts
            for trial in np.flatnonzero(ended):
                last = found if before is None or counted[trial] else before
                fronts[trial] = last[trial]
        if ended.any() and (now := algorithm.policy()) is not None:
            policy = now if policy is None else policy.taken_from(now, ended)
        if watch is not None:
            best = float(np.fmax.reduce(np.append(measured.reward[counted], best)))
            watch(int(meter.finished.sum()), int(meter.evaluations.sum()), best)
    reward = history.reward_of(archs)
    spent = meter.evaluations, meter.clock_s, meter.wall_s, meter.failed
    return Outcome(archs, reward, *spent, fronts, policy)


def _nothing_fits(budget: Budget, measured: Measured) -> ConfigError:
    """The sentence for a budget that ends before the first measurement."""
    cost_s, limit_s = float(np.fmax.reduce(measured.cost_s)), budget.simulated_s
    if limit_s is not None and cost_s > limit_s:
        what = f"the first evaluation costs {cost_s:.0f} s, more than budget.simulated_s={limit_s}"
    else:
        what = f"the first evaluation takes longer than budget.wall_s={budget.wall_s}"
    return ConfigError(f"{what}: give more, or budget.edge=keep")


def _require_cost(measured: Measured, budget: Budget) -> None:
    """Refuse a time budget where a successful measurement has no known cost."""
    if (
        budget.simulated_s is not None
        and (np.isnan(measured.cost_s) & ~np.isnan(measured.score)).any()
    ):
        raise ConfigError(
            "budget.simulated_s needs a source with training times, and some architectures have "
            "none: set budget.evaluations instead"
        )
