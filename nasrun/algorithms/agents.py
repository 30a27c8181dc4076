"""CATCH's agents at work: what they propose and what they learn, one block of trials at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nasrun.algorithms.context_networks import TINY, Lesson, Networks
from nasrun.algorithms.replay import Replay
from nasrun.algorithms.slots import Decided, Slots
from nasrun.draws import pick, softmax
from nasrun.spec import Archs, Floats, Mask, SearchSpace


@dataclass(frozen=True)
class Candidates:
    """``archs (T, M, L)``, each decision's log-probability and ``score (T, M)`` predicted."""

    archs: Archs
    log_chance: Floats
    score: Floats


class Agents:
    """Networks and replay memory of some neighbouring trials of a cohort.

    Args:
        rows: which trials of the cohort these are.
        space: what they search.
        networks: theirs, with what was learnt so far.
        replay: an empty memory.
        latent: dimensions of z.
        smoothing: share of a uniform policy in every decision.
    """

    def __init__(
        self,
        rows: slice,
        space: SearchSpace,
        networks: Networks,
        replay: Replay,
        latent: int,
        smoothing: float,
    ) -> None:
        self.rows, self.networks, self.replay = rows, networks, replay
        self._space, self._slots = space, Slots(space)
        self._latent, self._smoothing = latent, smoothing
        self._lesson: Lesson | None = None

    def propose(self, noise: Floats, uniforms: Floats, archs: Archs, given: Mask) -> Candidates:
        """Candidates of every trial, and what the evaluator thinks of them.

        Args:
            noise: ``(T, latent)`` standard normal numbers that z is drawn with.
            uniforms: ``(T, M, L)`` that the policy's options are drawn with.
            archs: ``(T, M, L)`` filled in where they are not the policy's.
            given: ``(M,)`` which those are.
        """
        assert self._lesson is not None
        z, _ = self.networks.context(self._lesson, noise)
        told = self.networks.blank(z.detach(), len(given))
        shape, length = archs.shape[:2], archs.shape[2]
        archs, uniforms = archs.reshape(-1, length), uniforms.reshape(-1, length)
        log_chance, theirs = np.zeros(archs.shape), np.tile(given, shape[0])
        for place in range(length):
            columns = self._slots.columns(place)
            legal = self._space.legal(archs[:, :place])
            logits = self.networks.logits(told)[:, :, columns].reshape(legal.shape)
            chances = softmax(np.where(legal, logits, -np.inf))
            even = legal / legal.sum(axis=1, keepdims=True)
            chances = (1.0 - self._smoothing) * chances + self._smoothing * even
            option = np.where(theirs, archs[:, place], pick(chances, uniforms[:, place]))
            archs[:, place] = option
            picked = np.take_along_axis(chances, option[:, None], axis=1)[:, 0]
            log_chance[:, place] = np.log(np.maximum(picked, TINY))
            self.networks.take(told, (columns.start + option).reshape(shape))
        predicted = self.networks.predict(told)
        return Candidates(archs.reshape(*shape, -1), log_chance.reshape(*shape, -1), predicted)

    def learn(
        self,
        archs: Archs,
        score: Floats,
        known: Mask,
        recent: Sequence[Decided],
        noise: Sequence[tuple[Floats, Floats]],
    ) -> None:
        """Take as many steps of the joint loss as there is ``noise``.

        Args:
            archs: ``(T, N, L)`` the history.
            score: ``(T, N)`` its normalised rewards.
            known: ``(T, N)`` which measurements succeeded; the last one is new.
            recent: what the policy learns from.
            noise: ``(T, N)`` Gumbel numbers for a batch and ``(T, latent)`` normal ones for z.
        """
        self._lesson = Lesson(self._slots, self._latent, archs, score, known, recent)
        for gumbel, normal in noise:
            weight = self.replay.draw(gumbel)
            error = self.networks.update(self._lesson, weight, normal)
            self.replay.update(weight > 0, error)
