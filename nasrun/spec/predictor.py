"""What predicts how good architectures are, from some that were measured."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nasrun.spec.space import Archs, Mask, SearchSpace
from nasrun.streams import Floats, Streams

# The figures ``(T, M)`` that architectures ``(T, M, L)`` really have: for an oracle alone.
Truth = Callable[[Archs], Floats]


@dataclass(frozen=True)
class Inputs:
    """What is known of architectures ``archs (T, N, L)``.

    ``extra (T, N, E)`` are other features, such as zero-cost scores; ``curve (T, N, epochs)`` is
    what each partial training has reached after every epoch, higher for what is better (a training
    loss with its sign changed). None: there are none. ``full`` are the epochs of whole trainings,
    of which curves are the beginnings; None: it is not known.
    """

    archs: Archs
    extra: Floats | None = None
    curve: Floats | None = None
    full: int | None = None


@dataclass(frozen=True)
class Prediction:
    """Predicted figures, higher for what is better, and how sure of them the model is.

    ``mean (T, M)`` and ``sd (T, M)``; ``best (T,)`` is the best figure that was learnt from, -inf
    where there is none. All three are on one scale, which grows with the figures but need not be
    theirs (their logarithm, for one). ``members (T, S, M)``: what ``S`` members of an ensemble, or
    draws of a posterior, predict each; None where a model has neither.
    """

    mean: Floats
    sd: Floats
    best: Floats
    members: Floats | None = None


class Model(ABC):
    """A predictor that was opened for a space and the trials of a cohort, each with its own."""

    @abstractmethod
    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Learn from scratch the figures ``y (T, N)`` of ``inputs``, where ``mask (T, N)``.

        What is learnt of one trial does not depend on the others. A trial without any figure
        predicts a constant.

        Raises:
            ConfigError: figures that the predictor's settings cannot take.
        """

    @abstractmethod
    def predict(self, inputs: Inputs) -> Prediction:
        """What was learnt says of ``inputs`` of ``(T, M)`` architectures."""


class Predictor(ABC):
    """What a config says about a predictor. Opening it never changes it."""

    name: str

    @property
    def label(self) -> str:
        """Name in rows and reports: with settings that make it another predictor."""
        return self.name

    @property
    def reads(self) -> str | None:
        """Of which figure (one of ``CURVES``) it needs the learning curves; None: of none."""
        return None

    @property
    def reads_architectures(self) -> bool:
        """Whether it looks at architectures: most readers of learning curves do not."""
        return self.reads is None

    @property
    def learns(self) -> bool:
        """Whether it learns from others' figures: one that looks at a single curve does not."""
        return True

    @property
    def reads_last(self) -> bool:
        """Whether of a curve its last figure alone is read: gaps before it do not matter."""
        return False

    @property
    def in_figures(self) -> bool:
        """Whether its predictions are in the unit of the figures, and not on a scale of its own."""
        return False

    @property
    def has_members(self) -> bool:
        """Whether its predictions have ``members``, as an ensemble's or a posterior's draws."""
        return False

    @property
    def files(self) -> Mapping[str, str]:
        """Data files that it reads besides what it learns from, and their sha256."""
        return {}

    @abstractmethod
    def opened(self, space: SearchSpace, streams: Streams, truth: Truth | None = None) -> Model:
        """A model of architectures of ``space`` for the trials of ``streams``, all its randomness.

        ``truth`` is for predictors that look the answers up, as controls.

        Raises:
            UnsupportedError: the predictor cannot read this space, or lacks a package.
            ConfigError: the space has no such encoding.
        """
