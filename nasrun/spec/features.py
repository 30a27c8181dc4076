"""What turns pictures into vectors, for methods that look at a data set."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasrun.errors import UnsupportedError

if TYPE_CHECKING:
    from nasrun.images import Pixels

Vectors = NDArray[np.float32]


class Features(ABC):
    """A fixed way from pictures to vectors. Its dataclass fields are its settings."""

    name: str

    @abstractmethod
    def of(self, pixels: "Pixels") -> Vectors:
        """``(n, d)`` vectors of ``pixels (n, C, H, W)``, 0 to 255.

        Raises:
            ConfigError: a package that is missing, with the way to get it.
            UnsupportedError: pictures that it cannot take.
        """

    def class_rows(self) -> Vectors:
        """``(1000, d)`` a vector of each class of ImageNet-1k, in the order of their WordNet ids.

        They lie where the pictures of the class do. They stand for its pictures where those are not
        to be had.

        Raises:
            ConfigError: a package that is missing.
            UnsupportedError: features that know no classes.
        """
        raise UnsupportedError(
            f"features={self.name} know nothing of ImageNet's classes, which the published records "
            "need: use features=efficientnet_lite0, or records of your own (meta.path)"
        )
