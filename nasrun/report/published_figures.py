"""Figures that others published, to stand beside ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nasrun.errors import DataError
from nasrun.files import read_csv

FOLDER = Path(__file__).parent / "published"
ALL_TASKS = "all"  # as a task: what a source gives for all of its tasks together
COLUMNS = ("algorithm", "search_task", "task", "metric", "n", "mean", "std", "source")

Key = tuple[str, str, str]  # algorithm, search task, scored task


@dataclass(frozen=True)
class Published:
    """One published cell; ``std`` and ``n`` are NaN where the source does not give them."""

    mean: float
    std: float
    n: float
    source: str


def read_published(name: str, metric: str) -> Mapping[Key, Published]:
    """Published figures of a metric, from a file of this package or a path of the user's.

    Raises:
        DataError: no such file, another header, a cell that stands twice or is no number.
    """
    path = _path(name)
    found: dict[Key, Published] = {}
    for line, row in enumerate(read_csv(path, COLUMNS), start=2):
        key = (row["algorithm"], row["search_task"], row["task"])
        if row["metric"] != metric:
            continue
        if key in found:
            raise DataError(f"{path}, line {line}: {', '.join(key)} stands a second time")
        found[key] = _published(row, f"{path}, line {line}")
    return found


def _path(name: str) -> Path:
    shipped = FOLDER / f"{name}.csv"
    if shipped.is_file():
        return shipped
    if Path(name).suffix == ".csv":
        return Path(name)
    known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.csv")))
    raise DataError(f"report.published={name} is none of {known}, nor the path of a .csv file")


def _published(row: Mapping[str, str], where: str) -> Published:
    try:
        n, mean, std = (float(row[column] or "nan") for column in ("n", "mean", "std"))
    except ValueError:
        raise DataError(
            f"{where}: n, mean and std must be numbers or empty, found {row['n']!r}, "
            f"{row['mean']!r}, {row['std']!r}"
        ) from None
    return Published(mean, std, n, row["source"])
