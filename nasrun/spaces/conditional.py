"""Spaces in which the options of a decision depend on the decisions before it."""

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np

from nasrun.draws import draw, pick
from nasrun.spaces.base import CategoricalSpace, settings
from nasrun.spec import Archs, Floats, Mask, Streams


class ConditionalSpace(CategoricalSpace):
    """Decisions with an order: ``legal`` says what each may be after those before it.

    A subclass gives ``decisions`` and ``legal``, which must leave an option after every prefix of
    legal options. A decision that does not exist after its prefix has exactly one legal option, 0,
    so that a network has one encoding. A decision is *live* where it has more than one.

    ``size``, ``index`` and ``at`` count encodings, those that do not exist included.
    """

    @abstractmethod
    def legal(self, prefix: Archs) -> Mask:
        """``(n, options)`` options allowed next after ``prefix (n, l)`` of legal options."""

    @property
    def limits(self) -> Mapping[str, object]:
        """All settings: any of them may decide what exists."""
        return settings(self)

    def sample(self, streams: Streams) -> Archs:
        """``(T, L)`` architectures, each decision uniform over its legal options.

        Uniform over decisions in their order, that is, not over architectures.
        """
        shape = (len(streams), len(self.arity), int(self.arity.max()))
        return draw(self, np.zeros(shape), streams.uniform(len(self.arity)))[0]

    def exists(self, archs: Archs) -> Mask:
        """``(n,)`` whether each option is legal after those before it."""
        exists = super().exists(archs)
        for place in range(archs.shape[1]):
            rows = np.flatnonzero(exists)
            legal = self.legal(archs[rows, :place])
            exists[rows] = legal[np.arange(len(rows)), archs[rows, place]]
        return exists

    def mutate(self, archs: Archs, streams: Streams) -> Archs:
        """``(T, L)`` copies; one live decision, picked uniformly, and what depends on it differ.

        An option that is still legal is kept; one that is not is drawn, as is that of a decision
        that the change brings to life, whose 0 was no choice.
        """
        live = self.live(archs)
        # Drawn for all, needed or not, so that a trial's numbers do not depend on its architecture.
        uniforms = streams.uniform(2 + archs.shape[1])
        rows, decision = np.arange(len(archs)), pick(live.astype(np.float64), uniforms[:, 0])
        changeable = live.any(axis=1)
        decision = np.where(changeable, decision, 0)
        result = archs.copy()
        for place in np.unique(decision[changeable]).tolist():
            here = rows[changeable & (decision == place)]
            others = self.legal(archs[here, :place]).astype(np.float64)
            others[np.arange(len(here)), archs[here, place]] = 0.0
            result[here, place] = pick(others, uniforms[here, 1])
        return self._repaired(result, live, uniforms[:, 2:])

    def crossover(self, a: Archs, b: Archs, streams: Streams) -> Archs:
        """``(T, L)`` children: each decision from ``a`` or ``b (T, L)``, at even odds.

        What is not legal after the decisions before it is drawn, as is what was no choice in the
        parent.
        """
        uniforms = streams.uniform(2 * a.shape[1])
        of_a = uniforms[:, : a.shape[1]] < 0.5
        meant = np.where(of_a, self.live(a), self.live(b))
        return self._repaired(np.where(of_a, a, b), meant, uniforms[:, a.shape[1] :])

    def neighbours(self, arch: Archs) -> Archs:
        """``(n, L)`` all architectures with another option for one live decision.

        In order of decision and option. What depends on it is kept where it is still legal, and
        else gets the first option that is.
        """
        [live] = self.live(arch[None])
        changed: list[Archs] = []
        for decision in np.flatnonzero(live):
            [legal] = self.legal(arch[None, :decision])
            options = np.flatnonzero(legal)
            options = options[options != arch[decision]]
            copies = np.repeat(arch[None], len(options), axis=0)
            copies[:, decision] = options
            changed.append(copies)
        around = np.concatenate([arch[None][:0], *changed])
        meant = np.broadcast_to(live, around.shape)
        return self._repaired(around, meant, np.zeros(around.shape))

    def live(self, archs: Archs) -> Mask:
        """``(n, L)`` which decisions of architectures have more than one legal option."""
        places = range(archs.shape[1])
        return np.stack([self.legal(archs[:, :at]).sum(axis=1) > 1 for at in places], axis=1)

    def _repaired(self, archs: Archs, meant: Mask, uniforms: Floats) -> Archs:
        """``(n, L)`` architectures made of options that are ``meant (n, L)``, where they are legal.

        From left to right, others are drawn with ``uniforms (n, L)``: 0 draws the first.
        """
        result = archs.copy()
        for place in range(archs.shape[1]):
            legal = self.legal(result[:, :place])
            kept = np.take_along_axis(legal, result[:, [place]], axis=1)[:, 0] & meant[:, place]
            drawn = pick(legal.astype(np.float64), uniforms[:, place])
            result[:, place] = np.where(kept, result[:, place], drawn)
        return result
