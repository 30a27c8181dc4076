"""Published index lists: which pictures of a data set belong to which part."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nasrun.errors import DataError
from nasrun.input_files import MIB, read_bytes, read_json_bytes
from nasrun.streams import Ints

LIMIT = 64 * MIB


def read_index_lists(path: Path, names: Sequence[str]) -> list[Ints]:
    """The lists of these names in a split file of AutoDL-Projects: ``{name: ["int", [...]]}``.

    Raises:
        DataError: another format, or a row in two lists.
    """
    data = read_bytes(path, LIMIT)
    try:
        content = read_json_bytes(data)
        lists = [np.array(content[name][1], np.int64) for name in names]
    except (ValueError, OverflowError, KeyError, IndexError, TypeError) as error:
        raise DataError(
            f"{path}: expected index lists named {' and '.join(names)} ({error}); get it again"
        ) from None
    rows = np.concatenate(lists)
    if len(np.unique(rows)) < len(rows) or rows.min(initial=0) < 0:
        raise DataError(f"{path}: a row stands in it twice or is negative; get the file again")
    return lists
