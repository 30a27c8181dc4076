"""The ensemble sampler of Goodman and Weare: it needs a density, and neither slopes nor scales."""

from collections.abc import Callable

import numpy as np

from nasrun.spec import Floats, Ints

STRETCH = 2.0  # the longest; its inverse is the shortest
TINY = np.finfo(np.float64).tiny

# For positions (C, n, D): logarithms of the density, -inf outside of it, and a figure; (C, n) each.
Density = Callable[[Floats], tuple[Floats, Floats]]


class Ensemble:
    """``C`` independent ensembles of ``W`` walkers in ``D`` dimensions, all in step.

    Goodman and Weare, "Ensemble samplers with affine invariance" (Communications in Applied
    Mathematics and Computational Science, 2010), section 3, the stretch move: a walker X goes to
    Y = X' + z (X - X'), X' a walker of the other half and z with the density 1/sqrt(z) on
    [1/2, 2], with probability min(1, z^(d-1) p(Y) / p(X)). As in emcee (Foreman-Mackey et al.,
    2013), a half moves at once.

    Args:
        density: of the positions, with a figure that is kept of each.
        walkers: ``(C, W, D)`` where they begin.
        dimensions: ``(C,)`` d, in which the walkers of an ensemble differ: they stay as they are in
            the others.
    """

    def __init__(self, density: Density, walkers: Floats, dimensions: Ints) -> None:
        self._density, self.walkers = density, walkers.copy()
        self._power = (dimensions - 1.0)[:, None]
        self.log_density, self.figure = density(self.walkers)

    def step(self, uniforms: Floats) -> None:
        """Move every walker once, by ``uniforms (C, 3, W)``."""
        count = self.walkers.shape[1]
        first, second = slice(0, count // 2), slice(count // 2, count)
        self._move(first, second, uniforms[..., first])
        self._move(second, first, uniforms[..., second])

    def _move(self, own: slice, other: slice, uniforms: Floats) -> None:
        stretch = ((STRETCH - 1.0) * uniforms[:, 0] + 1.0) ** 2 / STRETCH
        partner = other.start + (uniforms[:, 1] * (other.stop - other.start)).astype(np.int64)
        far = np.take_along_axis(self.walkers, partner[..., None], axis=1)
        new = far + stretch[..., None] * (self.walkers[:, own] - far)
        log_density, figure = self._density(new)
        with np.errstate(invalid="ignore"):  # from outside the density to outside: no number
            gain = self._power * np.log(stretch) + log_density - self.log_density[:, own]
            moved = np.log(np.maximum(uniforms[:, 2], TINY)) < gain
        self.walkers[:, own] = np.where(moved[..., None], new, self.walkers[:, own])
        self.log_density[:, own] = np.where(moved, log_density, self.log_density[:, own])
        self.figure[:, own] = np.where(moved, figure, self.figure[:, own])
