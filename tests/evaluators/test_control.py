"""Which controllers of a generation are asked whether they solve the task."""

import numpy as np

from nasrun.evaluators.control import ControlSession
from nasrun.nets.evolved import SLOPE
from nasrun.spaces.neat import NeatGenomes
from nasrun.streams import Streams
from nasrun.tasks.double_pole import WithoutVelocities

TASK = ("poles", 1, 1, "-", "-", 1, 1)


class Judged(WithoutVelocities):
    """Fitness is a controller's weight behind the first input. Notes who is asked if it solves."""

    solving: float = np.inf

    def fitness(self, controllers):
        controllers.reset()
        shown = np.zeros((4, len(controllers)))
        shown[0] = 1.0
        output = controllers.act(shown)[0]
        return np.round(np.log(output / (1.0 - output)) / SLOPE, 3)

    def solved(self, controllers, fitness):
        self.asked += fitness.tolist()
        return fitness == self.solving


def session(solving=np.inf):
    space, task = NeatGenomes(inputs=4, cycles=True), Judged(*TASK)
    task.asked, task.solving = [], solving
    return space, task, ControlSession("control", space, task)


def generation(space, *trials):
    """``(T, N, 1)`` genomes whose first weight is given."""
    return np.stack(
        [[space.parse(f"i0>o0:{weight:.4f};") for weight in members] for members in trials]
    )


def ask(own, archs, seeds):
    epochs = np.zeros(len(archs), np.int64)
    solved = own.evaluate_generation(archs, epochs=epochs, streams=Streams(seeds)).solved
    assert solved is not None
    return solved


def test_the_best_that_was_not_asked_before_is_put_to_the_test():
    space, task, own = session()
    first = generation(space, [1, 3, 2])
    for expected in ([3.0], [3.0, 2.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]):
        assert not ask(own, first, [0]).any()
        assert task.asked == expected
    ask(own, generation(space, [1, 3, 2.5]), [0])
    assert task.asked == [3.0, 2.0, 1.0, 2.5]


def test_a_trial_that_has_solved_the_task_is_not_asked_again():
    space, task, own = session(solving=2.0)
    archs = generation(space, [1, 3, 2])
    assert not ask(own, archs, [0]).any()
    for _ in range(3):
        assert ask(own, archs, [0]).tolist() == [[False, False, True]]
    assert task.asked == [3.0, 2.0]


def test_what_is_asked_does_not_depend_on_who_else_is_in_the_cohort():
    """Each trial has its own turn, also where another has asked the same genome."""
    members = [1, 3, 2], [3, 5, 1]
    space, task, own = session(solving=1.0)
    both = [ask(own, generation(space, *members), [7, 8]).tolist() for _ in range(3)]
    # The last of both is asked once: its answer is known.
    assert sorted(task.asked) == [1.0, 2.0, 3.0, 5.0]
    for at, seed in enumerate([7, 8]):
        space, task, own = session(solving=1.0)
        alone = [ask(own, generation(space, members[at]), [seed]).tolist() for _ in range(3)]
        assert [step[0] for step in alone] == [step[at] for step in both]
