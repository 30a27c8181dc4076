"""Architectures as decisions: drawn one by one from a policy, or as one-hot columns."""

import numpy as np

from nasrun.spec import Archs, Floats, Ints, Mask, SearchSpace, Streams

TRIES = 100  # draws, after which an architecture that does not exist is left as it is


def draw(space: SearchSpace, logits: Floats, uniforms: Floats) -> tuple[Archs, Floats]:
    """``(n, L)`` architectures, and the ``(n, L, K)`` probabilities they were drawn with.

    Each decision is drawn from the softmax of its logits over the options that are legal after the
    decisions before it; illegal and padded options have probability 0.

    Args:
        space: the space whose ``legal`` says what may follow.
        logits: ``(n, L, K)`` with K the largest number of options; -inf forbids an option.
        uniforms: ``(n, L)`` numbers in [0, 1), one per draw.
    """
    archs = np.zeros(uniforms.shape, np.int64)
    probabilities = np.zeros_like(logits)
    for place, options in enumerate(space.decisions):
        legal = space.legal(archs[:, :place])
        chances = softmax(np.where(legal, logits[:, place, : len(options)], -np.inf))
        archs[:, place] = pick(chances, uniforms[:, place])
        probabilities[:, place, : len(options)] = chances
    return archs, probabilities


def redrawn(space: SearchSpace, logits: Floats, streams: Streams) -> tuple[Archs, Floats]:
    """As ``draw``, one architecture per trial, drawn again where it does not exist.

    Args:
        space: the space whose ``exists`` decides.
        logits: ``(T, L, K)``.
        streams: of the ``T`` trials; one that draws again shifts no other's numbers.
    """
    archs, probabilities = draw(space, logits, streams.uniform(logits.shape[1]))
    for _ in range(TRIES):
        rows = np.flatnonzero(~space.exists(archs))
        if not len(rows):
            break
        uniforms = streams.uniform(logits.shape[1], rows)
        archs[rows], probabilities[rows] = draw(space, logits[rows], uniforms)
    return archs, probabilities


def probabilities_of(space: SearchSpace, logits: Floats, archs: Archs) -> Floats:
    """``(n, L, K)`` probabilities of all options on the way to ``archs (n, L)``; see ``draw``."""
    probabilities = np.zeros_like(logits)
    for place, options in enumerate(space.decisions):
        legal = space.legal(archs[:, :place])
        masked = np.where(legal, logits[:, place, : len(options)], -np.inf)
        probabilities[:, place, : len(options)] = softmax(masked)
    return probabilities


def softmax(logits: Floats) -> Floats:
    """``(..., k)`` probabilities along the last axis."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def pick(chances: Floats, uniforms: Floats) -> Archs:
    """``(n,)`` options of ``(n, k)`` probabilities, by inversion."""
    edges = np.cumsum(chances, axis=-1)
    # The product may round up to the total, behind which stand illegal options.
    below = np.nextafter(edges[:, -1], 0.0)
    marks = np.minimum(uniforms * edges[:, -1], below)
    return (marks[:, None] >= edges).sum(axis=-1)


class OneHot:
    """Architectures as ``F`` columns of zeros and ones: one block of columns a decision.

    ``options (L,)`` of each decision, ``first (L,)`` column of each, ``width`` is F.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self.options: Ints = space.arity
        self.first: Ints = np.concatenate([[0], np.cumsum(self.options)[:-1]])
        self.width = int(self.options.sum())

    def columns(self, place: int) -> slice:
        """Columns of one decision."""
        return slice(self.first[place], self.first[place] + self.options[place])

    def __call__(self, archs: Archs, upto: int | None = None) -> Floats:
        """``(..., F)`` of ``archs (..., L)``; decisions from ``upto`` on stay zero."""
        features = np.zeros((*archs.shape[:-1], self.width))
        np.put_along_axis(features, (self.first + archs)[..., :upto], 1.0, axis=-1)
        return features

    def prefixes(self, archs: Archs) -> tuple[Floats, Mask]:
        """What a policy met on its way to ``archs (n, L)``, decision by decision.

        Returns:
            ``(n, L, F)`` columns of the decisions before each one, and ``(n, L, F)`` which columns
            were open to it.
        """
        places = range(len(self.options))
        taken = np.stack([self(archs, upto=place) for place in places], axis=1)
        allowed = np.zeros(taken.shape, np.bool_)
        for place in places:
            allowed[:, place, self.columns(place)] = self._space.legal(archs[:, :place])
        return taken, allowed
