"""Reader of benchmarks in one file: ``NAS-Bench-201-v1_1-*.pth`` and ``NATS-*.pickle.pbz2``.

``torch.load`` refuses these files since torch 2.6, because they hold more than weights; where it
may, the object tree takes some 28 GB. They are pickles of plain dicts, in one of torch's two
wrappings or compressed with bzip2. Here they run through a restricted unpickler that turns every
architecture into figures as soon as it is complete and empties it, so that nothing is held twice
and torch is not needed.
"""

import bz2
import io
import pickle
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, ClassVar

from nasrun.benchmarks.records import Collector
from nasrun.benchmarks.source import Watch
from nasrun.benchmarks.table import Frame
from nasrun.benchmarks.unpickle import RECORDS, Inert, find_allowed
from nasrun.errors import DataError
from nasrun.input_files import opened_unpacked, require_file

SIZE = 15_625
BUFFER = 2**20  # bytes read ahead
TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # opens the wrapping that torch used before 1.6
# Weights, where a file has any, are passed over.
ALLOWED = {
    **RECORDS,
    ("torch._utils", "_rebuild_tensor_v2"): Inert,
    ("torch", "FloatStorage"): Inert,
    ("torch", "LongStorage"): Inert,
}


def read(path: Path, watch: Watch | None = None) -> Frame:
    """Accuracies run by run, seconds and latency of the file's architectures.

    Every epoch of the 12-epoch trainings is kept, the last one of the 200-epoch trainings.

    Raises:
        DataError: not an official file, a damaged one, or one that asks for more than plain data.
    """
    collector = Collector(SIZE)

    def take(results: dict[Any, Any]) -> None:
        collector.add(results, str(path))
        if watch is not None:
            watch(min(stream.tell(), total), total)

    with pickle_in(path, "NAS-Bench-201 or NATS-Bench") as (stream, total):
        _Streaming(stream, take).load()
    if not len(collector):
        raise DataError(f"{path}: expected NAS-Bench-201's records in arch2infos, found none")
    return collector.frame()


class _Memo(list[Any]):
    """What a pickle may refer back to, numbered in order: a list, because it gets very long."""

    def __setitem__(self, place: Any, value: Any) -> None:
        if place == len(self):
            self.append(value)
        else:
            super().__setitem__(place, value)


_PythonUnpickler: Any = pickle._Unpickler  # pyright: ignore[reportAttributeAccessIssue]


class _Streaming(_PythonUnpickler):
    """The standard library's own Python unpickler, which hands records out as they are complete.

    Its C twin offers no place to step in. The memo keeps every text and dict of the file alive
    until the end, hence texts are shared and dicts emptied.
    """

    dispatch: ClassVar[dict[int, Any]] = dict(_PythonUnpickler.dispatch)

    def __init__(self, stream: IO[bytes], take: Callable[[dict[Any, Any]], None]) -> None:
        super().__init__(stream)
        self.memo = _Memo()
        self._take = take

    def find_class(self, module: str, name: str) -> Any:
        return find_allowed(ALLOWED, module, name)

    def persistent_load(self, pid: Any) -> Any:
        return Inert(pid)

    def load_text(self) -> None:
        super().load_binunicode()
        self.stack[-1] = sys.intern(self.stack[-1])

    def load_dict_items(self) -> None:
        super().load_setitems()
        results = self.stack[-1]
        if type(results) is dict and "arch_str" in results and "all_results" in results:
            self._take(results)
            for record in results["all_results"].values():
                for part in record.values():
                    if isinstance(part, dict):
                        part.clear()
                record.clear()
            results.clear()

    dispatch[pickle.BINUNICODE[0]] = load_text
    dispatch[pickle.SETITEMS[0]] = load_dict_items


@contextmanager
def pickle_in(path: Path, what: str) -> Iterator[tuple[IO[bytes], int]]:
    """The pickle inside a file of ``torch.save``, or in a compressed one, and how long it is.

    The length, in bytes, is that of the file where the pickle's own is not known.

    Raises:
        DataError: no complete file of ``what``, whether that is noticed here or by who reads it.
    """
    try:
        with _pickle_in(path) as found:
            yield found
    except DataError as error:
        raise DataError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:  # the unpickler answers garbage with nearly any error
        raise DataError(
            f"{path}: not a complete file of {what} ({error!r}); get it again"
        ) from None


@contextmanager
def _pickle_in(path: Path) -> Iterator[tuple[IO[bytes], int]]:
    size = require_file(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            inside = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
            with io.BufferedReader(archive.open(inside), BUFFER) as stream:  # pyright: ignore[reportArgumentType]
                yield stream, archive.getinfo(inside).file_size
    else:
        with opened_unpacked(path) as stream:
            if not isinstance(stream, bz2.BZ2File):
                _skip_preface(stream)
            yield stream, size


def _skip_preface(stream: IO[bytes]) -> None:
    """The three small pickles before the content: a magic number, a version, the machine."""
    magic = _Streaming(stream, lambda _: None).load()
    if magic != TORCH_MAGIC:
        raise DataError("expected a file of torch.save, found something else")
    for _ in range(2):
        _Streaming(stream, lambda _: None).load()
