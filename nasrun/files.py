"""Files that are whole or not there at all."""

import csv
import gzip
import json
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import Any, TextIO, cast

from nasrun.drafts import draft_of, remove_abandoned
from nasrun.errors import ConfigError, DataError
from nasrun.input_files import read_bytes, read_json_bytes, require_file

# conf/ stands inside the package in a wheel, and beside it in a checkout.
CONF = next(
    folder
    for folder in (Path(__file__).parent / "conf", Path(__file__).parents[1] / "conf")
    if folder.is_dir()
)
SPECIAL = re.compile(r"[,\"\r\n]").search  # what a cell may have to be quoted for
AT_ONCE = 2_000  # rows as texts in memory
TUNING = "tuning"  # folder of a sweep whose jobs only served to choose values: no results


@contextmanager
def _whole(path: Path) -> Generator[TextIOWrapper]:
    """A text file that takes its name only when the block ends well; nothing is left otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent)
    handle, temporary = tempfile.mkstemp(dir=path.parent, **draft_of(path.name))
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            yield stream
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


@contextmanager
def atomic(path: Path) -> Generator[TextIOWrapper]:
    """A text file of a run that takes its name only when the block ends well.

    Raises:
        DataError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    try:
        with _whole(path) as stream:
            yield stream
    except OSError as error:
        raise unwritable(path, error) from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file outside a run's folder whole; the caller explains a failure.

    Raises:
        OSError: the system refuses; nothing is left behind.
    """
    with _whole(path) as stream:
        stream.buffer.write(content)


def write_bytes(path: Path, data: bytes) -> Path:
    """Write a picture or another binary file whole; returns its path."""
    with atomic(path) as stream:
        stream.buffer.write(data)
    return path


def unwritable(path: Path, error: OSError) -> DataError:
    """The sentence for a file or folder that the system refuses to write."""
    cure = "free some space or choose another folder"
    reason = error.strerror or str(error)
    if isinstance(error, FileExistsError | NotADirectoryError):
        reason, cure = "a file stands where a folder has to be", "choose another folder"
    return DataError(
        f"cannot write {path}: {reason}; {cure} with hydra.run.dir=... (hydra.sweep.dir=... for "
        "-m, cache_dir=... for what runs share)"
    )


def cache_folder() -> Path:
    """Folder for parsed tables and downloads: NASRUN_CACHE, or the platform's own place.

    Raises:
        ConfigError: the system knows no home folder of this user.
    """
    from platformdirs import user_cache_dir

    if own := os.environ.get("NASRUN_CACHE"):
        return Path(own)
    with suppress(RuntimeError):  # of a newer platformdirs; an older one leaves the ~ as it is
        place = Path(user_cache_dir("nasrun", appauthor=False))
        if place.is_absolute():
            return place
    raise ConfigError(
        "this user has no home folder to keep parsed tables and downloads in: set HOME, or "
        "NASRUN_CACHE to a folder for them"
    )


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows below a header line."""
    with atomic(path) as stream:
        csv_lines(stream, [columns])
        csv_lines(stream, rows)


def csv_lines(stream: TextIOWrapper, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows as lines."""
    csv.writer(stream, lineterminator="\n").writerows(rows)


def csv_columns(stream: TextIOWrapper, columns: Sequence[Sequence[Any]]) -> None:
    """Write ``k`` columns of ``n`` cells as ``csv_lines`` would their rows, in half the time."""
    for start in range(0, len(columns[0]), AT_ONCE):
        parts = [_cells(column[start : start + AT_ONCE]) for column in columns]
        stream.writelines(f"{line}\n" for line in map(",".join, zip(*parts, strict=True)))


def _cells(column: Sequence[Any]) -> list[str]:
    kinds = set(map(type, column))
    if kinds <= {int, float, type(None)}:
        return ["" if cell is None else repr(cell) for cell in column]
    if kinds == {str}:  # of few different words; of other kinds, 1 would be equal to 1.0
        written = {cell: _cell(cell) if SPECIAL(cell) else cell for cell in set(column)}
        return [written[cell] for cell in column]
    return [_cell(cell) for cell in column]


def _cell(content: Any) -> str:
    line = StringIO()
    csv.writer(line, lineterminator="\n").writerow(["", content])  # one empty cell alone is quoted
    return line.getvalue()[1:-1]


def read_csv(
    path: Path, columns: Sequence[str] | None = None, *, by_hand: bool = False
) -> list[dict[str, str]]:
    """The rows of a CSV file, as texts by column; ``columns`` is the header it must have.

    Args:
        path: of the file.
        columns: None: any.
        by_hand: somebody else wrote the file, and may have left its last line without an end.

    Raises:
        DataError: the file is missing or cut off, has another header, or a row has too few or too
            many cells.
    """
    return list(csv_rows(path, columns, by_hand=by_hand))


def csv_rows(
    path: Path, columns: Sequence[str] | None = None, *, by_hand: bool = False
) -> Iterator[dict[str, str]]:
    """The same one by one, for files whose rows together would fill the memory."""
    rows = csv_cells(path, by_hand=by_hand)
    header = next(rows)
    if columns is not None:
        _require_columns(path, header, columns)
    for row in rows:
        # Three times as fast as csv.DictReader: a run may have a million rows.
        yield dict(zip(header, row, strict=True))


def csv_cells(path: Path, *, by_hand: bool = False) -> Iterator[list[str]]:
    """The header of a CSV file, then its rows, as lists of as many texts; see ``read_csv``.

    Raises:
        DataError: the file is missing or cut off, or a row has too few or too many cells.
    """
    require_file(path)
    try:
        with _text(path) as stream:
            reader = csv.reader(stream)
            header = next(reader, list[str]())
            yield header
            for number, row in enumerate(filter(None, reader), start=2):
                if len(row) != len(header):
                    raise DataError(
                        f"{path}, line {number}: not as many cells as the header has columns"
                    )
                yield row
            if header and not by_hand and is_cut(path):
                raise DataError(f"{path}: cut off in its last line, so something has shortened it")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None


def is_cut(path: Path) -> bool:
    """Whether a file that nasrun wrote line by line lacks its end; packed ones say so themselves.

    Files take their names when they are whole, but a machine that loses its power, or a copy that
    is broken off, may leave less.
    """
    if path.suffix == ".gz":
        return False
    with path.open("rb") as stream:
        if stream.seek(0, os.SEEK_END) == 0:
            return True
        stream.seek(-1, os.SEEK_END)
        return stream.read() != b"\n"


def _text(path: Path) -> TextIO:
    opens = gzip.open if path.suffix == ".gz" else open
    return cast("TextIO", opens(path, "rt", encoding="utf-8", newline=""))


def _require_columns(path: Path, found: Sequence[str], columns: Sequence[str]) -> None:
    if tuple(found) != tuple(columns):
        missing = [name for name in columns if name not in found] or "another order"
        raise DataError(
            f"{path}: expected the columns of this version of nasrun, found a file without "
            f"{missing}: play it again in a new folder, or read it with the nasrun that wrote it"
        )


def join_csv(parts: Sequence[Path], path: Path) -> None:
    """Write the rows of ``parts``, which share a header, into one file, in the order given."""
    with atomic(path) as joined:
        for number, part in enumerate(parts):
            with part.open(encoding="utf-8", newline="") as stream:
                header = stream.readline()
                if number == 0:
                    joined.write(header)
                shutil.copyfileobj(stream, joined)


def folders_with(folder: Path, name: str, without: Collection[str]) -> Iterator[Path]:
    """Folders at or below ``folder`` that hold a file ``name``; not below those called ``without``.

    Nor below one that holds it: what else was put there is another's. A link counts where it leads
    to such a folder elsewhere, as when one was moved to another disk; what else is linked is not
    looked through. A folder that vanishes meanwhile is passed over.
    """
    for place, below, files in os.walk(folder):
        below[:] = [own for own in below if own not in without]
        if name in files:
            yield Path(place)
            below.clear()
        for link in (Path(place, own) for own in below):
            linked = link.is_symlink() and (link / name).is_file()
            if linked and not link.resolve().is_relative_to(folder.resolve()):
                yield link


def write_json(path: Path, content: Any) -> None:
    """Write a value as indented JSON."""
    with atomic(path) as stream:
        json.dump(content, stream, indent=2)
        stream.write("\n")


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        DataError: missing, no plain file, or not JSON.
    """
    try:
        return read_json_bytes(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
