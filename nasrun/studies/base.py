"""A study: figures of a method that no search gives, beside those of its paper."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from nasrun.experiment import Opened
from nasrun.report.studied import Finding, StudyReport


class Study(ABC):
    """What a config says about a study; its report is named after it.

    ``title`` heads the report, ``notes`` stand below its tables, whose figures have ``decimals``.
    """

    name: str
    title: str
    notes: list[str]
    decimals: int = 3

    @property
    def label(self) -> str:
        """What of the method is measured, in a word or two."""
        return self.name

    @property
    def inputs(self) -> Mapping[str, str]:
        """Data files that it reads besides the experiment's, and their sha256."""
        return {}

    @abstractmethod
    def measured(self, opened: Opened) -> list[Finding]:
        """The figures of an opened experiment, whose algorithm has learnt what it searches with.

        Raises:
            ConfigError: an algorithm, or records, that the study is not about.
            DataError: a file that is missing or cannot be read.
        """

    def parts(self, opened: Opened) -> Sequence[Callable[[], Iterable[Finding]]]:
        """``measured`` in parts, each of which is kept on disk as soon as it is there.

        Raises:
            NasrunError: as ``measured``.
        """
        return [lambda: self.measured(opened)]


class TrialStudy(Study):
    """A study of many trials, each with rows in a file of its own, which a sweep's jobs share.

    Trial ``i`` has the same rows whichever trials are played with it, but for measured seconds.
    ``file`` has ``columns``, among them ``seed``, in front of which stand those that tell groups of
    trials apart. ``at_once`` trials are played together, and kept on disk as soon as they are.
    """

    file: ClassVar[str]
    columns: ClassVar[Sequence[str]]
    at_once: int

    @abstractmethod
    def rows(self, opened: Opened, seeds: Sequence[int]) -> Iterable[Sequence[Any]]:
        """The rows of the trials of ``seeds``.

        Raises:
            NasrunError: as ``measured``.
        """

    @abstractmethod
    def findings(self, rows: Sequence[Mapping[str, str]]) -> list[Finding]:
        """What rows come to, of any number of jobs."""

    def files(self, rows: Sequence[Mapping[str, str]]) -> Mapping[str, bytes]:
        """Drawings and further tables of the rows by file name; none by default."""
        return {}

    def measured(self, opened: Opened) -> list[Finding]:
        """What the trials of the experiment come to."""
        rows = self.rows(opened, opened.experiment.seeds)
        texts = [dict(zip(self.columns, map(str, row), strict=True)) for row in rows]
        return self.findings(texts)

    def reported(self, rows: Sequence[Mapping[str, str]]) -> StudyReport:
        """The report of rows."""
        found, more = self.findings(rows), self.files(rows)
        return StudyReport(self.name, self.title, found, self.notes, self.decimals, more)
