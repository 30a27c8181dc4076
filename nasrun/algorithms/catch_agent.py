"""CATCH's search agent, the CATCHer: its three networks at work, and their joint optimisation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from nasrun.algorithms.catch_networks import (
    Actions,
    Controller,
    Encoder,
    Evaluator,
    Pairs,
    Uninformed,
    tensor,
)
from nasrun.algorithms.memory import Replay
from nasrun.errors import DataError
from nasrun.nets.cohort import CohortMLP, clip_per_trial, shapes_of, together
from nasrun.nets.fused_adam import FusedAdam
from nasrun.spec import Archs, Floats, Ints, Mask, Streams

ADAM_EPSILON = 1e-5  # [B] ppo2
HEAD_SCALE = 0.01  # of a new policy's last layer, which makes it close to uniform; [B] ppo2
OPTIONS = "arity"  # key of the numbers of options among the learnt arrays


class CATCHer:
    """Encoder, controller and evaluator of some neighbouring trials, optimised together.

    Args:
        rows: which trials of the cohort these are.
        nets: their networks by name, with the learning rates ``rates`` of the same names.
        encoder: where z comes from.
        controller: the policy.
        evaluator: the predictor.
        latent: dimensions of z.
        beta: weight of the KL divergence.
        max_gradient: norm of a trial's gradient, for each network.
    """

    def __init__(
        self,
        rows: slice,
        nets: Mapping[str, CohortMLP],
        rates: Mapping[str, float],
        encoder: Encoder | Uninformed,
        controller: Controller,
        evaluator: Evaluator,
        latent: int,
        beta: float,
        max_gradient: float,
    ) -> None:
        self.rows = rows
        self.encoder, self.controller, self.evaluator = encoder, controller, evaluator
        self.latent = latent
        self._nets, self._beta, self._max_gradient = nets, beta, max_gradient
        for net in nets.values():
            net.reuse_gradient()
        self._optimisers = [
            FusedAdam([net.flat], rates[name], epsilon=ADAM_EPSILON) for name, net in nets.items()
        ]

    def begin(self, memory: Replay) -> None:
        """Forget the last task's history; ``memory`` is the evaluator's new one."""
        self.memory = memory
        self._pairs: Pairs | None = None

    def state(self) -> dict[str, Any]:
        """Weights by network and number, trials first."""
        trials = self.rows.stop - self.rows.start
        parts = [net.state(trials, name) for name, net in self._nets.items()]
        return {key: array for part in parts for key, array in part.items()}

    def propose(
        self, archs: Archs, given: Mask, noise: Floats, uniforms: Floats
    ) -> tuple[Archs, Floats, Floats]:
        """Encode the history, sample networks, predict them: Algorithm 1, lines 5 to 8.

        Returns:
            ``(T, M, L)`` networks, the policy's log-probability of each decision, and ``(T, M)``
            predicted scores.

        Args:
            archs: ``(T, M, L)`` filled in where they are not the policy's.
            given: ``(M,)`` which those are.
            noise: ``(T, latent)`` standard normal numbers that z is drawn with.
            uniforms: ``(T, M, L)`` that the policy's options are drawn with.
        """
        assert self._pairs is not None
        z = self.encoder.draw(self._pairs, noise)[0]
        archs, log_chance = self.controller.sample_networks(z, archs, given, uniforms)
        return archs, log_chance, self.evaluator.predict(archs, z)

    def log_chance(self, archs: Archs, noise: Floats) -> Floats:
        """``(T, L)`` of ``archs (T, L)`` under the policy that ``propose`` used with ``noise``."""
        assert self._pairs is not None
        z = self.encoder.draw(self._pairs, noise)[0]
        given, uniforms = np.ones(1, np.bool_), np.zeros((len(archs), 1, archs.shape[1]))
        return self.controller.sample_networks(z, archs[:, None].copy(), given, uniforms)[1][:, 0]

    def optimise(
        self, pairs: Pairs, actions: Actions | None, noise: Sequence[tuple[Floats, Floats]]
    ) -> None:
        """Take as many steps of eq. 2 as there is ``noise``: Algorithm 1, line 11.

        Args:
            pairs: the history, which the next proposals are conditioned on, too.
            actions: what the policy learns from; None: it has proposed nothing yet.
            noise: ``(T, N)`` Gumbel numbers for a batch and ``(T, latent)`` normal ones for z.
        """
        self._pairs = pairs
        for gumbel, normal in noise:
            weight = self.memory.draw(gumbel)
            loss, error = self.loss(pairs, actions, weight, normal)
            self.descend(loss)
            self.memory.update(weight > 0, error)

    def descend(self, loss: Tensor) -> None:
        """Take one step of all networks down the gradient of ``loss (R,)``."""
        # The sum over trials: each trial's gradient is that of its own loss.
        loss.sum().backward()
        for net in self._nets.values():
            clip_per_trial(net, self._max_gradient)
        for optimiser in self._optimisers:
            optimiser.step()

    def loss(
        self, pairs: Pairs, actions: Actions | None, weight: Floats, noise: Floats
    ) -> tuple[Tensor, Floats]:
        """``(R,)`` L_e + L_c + beta KL (eq. 2), and the evaluator's errors ``(T, N)``.

        ``weight (T, N)`` are importance weights, ``noise (T, latent)`` standard normal numbers.
        """
        trials = len(weight)
        z, kl = self.encoder.draw(pairs, noise)
        loss, error = self.evaluator.loss(pairs, tensor(weight[together(trials)]), z)
        if actions is not None:
            loss = loss + self.controller.loss(actions, z)
        return loss + self._beta * kl, error[:trials].double().numpy()


def make_nets(
    sizes: Mapping[str, list[int]],
    options: Ints,
    learnt: Mapping[str, Any],
    streams: Streams,
    rows: slice,
) -> dict[str, CohortMLP]:
    """The networks of the trials ``rows``: those learnt, or newly drawn ones.

    Args:
        sizes: of each network's layers, by name.
        options: ``(L,)`` the space's numbers of options.
        learnt: arrays by network and number; a trial of seed s takes agent s mod agents. Empty:
            draw new weights.
        streams: of the cohort.
        rows: the trials of the cohort that these networks are for.

    Raises:
        DataError: what was learnt has other shapes.
    """
    if not learnt:
        scale = {"controller": HEAD_SCALE}
        return {
            name: CohortMLP.drawn(layers, streams.fork(name, rows), name, scale.get(name, 1.0))
            for name, layers in sizes.items()
        }
    _require_same(sizes, options, learnt)
    agents = np.array(streams.seeds[rows], np.int64) % len(learnt[OPTIONS])
    return {name: CohortMLP.loaded(learnt, name, agents) for name in sizes}


def _require_same(sizes: Mapping[str, list[int]], options: Ints, learnt: Mapping[str, Any]) -> None:
    wanted = {
        f"{name}.{at}": shape
        for name, layers in sizes.items()
        for at, shape in enumerate(shapes_of(layers))
    }
    found = {key: array.shape[1:] for key, array in learnt.items() if key != OPTIONS}
    # Padding gives spaces of almost the same size weights of the same shape.
    if found != wanted or not np.array_equal(learnt[OPTIONS][0], options):
        raise DataError(
            "the meta-trained agents have other networks than this search: they belong to another "
            "space or to other widths; train them anew, or set algorithm's fields as they were"
        )
