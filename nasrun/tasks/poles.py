"""Two poles on a cart: the equations of motion, integrated for many carts at once."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nasrun.spec import Controllers, Floats, Ints

# Masses in kg and half-lengths in m as in Wieland's benchmark and in Stanley's C++.
# goNEAT has ten times the masses of the poles.
CART_KG = 1.0
POLES = ((0.1, 0.5), (0.01, 0.05))  # mass, half-length
GRAVITY = -9.8  # m/s^2; negative, because an angle of zero is upright
HINGE = 2e-6  # friction of a hinge, kg m^2/s
FORCE_N = 10.0  # most force on the cart, to either side
TICK_S = 0.01  # of a Runge-Kutta step; an action lasts two
TRACK_M, FALLEN = 2.4, np.radians(36.0)  # where a cart, or a pole, has failed
FEW = 12  # carts, up to which plain numbers are taken in place of arrays, which cost more to call
Real = Any  # a float, or an array of them: the same arithmetic, to the same bits
State = tuple[Real, ...]  # x, its speed, and the angle and its speed of each pole
SINE = tuple(1.0 / float(np.prod([-1.0 * k * (k - 1) for k in range(3, n + 1, 2)]))
             for n in range(3, 19, 2))  # fmt: skip
COSINE = tuple(1.0 / float(np.prod([-1.0 * k * (k - 1) for k in range(2, n + 1, 2)]))
               for n in range(2, 20, 2))  # fmt: skip


def sine(angle: Real, square: Real) -> Real:
    """Of an angle below one radian, to the last bit or two; ``square`` is its square.

    A series of plain arithmetic gives floats and arrays the same bits.
    """
    total = SINE[-1]
    for term in SINE[-2::-1]:
        total = term + square * total
    return angle + angle * square * total


def cosine(square: Real) -> Real:
    """Of an angle below one radian, given its square."""
    total = COSINE[-1]
    for term in COSINE[-2::-1]:
        total = term + square * total
    return 1.0 + square * total


def accelerations(state: State, force: Real) -> State:
    """Of the cart in m/s^2 and of the poles in 1/s^2: Wieland's equations for hinged poles."""
    pushed, mass, parts = force, CART_KG, list[tuple[Real, Real, Real, float]]()
    for pole, (own_kg, half_m) in enumerate(POLES):
        angle, speed = state[2 + 2 * pole], state[3 + 2 * pole]
        square = angle * angle
        cos, weight = cosine(square), GRAVITY * sine(angle, square)
        rubbing = HINGE / (own_kg * half_m) * speed
        # The pole's effective force and mass, as the cart feels them.
        centrifugal = own_kg * half_m / GRAVITY * (speed * speed) * weight
        pushed = pushed + (centrifugal + 0.75 * own_kg * cos * (rubbing + weight))
        mass = mass + own_kg * (1.0 - 0.75 * (cos * cos))
        parts.append((cos, weight, rubbing, -0.75 / half_m))
    cart = pushed / mass
    turns = [scale * (cart * cos + weight + rubbing) for cos, weight, rubbing, scale in parts]
    return (cart, *turns)


def _slope(state: State, force: Real) -> State:
    cart, first, second = accelerations(state, force)
    return state[1], cart, state[3], first, state[5], second


def tick(state: State, force: Real, step_s: float = TICK_S) -> State:
    """The state after a Runge-Kutta step of the fourth order."""
    half = 0.5 * step_s
    one = _slope(state, force)
    two = _slope(tuple(s + half * k for s, k in zip(state, one, strict=True)), force)
    three = _slope(tuple(s + half * k for s, k in zip(state, two, strict=True)), force)
    four = _slope(tuple(s + step_s * k for s, k in zip(state, three, strict=True)), force)
    sixth = step_s / 6.0
    each = zip(state, one, two, three, four, strict=True)
    return tuple(s + sixth * (a + 2.0 * (b + c) + d) for s, a, b, c, d in each)


def pushed(state: State, action: Real) -> State:
    """The state after an action in [0, 1] has been held for two ticks; 0.5 is no force."""
    force = (action - 0.5) * (2.0 * FORCE_N)
    return tick(tick(state, force), force)


def upright(state: State) -> Real:
    """Whether cart and poles are where they should be."""
    x, _, first, _, second, _ = state
    return (abs(x) <= TRACK_M) & (abs(first) <= FALLEN) & (abs(second) <= FALLEN)


class Balanced(NamedTuple):
    """``lasted (n,)`` actions until failure, and ``wobble (n, kept)`` of the last actions.

    Wobble is |x| + |its speed| + |long pole's angle| + |its speed|, oldest first; NaN where a cart
    did not last as long.
    """

    lasted: Ints
    wobble: Floats


Shown = Callable[[State], tuple[Real, ...]]


def balance(
    controllers: Controllers, start: Floats, shown: Shown, actions: int, kept: int = 0
) -> Balanced:
    """Let each of ``n`` controllers balance its poles from rest.

    Args:
        controllers: one a cart; its state is left anywhere.
        start: ``(6, n)`` states.
        shown: what a controller sees of a state.
        actions: after which a cart is stopped.
        kept: of how many last actions the wobble is returned.
    """
    carts = np.arange(len(controllers))
    lasted: Ints = np.zeros(len(carts), np.int64)
    wobble = np.full((len(carts), kept), np.nan)
    controllers.reset()
    state, action = tuple(start), 0
    while action < actions and len(carts) > FEW:
        state = pushed(state, controllers.act(np.array(shown(state)))[0])
        stands = upright(state)
        lasted[carts] += stands
        if kept:
            wobble[carts, action % kept] = _wobble(state)
        if not stands.all():
            left = np.flatnonzero(stands)
            state = tuple(part[left] for part in state)
            carts, controllers = carts[left], controllers.of(left)
        action += 1
    for row, cart in enumerate(carts.tolist()):
        own = tuple(float(part[row]) for part in state)
        lasted[cart] = _alone(controllers.single(row), own, shown, (action, actions), wobble[cart])
    return Balanced(lasted, _unrolled(wobble, lasted))


def _alone(
    act: Callable[[Any], float], state: State, shown: Shown, span: tuple[int, int], wobble: Floats
) -> int:
    """Actions that a single cart lasts in all, on plain numbers."""
    kept = len(wobble)
    for action in range(*span):
        state = pushed(state, act(shown(state)))
        if kept:
            wobble[action % kept] = _wobble(state)
        if not upright(state):
            return action
    return span[1]


def _wobble(state: State) -> Real:
    x, speed, angle, turn, _, _ = state
    return abs(x) + abs(speed) + abs(angle) + abs(turn)


def _unrolled(wobble: Floats, lasted: Ints) -> Floats:
    """``(n, kept)`` rings in which action k stands at k % kept, the last ``lasted`` ones in order.

    What the ring holds of the action that failed is left out.
    """
    kept = wobble.shape[1]
    if not kept:
        return wobble
    behind = np.arange(-kept, 0)
    action = lasted[:, None] + behind
    found = np.take_along_axis(wobble, action % kept, axis=1)
    return np.where(action >= 0, found, np.nan)
