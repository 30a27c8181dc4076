"""A study: figures of a method that no search gives, beside those of its paper."""

from abc import ABC, abstractmethod

from nasrun.experiment import Opened
from nasrun.report.studied import Finding


class Study(ABC):
    """What a config says about a study; its report is named after it.

    ``title`` heads the report, ``notes`` stand below its tables, whose figures have ``decimals``.
    """

    name: str
    title: str
    notes: list[str]
    decimals: int = 3

    @abstractmethod
    def measured(self, opened: Opened) -> list[Finding]:
        """The figures of an opened experiment, whose algorithm has learnt what it searches with.

        Raises:
            ConfigError: an algorithm, or records, that the study is not about.
            DataError: a file that is missing or cannot be read.
        """
