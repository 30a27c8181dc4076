"""Reader of NATS-Bench's "simple" folders, for topology (``tss``) and for size (``sss``).

A folder holds ``meta.pickle.pbz2`` and one ``NNNNNN.pickle.pbz2`` per architecture: pickles
compressed with bzip2, which hold by training schedule (``12`` and ``200``, or ``01``, ``12`` and
``90``) what ``ArchResults.state_dict`` of the official package gives (Dong et al., TPAMI 2021).
Names without ``.pickle``, and numbers without leading zeros, are read as well.
"""

import bz2
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nasrun.benchmarks.records import Collector
from nasrun.benchmarks.source import Watch
from nasrun.benchmarks.table import Frame
from nasrun.benchmarks.unpickle import RECORDS, load_restricted, read_bytes
from nasrun.errors import DataError

RECORD = re.compile(r"([0-9]+)(\.pickle)?\.pbz2")
META = ("meta.pickle.pbz2", "meta.pbz2")


def read(folder: Path, watch: Watch | None = None) -> Frame:
    """Accuracies run by run, seconds and latency of the architectures in a folder.

    Every epoch of the short trainings is kept, the last one of the long ones.

    Raises:
        DataError: not such a folder, or a file in it that is damaged.
    """
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror})") from None
    records = _records(folder, names)
    meta = next((folder / name for name in META if name in names), None)
    known = None if meta is None else _architectures(meta)
    collector = Collector(len(records))
    for done, (number, path) in enumerate(sorted(records.items()), start=1):
        _add(collector, _load(path), path, number, known)
        if watch is not None:
            watch(done, len(records))
    return collector.frame()


def _records(folder: Path, names: Sequence[str]) -> dict[int, Path]:
    """The files of the architectures by number."""
    records: dict[int, Path] = {}
    for name in names:
        if found := RECORD.fullmatch(name):
            first = records.setdefault(int(found[1]), folder / name)
            if first.name != name:
                raise DataError(
                    f"{folder}: {first.name} and {name} are both number {int(found[1])}: delete one"
                )
    if not records:
        raise DataError(
            f"{folder}: expected NATS-Bench's simple format, {META[0]} and files such as "
            "000000.pickle.pbz2, found none: unpack the archive and name its folder"
        )
    return records


def _load(path: Path) -> Any:
    try:
        data = bz2.decompress(read_bytes(path))
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path}: not a complete bzip2 file ({error}); get it again") from None
    return load_restricted(data, RECORDS, path)


def _architectures(path: Path) -> Sequence[str]:
    """Texts of all architectures of the benchmark, in the order of their numbers."""
    meta = _load(path)
    if not isinstance(meta, Mapping) or "meta_archs" not in meta:
        raise DataError(f"{path}: expected a list of architectures under 'meta_archs', found none")
    return meta["meta_archs"]


def _add(
    collector: Collector, record: Any, path: Path, number: int, known: Sequence[str] | None
) -> None:
    if not isinstance(record, Mapping) or not record:
        raise DataError(f"{path}: expected training records by schedule, found {type(record)}")
    for results in record.values():
        collector.add(results, str(path))
        if known is not None and (number >= len(known) or known[number] != results["arch_str"]):
            raise DataError(
                f"{path}: its architecture {results['arch_str']} is not number {number} of the "
                "folder's list of architectures"
            )
