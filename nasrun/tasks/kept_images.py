"""Tasks whose images are made once and kept; other processes make them themselves."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nasrun.images import Splits
from nasrun.spec import Task


class KeptImages(Task):
    """A task with images, which ``_splits`` makes when they are first asked for."""

    @abstractmethod
    def _splits(self) -> Splits:
        """The images, made now.

        Raises:
            DataError: files that are missing or damaged, or of another data set than the task's.
        """

    def load(self) -> Splits:
        """The images, made once and kept.

        Raises:
            DataError: files that are missing or damaged, or of another data set than the task's.
        """
        return self._loaded

    @property
    def loaded(self) -> Splits | None:
        """The images, if ``load`` has made them."""
        return self._loaded if "_loaded" in self.__dict__ else None

    @cached_property
    def _loaded(self) -> Splits:
        return self._splits()

    def __getstate__(self) -> dict[str, Any]:
        """Copies and worker processes make the images themselves."""
        return {key: value for key, value in self.__dict__.items() if key != "_loaded"}


@dataclass
class DerivedTask(KeptImages):
    """A task whose images are made of those of the task ``source``."""

    source: Task

    @property
    def files(self) -> Mapping[str, str]:
        """Those of the source."""
        return self.source.files
