"""CATCH's three networks and their losses: Sections 3.1 to 3.4 of the paper.

Every weight has the trials as its leading axis. Shapes: ``T`` trials, ``R`` rows computed (T, but
at least two, see ``nets.cohort``), ``N`` measured pairs, ``M`` candidates, ``L`` decisions, ``W``
recent networks, ``F`` one-hot columns of an architecture, ``P`` a width padded to cache lines.
"""

import numpy as np
import torch
from torch import Tensor

from nasrun.draws import OneHot, pick, softmax
from nasrun.nets.cohort import CohortMLP, padded, together
from nasrun.nets.controller import clipped_surrogate
from nasrun.spec import Archs, Floats, Mask, SearchSpace

VARIANCE_FLOOR = 1e-7  # of a pair's Gaussian; [P]
TINY = 1e-12  # probabilities below it count as equal


class Pairs:
    """The context c_1..N: all network-reward pairs of the search history (Section 3.1).

    Args:
        one_hot: columns of the space.
        latent: dimensions of z.
        archs: ``(T, N, L)`` measured networks.
        score: ``(T, N)`` their normalised rewards.
        known: ``(T, N)`` whether the measurement succeeded.
        second: ``(T, N)`` their rewards normalised in another way. If given, the encoder reads
            both, and the products of each with the network's columns (see ``encoder_inputs``).
    """

    def __init__(
        self,
        one_hot: OneHot,
        latent: int,
        archs: Archs,
        score: Floats,
        known: Mask,
        second: Floats | None = None,
    ) -> None:
        rows = together(len(score))
        networks = one_hot(archs)[rows]
        self.networks = _widened(networks, latent)
        parts = [networks, score[rows][..., None]]
        if second is not None:
            other = second[rows][..., None]
            parts += [networks * parts[1], other, networks * other]
        self.with_reward = _widened(np.concatenate(parts, axis=2), 0)
        self.reward = tensor(score[rows])
        self.known = tensor(known[rows])[..., None]


class Actions:
    """The decisions that led to the last ``W`` networks, ``(R, W * L, ...)``, for PPO.

    Args:
        one_hot: columns of the space.
        latent: dimensions of z.
        archs: ``(T, W, L)`` measured networks, oldest first.
        score: ``(T, W)`` their normalised rewards, the advantage of each of their decisions.
        log_chance: ``(T, W, L)`` of each decision under the policy that proposed.
        counts: ``(T, W)`` which networks the policy learns from.
    """

    def __init__(
        self,
        one_hot: OneHot,
        latent: int,
        archs: Archs,
        score: Floats,
        log_chance: Floats,
        counts: Mask,
    ) -> None:
        trials, rows, length = len(archs), together(len(archs)), archs.shape[2]
        shape = (trials, -1, one_hot.width)
        taken, allowed = one_hot.prefixes(archs.reshape(-1, length))
        taken, allowed = taken.reshape(shape)[rows], allowed.reshape(shape)[rows]
        self.taken = _widened(taken, latent)
        surplus = padded(one_hot.width) - one_hot.width
        self.barred = torch.from_numpy(~np.pad(allowed, ((0, 0), (0, 0), (0, surplus))))
        self.even = tensor(1.0 / allowed.sum(axis=2))
        self.column = torch.from_numpy((one_hot.first + archs).reshape(trials, -1)[rows])[..., None]
        self.log_chance = tensor(log_chance.reshape(trials, -1)[rows])
        weight = np.repeat(counts[rows], length, axis=1)
        self.weight = tensor(weight / np.maximum(weight.sum(axis=1, keepdims=True), 1))
        self.advantage = tensor(np.repeat(score[rows], length, axis=1))


class Encoder:
    """q(z | c_1..N), the product of one diagonal Gaussian for each pair (eq. 1)."""

    def __init__(self, net: CohortMLP, latent: int) -> None:
        self._net, self._latent = net, latent

    def posterior(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """``(R, latent)`` mean and variance of q(z | c_1..N); the prior's without any pair."""
        return self._product(self._net(pairs.with_reward), pairs.known)

    def draw_each(self, pairs: Pairs, noise: Floats) -> tuple[Tensor, Tensor, Tensor]:
        """The same of ``C`` contexts a trial, whose pairs follow one another in ``pairs``.

        Returns:
            ``(R, C, latent)`` z, ``(R, C)`` divergences and ``(R, C, latent)`` means.

        Args:
            pairs: ``C`` times as many as a context has.
            noise: ``(T, C, latent)`` standard normal numbers.
        """
        drawn = tensor(noise[together(len(noise))])
        split = (*drawn.shape[:2], -1)
        head = self._net(pairs.with_reward)
        mean, variance = self._product(
            head.view(*split, head.shape[2]), pairs.known.view(*split, 1)
        )
        return mean + variance.sqrt() * drawn, kl_to_prior(mean, variance), mean

    def _product(self, head: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """``(..., latent)`` mean and variance of the product over ``head (..., N, P)``."""
        spread = head[..., self._latent : 2 * self._latent]
        # torch's own softplus differs in the last bit with the place of a number in memory.
        variance = torch.relu(spread) + torch.log1p(torch.exp(-spread.abs()))
        precision = known / variance.clamp(min=VARIANCE_FLOOR)
        total = precision.sum(dim=-2)
        variance = 1.0 / (total + (total == 0).float())
        return variance * (precision * head[..., : self._latent]).sum(dim=-2), variance

    def draw(self, pairs: Pairs, noise: Floats) -> tuple[Tensor, Tensor]:
        """``(R, latent)`` z ~ q(z | c_1..N), and ``(R,)`` the KL divergence of q from the prior.

        ``noise (T, latent)`` are standard normal numbers (the reparameterisation trick).
        """
        mean, variance = self.posterior(pairs)
        kl = kl_to_prior(mean, variance)  # before z: the order decides the last bits of gradients
        z = mean + variance.sqrt() * tensor(noise[together(len(noise))])
        return z, kl


class Uninformed:
    """No encoder: z ~ N(0, scale^2 I) whatever the history says (Section 5, -zero and -random)."""

    def __init__(self, scale: float) -> None:
        self._scale = scale

    def draw(self, pairs: Pairs, noise: Floats) -> tuple[Tensor, Tensor]:
        """The same, without a look at the history."""
        z = self._scale * tensor(noise[together(len(noise))])
        return z, torch.zeros(len(z))

    def draw_each(self, pairs: Pairs, noise: Floats) -> tuple[Tensor, Tensor, Tensor]:
        """The same of ``C`` contexts a trial, ``noise (T, C, latent)``; all means are zero."""
        z = self._scale * tensor(noise[together(len(noise))])
        return z, torch.zeros(z.shape[:2]), torch.zeros(z.shape)


class Controller:
    """pi(a_l | a_1..l-1, z), the policy that decides one action after the other (Section 3.2).

    Args:
        net: from the decisions taken so far and z to the logits of all options.
        space: says which options are legal.
        smoothing: share of a uniform policy in every decision.
        clip: of PPO's probability ratio.
        entropy: weight of the entropy in the loss.
    """

    def __init__(
        self, net: CohortMLP, space: SearchSpace, smoothing: float, clip: float, entropy: float
    ) -> None:
        self._net, self._space, self._one_hot = net, space, OneHot(space)
        self._smoothing, self._clip, self._entropy = smoothing, clip, entropy

    @torch.no_grad()
    def sample_networks(
        self, z: Tensor, archs: Archs, given: Mask, uniforms: Floats
    ) -> tuple[Archs, Floats]:
        """``(T, M, L)`` networks, and the log-probability that the policy gives each decision.

        Args:
            z: ``(R, latent)``.
            archs: ``(T, M, L)`` filled in where they are not the policy's.
            given: ``(M,)`` which those are.
            uniforms: ``(T, M, L)`` that the policy's options are drawn with.
        """
        (trials, candidates, length), rows = archs.shape, together(len(archs))
        width = self._one_hot.width
        told = torch.zeros(len(z), candidates, padded(width + z.shape[1]))
        told[..., width : width + z.shape[1]] = z[:, None]
        archs, uniforms = archs.reshape(-1, length), uniforms.reshape(-1, length)
        log_chance, theirs = np.zeros(archs.shape), np.tile(given, trials)
        for place in range(length):
            columns = self._one_hot.columns(place)
            legal = self._space.legal(archs[:, :place])
            logits = self._net(told)[:trials, :, columns].double().numpy().reshape(legal.shape)
            chances = softmax(np.where(legal, logits, -np.inf))
            even = legal / legal.sum(axis=1, keepdims=True)
            chances = (1.0 - self._smoothing) * chances + self._smoothing * even
            option = np.where(theirs, archs[:, place], pick(chances, uniforms[:, place]))
            archs[:, place] = option
            picked = np.take_along_axis(chances, option[:, None], axis=1)[:, 0]
            log_chance[:, place] = np.log(np.maximum(picked, TINY))
            column = (columns.start + option).reshape(trials, candidates)[rows]
            told.scatter_(2, torch.from_numpy(column)[..., None], 1.0)
        shape = (trials, candidates, length)
        return archs.reshape(shape), log_chance.reshape(shape)

    def loss(self, actions: Actions, z: Tensor) -> Tensor:
        """``(R,)`` L_c: PPO's clipped surrogate with an entropy bonus, to be minimised."""
        log_policy = self._log_policy(actions, z)
        policy = log_policy.exp()
        entropy = -(policy * log_policy.masked_fill(actions.barred, 0.0)).sum(dim=-1)
        picked = policy.gather(-1, actions.column)[..., 0]
        chance = (1.0 - self._smoothing) * picked + self._smoothing * actions.even
        ratio = torch.exp(chance.clamp(min=TINY).log() - actions.log_chance)
        gain = clipped_surrogate(ratio, actions.advantage, self._clip)
        return -(actions.weight * (gain + self._entropy * entropy)).sum(dim=1)

    def imitation_loss(self, actions: Actions, z: Tensor) -> Tensor:
        """``(R,)`` mean of -log pi of the decisions of networks worth imitating.

        ``z (R, W * L, latent)``: of each decision.
        """
        picked = self._log_policy(actions, z).gather(-1, actions.column)[..., 0]
        return -(actions.weight * picked).sum(dim=1)

    def _log_policy(self, actions: Actions, z: Tensor) -> Tensor:
        """``(R, W * L, P)`` log-probabilities of the options, without smoothing."""
        head = self._net(actions.taken, z, self._one_hot.width)
        return torch.log_softmax(head.masked_fill(actions.barred, -torch.inf), dim=-1)


class Evaluator:
    """f(m, z), the predicted score of a network on the task that z describes (Section 3.3)."""

    def __init__(self, net: CohortMLP, space: SearchSpace) -> None:
        self._net, self._one_hot = net, OneHot(space)

    @torch.no_grad()
    def predict(self, archs: Archs, z: Tensor) -> Floats:
        """``(T, M)`` predicted scores of ``archs (T, M, L)``, given ``z (R, latent)``."""
        networks = _widened(self._one_hot(archs)[together(len(archs))], z.shape[1])
        scores = self._net(networks, z, self._one_hot.width)[: len(archs), :, 0]
        return scores.double().numpy()

    def loss(self, pairs: Pairs, weight: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """``(R,)`` L_e: the mean Huber loss of the pairs drawn; and ``(R, N)`` errors of all.

        ``weight (R, N)`` are their importance weights, 0 where not drawn; ``z (R, latent)``, or
        ``(R, N, latent)`` where pairs are of different contexts.
        """
        error = self._net(pairs.networks, z, self._one_hot.width)[..., 0] - pairs.reward
        drawn = (weight > 0).sum(dim=1).clamp(min=1)
        return (weight * huber(error)).sum(dim=1) / drawn, error.detach()


def kl_to_prior(mean: Tensor, variance: Tensor) -> Tensor:
    """``(...)`` KL divergence of N(mean, diag(variance)), ``(..., latent)``, from N(0, I)."""
    return 0.5 * (variance + mean.square() - 1.0 - variance.log()).sum(dim=-1)


def huber(error: Tensor) -> Tensor:
    """Huber's loss with delta = 1, element by element."""
    size = error.abs()
    return torch.where(size <= 1.0, 0.5 * error.square(), size - 0.5)


def tensor(array: Floats | Mask) -> Tensor:
    """The same numbers as float32."""
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def _widened(features: Floats, more: int) -> Tensor:
    """``(R, n, P)`` inputs of a network, and ``more`` columns for z, which are zero as yet."""
    rows, n, width = features.shape
    wide = np.zeros((rows, n, padded(width + more)), np.float32)
    wide[..., :width] = features
    return torch.from_numpy(wide)
