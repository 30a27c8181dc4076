"""Unpickling that can build plain data and nothing else.

A pickle may call any function it names. These readers accept benchmark files from the internet,
so a name outside an explicit list is refused before anything runs.
"""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from nasrun.errors import DataError


class _Restricted(pickle.Unpickler):
    def __init__(self, stream: BinaryIO, allowed: Mapping[tuple[str, str], Any]) -> None:
        super().__init__(stream)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise DataError(
                f"refused: it asks for {module}.{name}, which is not plain data"
            ) from None


def load_restricted(data: bytes, allowed: Mapping[tuple[str, str], Any], where: str | Path) -> Any:
    """The object in ``data``, built from plain types and the ``allowed`` (module, name) pairs.

    Raises:
        DataError: a name that is not allowed, or bytes that are no complete pickle.
    """
    try:
        return _Restricted(io.BytesIO(data), allowed).load()
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    except Exception as error:
        raise DataError(
            f"{where}: not a complete pickle ({type(error).__name__}: {error})"
        ) from None


def load_plain(path: Path) -> Any:
    """The object of a pickle file that holds dicts, lists, texts and numbers only."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    return load_restricted(data, {}, path)
