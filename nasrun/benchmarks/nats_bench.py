"""Reader of NATS-Bench, for topology (``tss``) and for size (``sss``).

In the "simple" format, a folder holds ``meta.pickle.pbz2`` and one ``NNNNNN.pickle.pbz2`` per
architecture: pickles compressed with bzip2, which hold by training schedule (``12`` and ``200``, or
``01``, ``12`` and ``90``) what ``ArchResults.state_dict`` of the official package gives (Dong et
al., TPAMI 2021). Names without ``.pickle``, and numbers without leading zeros, are read as well.
The folder may still be in its tar file, or in a zip. ``NATS-*.pickle.pbz2`` is the whole benchmark
as one pickle.
"""

import re
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasrun.benchmarks import nasbench201
from nasrun.benchmarks.records import Collector
from nasrun.benchmarks.source import Watch
from nasrun.benchmarks.table import Frame
from nasrun.benchmarks.unpickle import RECORDS, load_restricted
from nasrun.errors import DataError
from nasrun.input_files import BROKEN, read_bytes, read_member, read_up_to, require_file, unpack

RECORD = re.compile(r"([0-9]{1,9})(\.pickle)?\.pbz2")
META = ("meta.pickle.pbz2", "meta.pbz2")
SIZE = 32_768  # architectures of the larger space


@dataclass(frozen=True)
class _Member:
    """A file of the simple format: its name, its content, and how far reading is, in parts."""

    name: str
    data: bytes
    done: int
    parts: int


def read(path: Path, watch: Watch | None = None) -> Frame:
    """Accuracies run by run, seconds and latency of the architectures in a folder or archive.

    Every epoch of the short trainings is kept, the last one of the long ones.

    Raises:
        DataError: not such a folder or archive, or a file in it that is damaged.
    """
    if path.is_dir():
        return _collected(path, _in_folder(path), watch)
    require_file(path)
    if path.name.endswith(".pbz2"):
        return nasbench201.read(path, watch)
    members = _in_zip(path) if zipfile.is_zipfile(path) else _in_tar(path)
    try:
        return _collected(path, members, watch)
    except (tarfile.TarError, *BROKEN) as error:
        raise DataError(f"{path}: not a complete tar or zip file ({error}); get it again") from None


def _in_folder(folder: Path) -> Iterator[_Member]:
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror})") from None
    wanted = sorted(filter(_belongs, names), key=lambda name: (_number(name), name))
    for done, name in enumerate(wanted, start=1):
        yield _Member(name, read_bytes(folder / name), done, len(wanted))


def _in_zip(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        wanted = [name for name in archive.namelist() if _belongs(_base(name))]
        for done, name in enumerate(wanted, start=1):
            yield _Member(_base(name), read_member(archive, name), done, len(wanted))


def _in_tar(path: Path) -> Iterator[_Member]:
    """In the order of the file, because it may be compressed as a whole."""
    with path.open("rb") as raw, tarfile.open(fileobj=raw) as archive:
        for entry in archive:
            stream = archive.extractfile(entry) if entry.isfile() else None
            if stream is not None and _belongs(_base(entry.name)):
                data = read_up_to(stream, f"{path}: {entry.name}")
                yield _Member(_base(entry.name), data, raw.tell(), path.stat().st_size)


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _belongs(name: str) -> bool:
    return name in META or RECORD.fullmatch(name) is not None


def _number(name: str) -> int:
    """That of an architecture's file; -1 for the list of all."""
    found = RECORD.fullmatch(name)
    return -1 if found is None else int(found[1])


@dataclass
class _Read:
    """What has been read: by number, the file and its architecture; and the list of all."""

    names: dict[int, str] = field(default_factory=dict[int, str])
    archs: dict[int, str] = field(default_factory=dict[int, str])
    listed: Sequence[str] | None = None


def _collected(where: Path, members: Iterator[_Member], watch: Watch | None) -> Frame:
    collector, read = Collector(SIZE), _Read()
    for member in members:
        content = _load(member, where)
        number = _number(member.name)
        if number < 0:
            read.listed = _architectures(content, where / member.name)
            continue
        first = read.names.setdefault(number, member.name)
        if number in read.archs:
            raise DataError(
                f"{where}: {first} and {member.name} are both number {number}: delete one"
            )
        read.archs[number] = _add(collector, content, where / member.name)
        if watch is not None:
            watch(member.done, member.parts)
    if not read.archs:
        raise DataError(
            f"{where}: expected NATS-Bench's simple format, {META[0]} and files such as "
            "000000.pickle.pbz2, found none: name the folder or archive that has them"
        )
    _check_numbers(read, where)
    return collector.frame()


def _load(member: _Member, where: Path) -> Any:
    path = where / member.name
    return load_restricted(unpack(member.data, path), RECORDS, path)


def _architectures(meta: object, path: Path) -> Sequence[str]:
    """Texts of all architectures of the benchmark, in the order of their numbers."""
    listed = meta.get("meta_archs") if isinstance(meta, Mapping) else None
    if not isinstance(listed, Sequence):
        raise DataError(f"{path}: expected a list of architectures under 'meta_archs', found none")
    return listed


def _add(collector: Collector, record: object, path: Path) -> str:
    """Take the figures of an architecture; returns its text."""
    if not isinstance(record, Mapping) or not record:
        raise DataError(f"{path}: expected training records by schedule, found {type(record)}")
    texts = set[str]()
    for results in record.values():
        collector.add(results, str(path))
        texts.add(str(results["arch_str"]))
    if len(texts) > 1:
        raise DataError(f"{path}: expected the records of one architecture, found {len(texts)}")
    return texts.pop()


def _check_numbers(read: _Read, where: Path) -> None:
    for number, arch in read.archs.items():
        listed = read.listed
        if listed is not None and (number >= len(listed) or listed[number] != arch):
            raise DataError(
                f"{where / read.names[number]}: its architecture {arch} is not number {number} of "
                "the list of architectures beside it"
            )
