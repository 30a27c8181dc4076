"""From a list of sources to one table, cached as one memory-mapped file."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nasrun.benchmarks.checksum import sha256
from nasrun.benchmarks.merge import Merge
from nasrun.benchmarks.plausible import CHECKED
from nasrun.benchmarks.readers import READERS
from nasrun.benchmarks.source import Reader, Source, Watch
from nasrun.benchmarks.store import FORMAT, open_table, space_id, write_table
from nasrun.benchmarks.table import DatasetNames, Table
from nasrun.errors import ConfigError, DataError
from nasrun.spec import SearchSpace

__all__ = ["Source", "load_table"]

log = logging.getLogger("nasrun")

COMMAND = "the command"  # stands for the config key in what ``convert`` refuses


@dataclass(frozen=True)
class _Found:
    """A source whose files are at hand."""

    name: str
    source: Source
    reader: Reader
    files: list[Path]
    sha256: dict[str, str]

    def identity(self) -> list[object]:
        """What decides which figures it gives: its files' content and how they are read."""
        settings = asdict(self.source)
        for place in ("paths", "folders", "auto"):
            del settings[place]
        return [self.name, settings, self.sha256]


def load_table(
    tables: Mapping[str, Source],
    names: Sequence[str],
    space: SearchSpace,
    cache_dir: Path,
    where: str = "evaluator.sources",
) -> Table:
    """The table of the named sources, merged; the first one wins where two give a figure.

    Args:
        tables: all known sources by name.
        names: those to read; none: every one of this space whose files are at hand.
        space: the space whose architectures the rows are.
        cache_dir: folder that keeps parsed tables.
        where: the config key that holds ``names``, for refusals.

    Raises:
        ConfigError: an unknown name, a source of another space, or one whose files are missing.
        DataError: a file that cannot be read, or sources that grossly disagree.
    """
    folder = cache_dir / "tables"
    found = _find(tables, names, space, folder / "sha256.json", where)
    path = folder / f"{_key(found, space)}.safetensors"
    table = _cached(path, space) or _build(found, space, path)
    for conflict in table.conflicts:
        log.warning(conflict)
    return table


def _find(
    tables: Mapping[str, Source],
    names: Sequence[str],
    space: SearchSpace,
    memory: Path,
    where: str,
) -> list[_Found]:
    own = [name for name, source in tables.items() if source.space == space.name]
    found = []
    for name in dict.fromkeys(names or [name for name in own if tables[name].auto]):
        source, reader = _known(name, tables, space, where)
        files = reader.files(source)
        if files or not reader.needs_files:
            digests = {f"{name}/{file.name}": sha256(file, memory) for file in files}
            found.append(_Found(name, source, reader, files, digests))
        elif names:
            raise _missing(name, source, reader, where)
    if not found:
        readers = [READERS[tables[name].reader] for name in own if tables[name].reader in READERS]
        official = next((f"; {reader.official}" for reader in readers if reader.official), "")
        raise ConfigError(
            f"no table of space={space.name} is at hand: set data_dir (or NASRUN_DATA) to a folder "
            f"that holds one, or name one in {where}; conf/tables knows "
            f"{', '.join(own) or 'none of this space'}{official}"
        )
    return found


def _missing(name: str, source: Source, reader: Reader, where: str) -> ConfigError:
    places = ", ".join(str(path) for path in source.candidates()) or "no path at all"
    cure = reader.official or reader.cure
    return ConfigError(
        f"{where} names {name}, whose file is not there (looked for {places}): {cure}"
    )


def _known(
    name: str, tables: Mapping[str, Source], space: SearchSpace, where: str
) -> tuple[Source, Reader]:
    if name not in tables:
        raise ConfigError(f"{where} names {name!r}, which is none of {', '.join(tables)}")
    source = tables[name]
    if source.space != space.name:
        raise ConfigError(
            f"{where} names {name}, a table of space={source.space}, but the run has "
            f"space={space.name}"
        )
    if source.reader not in READERS:
        raise ConfigError(
            f"tables.{name}.reader={source.reader} is unknown: use one of {', '.join(READERS)}"
        )
    return source, READERS[source.reader]


def _key(found: Sequence[_Found], space: SearchSpace) -> str:
    content = [FORMAT, CHECKED, space_id(space), [entry.identity() for entry in found]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def _cached(path: Path, space: SearchSpace) -> Table | None:
    if not path.exists():
        return None
    try:
        return open_table(path, space)
    except DataError as error:
        log.warning("%s: it is built anew", error)
        return None


def _build(found: Sequence[_Found], space: SearchSpace, path: Path) -> Table:
    """Read and merge the sources, and keep the result; two processes at once do no harm."""
    merge = Merge(space)
    for entry in found:
        frame = entry.reader.read(entry.source, entry.files, space, None)
        merge.add(entry.name, frame, entry.source.metrics)
    names = [entry.name for entry in found]
    if merge.archs is not None and not len(merge.archs):
        raise DataError(
            f"tables {', '.join(names)}: expected figures of some architectures of "
            f"space={space.name}, found none: get other files, or use evaluator=training"
        )
    files = {name: digest for entry in found for name, digest in entry.sha256.items()}
    datasets = {task: own for entry in reversed(found) for task, own in _names(entry.source)}
    table = Table(
        space, merge.archs, merge.columns(), files, names, merge.conflicts, datasets, merge.curves
    )
    try:
        write_table(path, table, space)
    except OSError as error:
        log.warning("cannot keep the parsed table in %s (%s): set cache_dir", path.parent, error)
        return table
    return open_table(path, space)


def _names(source: Source) -> Iterator[tuple[str, DatasetNames]]:
    """What the files call the images of each task that the config names."""
    for task, names in source.datasets.items():
        if len(names) != 2:
            raise ConfigError(
                f"tables: datasets.{task} must name the images of the search and those of the "
                f"final score, such as [cifar10-valid, cifar10], got {names}"
            )
        yield task, DatasetNames(*names)


def convert(source: Source, out: Path, space: SearchSpace, watch: Watch | None = None) -> Table:
    """Read one source, with a report of progress, into a file that ``reader: converted`` reads.

    Raises:
        ConfigError: the source's file is not there.
        DataError: it cannot be read, or ``out`` cannot be written.
    """
    _, reader = _known(source.reader, {source.reader: source}, space, COMMAND)
    files = reader.files(source)
    if not files:
        raise _missing(source.reader, source, reader, COMMAND)
    merge = Merge(space)
    merge.add(source.reader, reader.read(source, files, space, watch), source.metrics)
    digests = {file.name: sha256(file, out.parent / f".{out.name}.sha256.json") for file in files}
    table = Table(
        space, merge.archs, merge.columns(), digests, [source.reader], merge.conflicts,
        curves=merge.curves,
    )  # fmt: skip
    try:
        write_table(out, table, space)
    except OSError as error:
        raise DataError(f"cannot write {out}: {error.strerror}; choose another place") from None
    return table
