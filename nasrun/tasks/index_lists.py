"""Published index lists: which pictures of a data set belong to which part."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nasrun.errors import DataError
from nasrun.streams import Ints


def read_index_lists(path: Path, names: Sequence[str]) -> list[Ints]:
    """The lists of these names in a split file of AutoDL-Projects: ``{name: ["int", [...]]}``.

    Raises:
        DataError: another format, or a row in two lists.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        lists = [np.array(content[name][1], np.int64) for name in names]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(
            f"{path}: expected index lists named {' and '.join(names)} ({error}); get it again"
        ) from None
    rows = np.concatenate(lists)
    if len(np.unique(rows)) < len(rows) or rows.min(initial=0) < 0:
        raise DataError(f"{path}: a row stands in it twice or is negative; get the file again")
    return lists
