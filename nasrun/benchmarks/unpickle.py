"""Unpickling that can build plain data and nothing else.

A pickle may call any function it names. These readers accept benchmark files from the internet,
so a name outside an explicit list is refused before anything runs, and what stands on the list is
an inert stand-in of ours rather than the library's own code.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

from nasrun.benchmarks.memo import require_small_memo
from nasrun.errors import DataError
from nasrun.input_files import read_bytes

Allowed = Mapping[tuple[str, str], Any]


class _Restricted(pickle.Unpickler):
    def __init__(self, stream: BinaryIO, allowed: Allowed, encoding: str) -> None:
        super().__init__(stream, encoding=encoding)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        return find_allowed(self._allowed, module, name)


def find_allowed(allowed: Allowed, module: str, name: str) -> Any:
    """What stands for ``module.name``.

    Raises:
        DataError: the name is not on the list.
    """
    try:
        return allowed[module, name]
    except KeyError:
        raise DataError(f"refused: it asks for {module}.{name}, which is not plain data") from None


def load_restricted(
    data: bytes, allowed: Allowed, where: str | Path, encoding: str = "ASCII"
) -> Any:
    """The object in ``data``, built from plain types and the ``allowed`` (module, name) pairs.

    Args:
        data: the pickle.
        allowed: what stands for the names that it may ask for.
        where: the file, for the sentence of an error.
        encoding: of the texts in a pickle that Python 2 wrote; ``latin1`` keeps their bytes.

    Raises:
        DataError: a name that is not allowed, bytes that are no complete pickle, or one that claims
            room for more than it can hold.
    """
    [content] = load_in_a_row(data, 1, allowed, where, encoding)
    return content


def load_in_a_row(
    data: bytes, count: int, allowed: Allowed, where: str | Path, encoding: str = "ASCII"
) -> list[Any]:
    """The objects of ``count`` pickles that follow each other; see ``load_restricted``.

    Raises:
        DataError: as there.
    """
    try:
        require_small_memo(data, count)
        stream = io.BytesIO(data)
        return [_Restricted(stream, allowed, encoding).load() for _ in range(count)]
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    except Exception as error:
        raise DataError(
            f"{where}: not a complete pickle ({type(error).__name__}: {error}); get the file again"
        ) from None


def load_plain(path: Path) -> Any:
    """The object of a pickle file that holds dicts, lists, texts and numbers only."""
    return load_restricted(read_bytes(path), {}, path)


class Inert:
    """Stands for a class of another library: keeps what the pickle gives it and does nothing."""

    state: Any = None

    def __init__(self, *args: Any) -> None:
        self.args = args

    def __setstate__(self, state: Any) -> None:
        self.state = state


class InertDtype(Inert):
    """Stands for ``numpy.dtype``: numbers and Python objects only."""

    codes: ClassVar[frozenset[str]] = frozenset({"f8", "f4", "i8", "i4", "u1", "b1", "O8", "O"})

    def numpy(self) -> "np.dtype[Any]":
        """The dtype it stands for.

        Raises:
            DataError: a kind that no benchmark file needs.
        """
        code, order = self.args[0], self.state[1] if self.state else "="
        if code not in self.codes:
            raise DataError(f"refused: an array of type {code!r}")
        return np.dtype(code if code.startswith("O") else f"{order}{code}".replace("|", ""))


class InertArray(Inert):
    """Stands for ``numpy.ndarray`` while it is rebuilt."""

    def numpy(self) -> NDArray[Any]:
        """The array that the pickle describes.

        Raises:
            DataError: its shape and its data do not fit.
        """
        try:
            _, shape, dtype, by_columns, data = self.state
            kind = dtype.numpy()
            data = data.encode("latin1") if isinstance(data, str) else data  # written by Python 2
            flat = np.array(data, kind) if kind.hasobject else np.frombuffer(data, kind)
            return flat.reshape(shape, order="F" if by_columns else "C")
        except (AttributeError, TypeError, ValueError) as error:
            raise DataError(f"an array is damaged ({error})") from None


def _empty_array(*_: Any) -> InertArray:
    return InertArray()


def _filled_array(data: bytes, dtype: InertDtype, shape: Any, order: str) -> InertArray:
    array = InertArray()
    array.state = (1, shape, dtype, order == "F", data)
    return array


def _number(dtype: InertDtype, data: bytes) -> float | int:
    return np.frombuffer(data, dtype.numpy())[0].item()


def _bytes(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise DataError(f"refused: bytes in the encoding {encoding!r}")
    return text.encode("latin1")


# numpy 2 renamed numpy.core; files written with either version name the same four things.
NUMPY: Allowed = {
    ("numpy", "dtype"): InertDtype,
    ("numpy", "ndarray"): InertArray,
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _empty_array),
            ("multiarray", "scalar", _number),
            ("numeric", "_frombuffer", _filled_array),
        )
    },
}
RECORDS: Allowed = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("_codecs", "encode"): _bytes,  # how protocol 2 writes bytes
    **NUMPY,
}
