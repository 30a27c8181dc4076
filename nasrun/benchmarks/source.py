"""What a table of ``conf/tables`` is: a reader, the files it reads, and what they mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from nasrun.benchmarks.table import Frame
from nasrun.spec import SearchSpace


@dataclass
class Source:
    """Where figures come from: a reader, a file or folder, and for CSV what its columns mean.

    ``paths`` are looked for in every folder of ``folders`` (null or empty ones are passed over);
    without folders they are taken as they are. The first that exists is read.
    """

    reader: str
    space: str
    paths: list[str] = field(default_factory=list[str])
    folders: list[Optional[str]] = field(default_factory=list[Optional[str]])  # noqa: UP045
    auto: bool = True  # whether an empty evaluator.sources takes it in
    arch_column: str = "arch"  # CSV column with the architectures' texts
    columns: dict[str, str] = field(default_factory=dict[str, str])  # CSV column -> Column name
    scale: dict[str, float] = field(default_factory=dict[str, float])  # CSV column -> factor
    # What the files call a task's images, [of the search, of the final score]; default: its name.
    datasets: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    # What a data set's scores are, by its name in the file; default: accuracy_pct.
    metrics: dict[str, str] = field(default_factory=dict[str, str])
    seed: int = 0  # of a synthetic table
    schedules: list[int] = field(default_factory=lambda: [12, 200])  # epochs of a synthetic table

    def candidates(self) -> list[Path]:
        """Where the file may be, in the order of preference."""
        if not self.folders:
            return [Path(path).expanduser() for path in self.paths]
        folders = [Path(folder).expanduser() for folder in self.folders if folder]
        return [folder / path for folder in folders for path in self.paths]


# How far reading is: parts done, parts in all.
Watch = Callable[[int, int], None]


@dataclass(frozen=True)
class Reader:
    """How one file format is found and read.

    ``files`` lists what there is to read, empty where it is not at hand; ``read`` turns it into a
    frame; ``cure`` says how to get such files, ``official`` whence, where that takes a sentence.
    """

    files: Callable[[Source], list[Path]]
    read: Callable[[Source, Sequence[Path], SearchSpace, Watch | None], Frame]
    cure: str
    needs_files: bool = True
    official: str = ""


def first_existing(source: Source) -> list[Path]:
    """The first of a source's candidates that exists, alone in a list; else an empty list."""
    return [path for path in source.candidates() if path.exists()][:1]
