"""COCO's instances files: which boxes of which classes are in which picture."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nasrun.errors import DataError
from nasrun.images import NO_BOX
from nasrun.input_files import MIB, read_json_bytes
from nasrun.streams import Ints
from nasrun.tasks.trees import TreeFile, file_name, read_file

log = logging.getLogger("nasrun")

LIMIT = 2048 * MIB  # bytes of a file; COCO's own for training has 448 MiB
COLUMNS = 6  # of a box: x0, y0, x1, y1, class, crowd
EDGE = 1.0  # pixels by which a rounded box may reach over the edge of its picture
SHORT = 80  # characters of an entry that an error shows

Boxes = NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True)
class BoxedPicture:
    """A picture as the file describes it.

    ``boxes (m, 6)`` are ``x0, y0, x1, y1`` in its pixels, from the upper left corner; the class,
    numbered from 0; and 1 for a box around a crowd, 0 for one around a single thing.
    """

    name: str
    width: int
    height: int
    boxes: Boxes


@dataclass(frozen=True)
class Instances:
    """What an instances file says.

    Classes are numbered from 0 in the order of their ``category_ids``, which may have gaps.
    """

    pictures: Sequence[BoxedPicture]
    category_ids: tuple[int, ...]
    names: tuple[str, ...]

    def some(self, rows: Ints) -> "Instances":
        """The pictures of these rows."""
        return replace(self, pictures=[self.pictures[row] for row in rows])

    def __add__(self, other: "Instances") -> "Instances":
        """The pictures of two files of the same classes.

        Raises:
            DataError: other classes.
        """
        for own, theirs in ((self.category_ids, other.category_ids), (self.names, other.names)):
            if own != theirs:
                odd = sorted(set(own) ^ set(theirs), key=str) or [theirs]
                raise DataError(
                    "two instances files of one data set list other categories, such as "
                    f"{str(odd[0])[:SHORT]}: give all of them the same list"
                )
        return replace(self, pictures=[*self.pictures, *other.pictures])

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each picture."""
        return [(picture.width, picture.height) for picture in self.pictures]

    def targets(self, px: int) -> Boxes:
        """``(n, M, 6)`` boxes of pictures squeezed to squares of ``px`` pixels, with padding.

        Rows beyond a picture's own boxes have the class ``NO_BOX``.
        """
        most = max((len(picture.boxes) for picture in self.pictures), default=0)
        out = np.zeros((len(self.pictures), max(most, 1), COLUMNS), np.float32)
        out[..., 4] = NO_BOX
        for own, picture in zip(out, self.pictures, strict=True):
            own[: len(picture.boxes)] = picture.boxes
            own[:, [0, 2]] *= px / picture.width
            own[:, [1, 3]] *= px / picture.height
        return out


def read_instances(file: TreeFile) -> Instances:
    """The pictures, boxes and classes of an instances file.

    Polygons and run lengths (``segmentation``) are passed over, and so are boxes without a surface
    in their picture; one that reaches over the edge is clipped. The log counts both. A picture
    without boxes stays one.

    Raises:
        DataError: not such a file, or one that contradicts itself.
    """
    try:
        content = read_json_bytes(read_file(file, LIMIT))
    except ValueError as error:
        raise DataError(
            f"{file_name(file)}: expected an instances file as COCO has them, found no JSON "
            f"({error}); get it again"
        ) from None
    reading = _Reading(file)
    images, annotations, categories = (
        reading.entries(content, key) for key in ("images", "annotations", "categories")
    )
    names = reading.unique(categories, "categories", _category)
    places = {own: place for place, own in enumerate(sorted(names))}
    pictures = reading.unique(images, "images", _picture)
    boxes: dict[int, list[Sequence[float]]] = {own: [] for own in pictures}
    lost = Counter[str]()
    for entry in annotations:
        picture, category, box, crowd = reading.each("annotations", entry, _annotation)
        if picture not in pictures or category not in places:
            key, value = ("image_id", picture)
            if picture in pictures:
                key, value = ("category_id", category)
            raise reading.fault(f"no entry for the {key} {value} of an annotation")
        _, width, height = pictures[picture]
        corners = _clipped(box, width, height, lost)
        if corners is not None:
            boxes[picture].append((*corners, places[category], crowd))
    for what, count in lost.items():
        log.warning("%d boxes of %s %s", count, file_name(file), what)
    return Instances(
        [
            BoxedPicture(*about, np.array(boxes[own], np.float32).reshape(-1, COLUMNS))
            for own, about in pictures.items()
        ],
        tuple(places),
        tuple(names[own] for own in places),
    )


@dataclass(frozen=True)
class _Reading:
    """Entries of a file, checked one by one; an error names the file and the entry."""

    file: TreeFile

    def fault(self, words: str) -> DataError:
        return DataError(
            f"{file_name(self.file)}: expected an instances file as COCO has them, found {words}; "
            "get it again or correct it"
        )

    def entries(self, content: object, key: str) -> list[object]:
        """The list of a key, of which images and categories may not be empty."""
        found = content.get(key) if isinstance(content, Mapping) else None
        if not isinstance(found, list):
            raise self.fault(f"no list {key!r}")
        if not found and key != "annotations":
            raise self.fault(f"an empty list {key!r}")
        return found

    def each(self, kind: str, entry: object, parse: Callable[[Mapping[str, Any]], T]) -> T:
        """What ``parse`` makes of an entry."""
        try:
            if not isinstance(entry, Mapping):
                raise TypeError("no mapping")
            return parse(entry)
        except KeyError as error:
            words = f"no {error.args[0]!r}"
        except (TypeError, ValueError, OverflowError) as error:
            words = str(error)
        raise self.fault(f"among the {kind} {str(entry)[:SHORT]!r} with {words}")

    def unique(
        self, entries: list[object], kind: str, parse: Callable[[Mapping[str, Any]], tuple[int, T]]
    ) -> dict[int, T]:
        """What ``parse`` makes of the entries, by their ids."""
        found = dict[int, T]()
        for entry in entries:
            own, value = self.each(kind, entry, parse)
            if own in found:
                raise self.fault(f"the id {own} twice among the {kind}")
            found[own] = value
        return found


def _category(entry: Mapping[str, Any]) -> tuple[int, str]:
    return _whole(entry["id"], "id"), _text(entry["name"], "name")


def _picture(entry: Mapping[str, Any]) -> tuple[int, tuple[str, int, int]]:
    width, height = (_whole(entry[key], key) for key in ("width", "height"))
    if min(width, height) < 1:
        raise ValueError(f"a size of {width}x{height} pixels")
    return _whole(entry["id"], "id"), (_text(entry["file_name"], "file_name"), width, height)


def _annotation(entry: Mapping[str, Any]) -> tuple[int, int, list[float], bool]:
    box = entry["bbox"]
    if not isinstance(box, list) or len(box) != 4:
        raise ValueError("a bbox other than [x, y, width, height]")
    numbers = [_number(value) for value in box]
    crowd = entry.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise ValueError(f"iscrowd {str(crowd)[:SHORT]!r}, which is neither 0 nor 1")
    picture, category = (_whole(entry[key], key) for key in ("image_id", "category_id"))
    return picture, category, numbers, bool(crowd)


def _clipped(
    box: Sequence[float], width: int, height: int, lost: Counter[str]
) -> tuple[float, float, float, float] | None:
    """Corners of the part in the picture, None if it has no surface; ``lost`` counts changes."""
    x, y, across, down = box
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + across, float(width)), min(y + down, float(height))
    if across <= 0 or down <= 0:
        lost["have no width or no height and are left out"] += 1
        return None
    if right <= left or bottom <= top:
        lost["lie outside of their pictures and are left out"] += 1
        return None
    if max(-x, -y, x + across - width, y + down - height) > EDGE:
        lost["reach over the edge of their pictures and are clipped"] += 1
    return left, top, right, bottom


def _whole(value: object, key: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{key} {str(value)[:SHORT]!r}, which is no whole number")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError(f"a bbox that holds {str(value)[:SHORT]!r}, which is no number")
    return float(value)


def _text(value: object, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{key} {str(value)[:SHORT]!r}, which is no text")
    return value
