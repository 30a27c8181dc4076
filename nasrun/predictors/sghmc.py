"""Hamiltonian Monte Carlo with stochastic gradients, whose step adapts to each parameter."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_SQUARE = 1e-16  # of a gradient, where it has been zero throughout


@dataclass
class _State:
    """What is kept of an array of parameters, entry by entry."""

    momentum: Tensor
    window: Tensor  # steps that the averages reach back
    gradient: Tensor  # average
    square: Tensor  # average of the gradient's square


class SGHMC:
    """Draws parameters with a density of exp(-U), from gradients of the energy U.

    Springenberg, Klein, Falkner and Hutter, "Bayesian Optimization with Robust Bayesian Neural
    Networks" (NeurIPS 2016), section 4: the friction is the same share of every momentum, the mass
    of a parameter is the root of its gradient's mean square, and both that mean and how far it
    reaches back adapt during the burn-in.

    Departure: what the paper takes off the noise for that of the gradients (rate⁴) is their
    variance in place of their mean square: zero where every record is in every batch, where the
    paper's noise is too small. Without noise in the gradients, the variance of a normal parameter
    is too large by a factor of 1 / (1 - h / (2 (2 - friction))), with
    h = rate² · precision / mass.

    Args:
        shapes: what the parameters are like; those of different trials may share an array.
        rate: length of a step.
        friction: share of its momentum that a parameter loses in a step.
        noisy: whether the gradients are of some of the records.
    """

    def __init__(
        self, shapes: Sequence[Tensor], rate: float, friction: float, noisy: bool = False
    ) -> None:
        self._rate, self._friction, self._noisy = rate, friction, noisy
        self._states = [
            _State(torch.zeros_like(own), *(torch.ones_like(own) for _ in range(3)))
            for own in shapes
        ]

    @torch.no_grad()  # which holds for one thread alone
    def step(
        self,
        parameters: Sequence[Tensor],
        gradients: Sequence[Tensor],
        noise: Sequence[Tensor],
        adapting: bool,
    ) -> None:
        """Move the parameters, in place.

        Args:
            parameters: where the chain is.
            gradients: of the energy of all records (estimated from some, if ``noisy``).
            noise: standard normal numbers; zero where a parameter is to stay at zero.
            adapting: whether this step belongs to the burn-in.
        """
        for own, gradient, normal, state in zip(
            parameters, gradients, noise, self._states, strict=True
        ):
            if adapting:
                self._adapt(state, gradient)
            inverse_mass = state.square.clamp(min=LEAST_SQUARE).rsqrt()
            variance = 2.0 * self._friction * self._rate**2 * inverse_mass
            if self._noisy:
                own_variance = (state.square - state.gradient**2).clamp(min=0.0)
                estimated = self._rate**4 * inverse_mass**2 * own_variance
                variance = (variance - estimated).clamp(min=0.0)
            state.momentum.mul_(1.0 - self._friction)
            state.momentum.sub_(self._rate**2 * inverse_mass * gradient)
            state.momentum.add_(variance.sqrt() * normal)
            own.add_(state.momentum)

    def _adapt(self, state: _State, gradient: Tensor) -> None:
        """The averages reach back further where the gradient is mostly noise (section 4.1)."""
        share = 1.0 / (state.window + 1.0)
        signal = state.gradient**2 / state.square.clamp(min=LEAST_SQUARE)
        state.window.add_(1.0 - state.window * signal)
        state.gradient.lerp_(gradient, share)
        state.square.lerp_(gradient**2, share)
