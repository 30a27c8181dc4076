"""What training a network for a task needs: an output layer, a loss, and sums for the metric."""

from abc import ABC, abstractmethod
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from nasrun.spec.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor, nn


class Objective(ABC):
    """What a network is trained for.

    Its dataclass fields are its settings. An ``output`` is what the head returns for ``B`` images,
    in float32; a ``target`` holds what ``Images.labels`` has for the same images: classes ``(B,)``,
    masks ``(B, H, W)`` whose pixels may be ``IGNORED``, or numbers ``(B, k)``.
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

    @abstractmethod
    def loss(self, output: "Tensor", target: "Tensor", smoothing: float = 0.0) -> "Tensor":
        """``()`` the images' losses, summed over the batch.

        That of an image is a mean over its pixels, so that the same learning rates serve.
        ``smoothing`` is that of labels, where there are any.
        """

    @abstractmethod
    def sums(self, output: "Tensor", target: "Tensor") -> "Tensor":
        """``(k,)`` what a batch adds to the sums that the metric is made of.

        Integers where they count: float32 loses count beyond 16 million pixels.
        """

    @abstractmethod
    def score(self, sums: "Tensor", images: int) -> float:
        """The metric, of sums over all batches and the number of ``images`` in them."""

    @property
    def settings(self) -> dict[str, Any]:
        """Its kind and its fields: what tells the trainings of two objectives apart."""
        own: Any = self
        said = {f.name: getattr(own, f.name) for f in fields(own)} if is_dataclass(own) else {}
        return {"objective": type(self).__name__, **said}
