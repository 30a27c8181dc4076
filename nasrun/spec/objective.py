"""What training a network for a task needs: an output layer, a loss, and a tally of the metric."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from nasrun.spec.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor, nn


class Tally(ABC):
    """The metric of a network on some images, which come batch by batch."""

    def __init__(self) -> None:
        self.images = 0

    def add(self, output: "Tensor", target: "Tensor") -> None:
        """Count a batch: an output of any float type, and the targets of the same images."""
        self._count(output.float(), target)
        self.images += len(target)

    @abstractmethod
    def _count(self, output: "Tensor", target: "Tensor") -> None:
        """Take in a batch's output, in float32."""

    @property
    @abstractmethod
    def value(self) -> float:
        """The metric of all batches so far; NaN without images."""


class Objective(ABC):
    """What a network is trained for.

    Its dataclass fields are its settings. An ``output`` is one tensor, what the head returns for
    ``B`` images, in float32; a ``target`` holds what ``Images.labels`` has for the same images:
    classes ``(B,)``, masks ``(B, H, W)`` whose pixels may be ``IGNORED``, boxes ``(B, M, 5)`` with
    padding, or numbers ``(B, k)``. In training a head may return a tuple: the output, and others
    whose losses count with the recipe's weight ``auxiliary``.
    """

    metric: ClassVar[Metric]

    @property
    def pieces(self) -> int:
        """Rows, and columns, of pieces that a picture is cut into: a network sees them one by one.

        The head then gets the feature maps ``(B pieces^2, channels, h, w)`` of all pieces, those of
        a picture one after another, row by row.
        """
        return 1

    @abstractmethod
    def head(self, channels: int) -> "nn.Module":
        """The last part of a network: from feature maps ``(B, channels, h, w)`` to an output."""

    def auxiliary_head(self, channels: int) -> "nn.Module":
        """A second head on earlier feature maps, in training alone, for spaces that have one."""
        return self.head(channels)

    def dense_head(self, widths: Sequence[int], strides: Sequence[int]) -> "nn.Module | None":
        """A head for the maps of all stages of a backbone; None: ``head`` on the last map.

        It is called with the list of maps ``(B, widths[i], h_i, w_i)``, each ``strides[i]`` times
        smaller than the images, and with the images themselves, ``(B, 3, H, W)``: their size is
        what most heads ask for.
        """
        return None

    @abstractmethod
    def loss(self, output: "Tensor", target: "Tensor", smoothing: float = 0.0) -> "Tensor":
        """``()`` the images' losses, summed over the batch.

        That of an image is a mean over its pixels, so that the same learning rates serve.
        ``smoothing`` is that of labels, where there are any.
        """

    @abstractmethod
    def tally(self, training: bool = False) -> Tally:
        """A new tally; in ``training``, where the metric takes long, it may leave that NaN."""

    def judged_output(self, network: "nn.Module", images: "Tensor") -> "Tensor":
        """The output by which a trained network is judged, such as a mean over mirrored images."""
        return network(images)

    @property
    def settings(self) -> dict[str, Any]:
        """Its kind and its fields: what tells the trainings of two objectives apart."""
        own: Any = self
        said = {f.name: getattr(own, f.name) for f in fields(own)} if is_dataclass(own) else {}
        return {"objective": type(self).__name__, **said}


class SummedObjective(Objective):
    """An objective whose metric is made of sums over batches, such as a count or a confusion.

    Networks that are trained for one of these can train together.
    """

    @abstractmethod
    def sums(self, output: "Tensor", target: "Tensor") -> "Tensor":
        """``(k,)`` what a batch adds to the sums that the metric is made of.

        Integers where they count: float32 loses count beyond 16 million pixels.
        """

    @abstractmethod
    def score(self, sums: "Tensor", images: int) -> float:
        """The metric, of sums over all batches and the number of ``images`` in them."""

    def tally(self, training: bool = False) -> Tally:
        """The sums of the batches so far."""
        return _RunningSums(self)


class _RunningSums(Tally):
    """The metric of a ``SummedObjective``."""

    def __init__(self, objective: SummedObjective) -> None:
        super().__init__()
        self._objective = objective
        self._sums: Tensor | None = None

    def _count(self, output: "Tensor", target: "Tensor") -> None:
        sums = self._objective.sums(output, target)
        self._sums = sums if self._sums is None else self._sums + sums

    @property
    def value(self) -> float:
        return math.nan if self._sums is None else self._objective.score(self._sums, self.images)
