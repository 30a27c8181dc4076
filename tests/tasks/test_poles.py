"""The physics of two poles on a cart, against other formulations and a step ten times as fine."""

import numpy as np
import pytest
from omegaconf import OmegaConf

from nasrun.errors import ConfigError
from nasrun.files import CONF
from nasrun.nets.evolved import Evolved, Wiring
from nasrun.tasks import poles
from nasrun.tasks.double_pole import WithoutVelocities, WithVelocities

TASK = ("poles", 1, 1, "-", "-", 1, 1)
RNG = np.random.default_rng(0)


def states(n):
    scale = np.array([2.0, 2.0, 0.5, 2.0, 0.5, 2.0])[:, None]
    return scale * RNG.uniform(-1, 1, (6, n))


def by_lagrange(state, force):
    """Accelerations from the linear equations of the Lagrangian, frictions as torques.

    Of a pole of mass m and half-length l about its hinge, with an angle of zero upright:
    (M + sum m) x'' + sum m l (a'' cos a - a'^2 sin a) = F,
    m l cos a x'' + 4/3 m l^2 a'' - m g l sin a = -friction a'.
    """
    matrix, right = np.zeros((3, 3)), np.zeros(3)
    matrix[0, 0], right[0] = poles.CART_KG, force
    for pole, (m, half) in enumerate(poles.POLES):
        angle, turn = state[2 + 2 * pole], state[3 + 2 * pole]
        matrix[0, 0] += m
        matrix[0, pole + 1] = matrix[pole + 1, 0] = m * half * np.cos(angle)
        matrix[pole + 1, pole + 1] = 4 / 3 * m * half**2
        right[0] += m * half * turn**2 * np.sin(angle)
        right[pole + 1] = m * 9.8 * half * np.sin(angle) - poles.HINGE * turn
    return np.linalg.solve(matrix, right)


def test_accelerations_are_those_of_the_lagrangian():
    each = states(50)
    forces = RNG.uniform(-10, 10, 50)
    found = np.array(poles.accelerations(tuple(each), forces))
    expected = np.array([by_lagrange(s, f) for s, f in zip(each.T, forces, strict=True)]).T
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


def test_masses_are_those_of_the_paper_and_not_of_the_port():
    assert poles.POLES == ((0.1, 0.5), (0.01, 0.05))
    assert (poles.CART_KG, poles.TRACK_M, poles.FORCE_N) == (1.0, 2.4, 10.0)


def test_the_series_are_sine_and_cosine():
    angle = np.linspace(-0.9, 0.9, 1001)
    np.testing.assert_allclose(poles.sine(angle, angle**2), np.sin(angle), rtol=0, atol=3e-16)
    np.testing.assert_allclose(poles.cosine(angle**2), np.cos(angle), rtol=0, atol=3e-16)


def test_a_tick_is_of_the_fourth_order():
    start = tuple(0.3 * states(20))

    def after(steps):
        state = start
        for _ in range(steps):
            state = poles.tick(state, 3.0, 0.02 / steps)
        return np.array(state)

    exact = after(64)
    errors = [np.abs(after(steps) - exact).max() for steps in (1, 2, 4)]
    assert 10 < errors[0] / errors[1] < 25
    assert 10 < errors[1] / errors[2] < 25


def test_floats_and_arrays_have_the_same_bits():
    each, actions = states(40), RNG.uniform(0, 1, 40)
    together = np.array(poles.pushed(tuple(each), actions))
    alone = [
        poles.pushed(tuple(map(float, s)), float(a)) for s, a in zip(each.T, actions, strict=True)
    ]
    assert together.T.tolist() == [list(one) for one in alone]


def networks(n, inputs, hidden=2):
    def wiring():
        targets = range(1 + hidden)
        pairs = [(s, t) for s in range(inputs + 1 + hidden) for t in targets]
        weights = RNG.normal(0, 0.7, len(pairs))
        return Wiring([(*pair, w) for pair, w in zip(pairs, weights, strict=True)], hidden)

    return Evolved.of_wirings([wiring() for _ in range(n)], inputs, 1)


@pytest.mark.parametrize("task", [WithVelocities(*TASK), WithoutVelocities(*TASK)], ids=["v", "p"])
def test_many_carts_and_single_ones_last_as_long(task):
    """Some go over to plain numbers, when few are left; alone all do at once."""
    start = np.zeros((6, 60))
    start[0], start[2] = RNG.uniform(-1, 1, 60), RNG.uniform(-0.05, 0.05, 60)
    made = networks(60, task.inputs)
    lasted, wobble = poles.balance(made, start, task._shown, 120, 20)
    assert len(set(lasted.tolist())) > 5
    assert (lasted < 120).any()
    for at in range(60):
        own = poles.balance(made.of(np.array([at])), start[:, [at]], task._shown, 120, 20)
        assert own.lasted[0] == lasted[at]
        np.testing.assert_array_equal(own.wobble[0], wobble[at])


class Pushing:
    """Controllers that always push with one force, whatever they see."""

    def __init__(self, actions):
        self.actions = np.array(actions)

    def __len__(self):
        return len(self.actions)

    def of(self, rows):
        return Pushing(self.actions[rows])

    def reset(self):
        pass

    def act(self, inputs, passes=1):
        return self.actions[None]

    def single(self, row):
        return lambda inputs: float(self.actions[row])


def test_fitness_by_hand():
    """Actions until failure, counted one by one; and Gruau's formula where 100 are reached."""
    pushing = Pushing([0.5, 0.6, 1.0])
    with_velocities = WithVelocities(*TASK, actions=500)
    lasted = with_velocities.fitness(pushing)
    for action, steps in zip(pushing.actions, lasted, strict=True):
        state, count = (0.0, 0.0, np.radians(1.0), 0.0, 0.0, 0.0), 0
        while poles.upright(state := poles.pushed(state, action)):
            count += 1
        assert count == steps
    without = WithoutVelocities(*TASK, trial=200, starts=0, tilt=np.radians(1.0))
    assert without.fitness(pushing).tolist() == (0.1 * lasted / 200).tolist()
    # A cart that stands with both poles upright never wobbles.
    lasted, wobble = np.array([200, 100, 99]), np.full((3, 100), 0.05)
    without._run = lambda *_: poles.Balanced(lasted, wobble)
    rest = 0.9 * 0.75 / 5
    np.testing.assert_allclose(without.fitness(pushing), [0.1 + rest, 0.05 + rest, 0.1 * 99 / 200])


def test_the_long_pole_starts_at_the_tilt_that_is_asked_for():
    """Without a push the poles fall the later, the nearer to upright they start."""
    unmoved = Pushing([0.5])
    lasted = {}
    for tilt in (0.07, 0.017453292519943295, 0.001):
        state, count = (0.0, 0.0, tilt, 0.0, 0.0, 0.0), 0
        while poles.upright(state := poles.pushed(state, 0.5)):
            count += 1
        lasted[tilt] = count
        task = WithVelocities(*TASK, actions=1000, tilt=tilt)
        assert task.fitness(unmoved).tolist() == [count]
    assert lasted[0.07] < lasted[0.017453292519943295] < lasted[0.001]
    assert WithoutVelocities(*TASK).tilt == 0.07
    with pytest.raises(ConfigError, match="tilt"):
        WithoutVelocities(*TASK, tilt=0.7)


def test_a_wobble_is_a_sum_of_four_sizes():
    assert poles._wobble((-1.0, 2.0, -3.0, -4.0, 9.0, 9.0)) == 10.0


def test_as_many_starts_as_are_asked_for_and_as_many_actions_are_enough():
    task = WithoutVelocities(*TASK, trial=1000, actions=1000, starts=5)
    both = Pushing([0.5, 1.0])  # see the last test: five starts and none
    task._run = lambda made, actions, kept=0: poles.Balanced(np.full(len(made), actions), None)
    assert task.solved(both, np.zeros(2)).tolist() == [True, False]


def test_the_last_wobbles_are_in_order():
    ring = np.array([[3.0, 4.0, 2.0], [0.0, 9.0, 9.0]])
    found = poles._unrolled(ring, np.array([5, 1]))
    np.testing.assert_array_equal(found, [[2.0, 3.0, 4.0], [np.nan, np.nan, 0.0]])


def test_starts_are_625_and_count_those_that_are_mastered():
    task = WithVelocities(*TASK, trial=1)
    assert task.generalises(Pushing([0.5])).tolist() == [625]
    long = WithVelocities(*TASK, trial=1000)
    # Without a push the poles stay up where all but the position is zero, which it is five times.
    assert long.generalises(Pushing([0.5, 1.0])).tolist() == [5, 0]


def test_the_split_says_what_tilt_was_asked_for():
    task = OmegaConf.load(CONF / "task" / "double_pole_positions.yaml")
    assert task.search_split == "long pole at 0.07 rad"
    task.tilt = 0.2
    assert task.search_split == "long pole at 0.2 rad"
