"""Average precision as COCO defines it, by its own program."""

import contextlib
import io
import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nasrun.errors import ConfigError
from nasrun.spec import Tally

Rows = NDArray[np.float64]
OVERALL = {"map": 0, "ap50": 1}  # places in COCOeval's figures


class Finder(Protocol):
    """What turns a network's output into detections."""

    @property
    def judged_by(self) -> str:
        """``map`` or ``ap50``."""
        ...

    def detections(self, output: Tensor) -> list[Tensor]:
        """For each picture ``(k, 6)`` corners, score and class."""
        ...


class NotMeasured(Tally):
    """Counts images alone; the metric is not a number."""

    def _count(self, output: Tensor, target: Tensor) -> None:
        pass

    @property
    def value(self) -> float:
        """NaN."""
        return math.nan


class AveragePrecision(Tally):
    """Average precision of all batches, in %; NaN without a box that could be found.

    Overlaps do not depend on how a picture is stretched, but COCO's classes of size do, so that
    only figures over all sizes are given.
    """

    def __init__(self, finder: Finder) -> None:
        super().__init__()
        self._finder = finder
        self._truths, self._found = list[Rows](), list[Rows]()

    def _count(self, output: Tensor, target: Tensor) -> None:
        real = [rows[rows[:, 4] >= 0] for rows in target]
        self._truths += [rows.double().cpu().numpy() for rows in real]
        self._found += [rows.double().cpu().numpy() for rows in self._finder.detections(output)]

    @property
    def value(self) -> float:
        """The finder's metric."""
        return average_precisions(self._truths, self._found)[self._finder.judged_by]


def average_precisions(truths: Sequence[Rows], found: Sequence[Rows]) -> dict[str, float]:
    """``map`` (mean over overlaps .50 to .95) and ``ap50``, in %; NaN where nothing is there.

    A class without a box that is no crowd is left out of the means. Both come from pycocotools.

    Args:
        truths: for each picture ``(m, 6)`` corners, class and whether it is a crowd.
        found: for each picture ``(k, 6)`` corners, score and class.

    Raises:
        ConfigError: pycocotools is missing.
    """
    require_pycocotools()
    from pycocotools.cocoeval import COCOeval

    real = np.concatenate([*truths, np.zeros((0, 6))])
    if not (real[:, 5] == 0).any():
        return dict.fromkeys(OVERALL, math.nan)
    classes = sorted({int(kind) for kind in real[:, 4]})
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does
        pair = (_coco(truths, len(truths), classes, 4), _coco(found, len(truths), classes, 5))
        evaluation = COCOeval(*pair, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: 100.0 * float(evaluation.stats[at]) for name, at in OVERALL.items()}


def _coco(pictures: Sequence[Rows], count: int, classes: list[int], kind: int) -> Any:
    """Rows as the program's index of annotations; column ``kind`` has the class."""
    from pycocotools.coco import COCO

    annotations = list[dict[str, Any]]()
    for image, rows in enumerate(pictures):
        for row in rows:
            x0, y0, x1, y1 = map(float, row[:4])
            own = {
                "id": len(annotations) + 1,  # 0 would stand for no match
                "image_id": image,
                "category_id": int(row[kind]),
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": (x1 - x0) * (y1 - y0),
            }
            more = {"iscrowd": int(row[5])} if kind == 4 else {"iscrowd": 0, "score": float(row[4])}
            annotations.append(own | more)
    coco: Any = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in range(count)],
        "annotations": annotations,
        "categories": [{"id": own} for own in classes],
    }
    coco.createIndex()
    return coco


def require_pycocotools() -> None:
    """Refuse to go on without the package that computes average precision.

    Raises:
        ConfigError: it is missing.
    """
    try:
        import pycocotools.cocoeval  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"average precision needs pycocotools, which is not there ({error}): "
            'pip install "nasrun[detection]"'
        ) from None
