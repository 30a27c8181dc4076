"""Which pictures of a folder or zip have which masks, and which part each belongs to."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

import numpy as np

from nasrun.errors import DataError
from nasrun.images import draw
from nasrun.input_files import shown
from nasrun.streams import Ints
from nasrun.tasks.folder_listing import VALID_NAMES
from nasrun.tasks.masked_pictures import Pair
from nasrun.tasks.picture_files import SUFFIXES
from nasrun.tasks.trees import Member, Tree, TreeFile

log = logging.getLogger("nasrun")


@dataclass(frozen=True)
class MaskListing:
    """Pairs of each part; ``cut`` parts ``test`` into validation and test pictures, if given."""

    tree: Tree
    train: Sequence[Pair]
    test: Sequence[Pair]
    cut: tuple[Ints, Ints] | None
    origin: str


def pairs_in(tree: Tree, pictures: str, masks: str, ends: tuple[str, str] = ("", "")) -> list[Pair]:
    """Names of pictures below a folder and of their masks below another, sorted.

    A picture and its mask have the same name below their folders, but for the suffix and what
    ``ends`` says that they end with. Other masks, and pictures with another end, are passed over;
    a warning counts the masks that have the right end.

    Raises:
        DataError: no picture, or one without a mask.
    """
    named = {_key(name, pictures, ends[0]): name for name in _ending(tree, pictures, ends[0])}
    masked = {_key(name, masks, ends[1]): name for name in _ending(tree, masks, ends[1])}
    where = shown(tree.root)
    if not named:
        raise DataError(f"{where}: expected pictures in {pictures}/, found none")
    if missing := sorted(named.keys() - masked.keys()):
        raise DataError(
            f"{where}: {named[missing[0]]} has no mask in {masks}/ ({len(missing)} of "
            f"{len(named)} pictures have none): add them, or take the pictures away"
        )
    if others := sorted(masked.keys() - named.keys()):
        log.warning(
            "%s: %d masks have no picture and are passed over, such as %s",
            where, len(others), masked[others[0]],
        )  # fmt: skip
    return [(_file(tree, named[key]), _file(tree, masked[key])) for key in sorted(named)]


def places_of(tree: Tree, pairs: Sequence[Pair]) -> dict[str, Path]:
    """The zip file, or the folders with pictures and masks, named as the tree has them."""
    if tree.zipped:
        return {shown(Path(tree.root.name)): tree.root}
    folders = {file.parent for file in chain.from_iterable(pairs) if isinstance(file, Path)}
    return {shown(folder.relative_to(tree.root)): folder for folder in sorted(folders)}


def list_masks(tree: Tree, pictures: str, masks: str, test_share: float, seed: int) -> MaskListing:
    """What a folder or zip holds in ``pictures/`` and ``masks/``.

    They may be parted into ``train``, ``val`` and ``test``, above or below: ``train/pictures/`` or
    ``pictures/train/``. Parts that are not there are drawn from the training pictures.

    Args:
        tree: of the files.
        pictures: name of the folder with the pictures.
        masks: of that with the masks.
        test_share: of the training pictures, where there is no ``test``.
        seed: of that draw.

    Raises:
        DataError: no picture, or one without a mask.
    """
    train = _part(tree, "train", pictures, masks)
    parted = train is not None
    if train is None:
        train = pairs_in(tree, pictures, masks)
    test = _part(tree, "test", pictures, masks) if parted else None
    found = (_part(tree, name, pictures, masks) for name in VALID_NAMES)
    valid = next((part for part in found if part is not None), None) if parted else None
    origin = shown(Path(tree.root.name))
    if test is None:
        count = max(round(test_share * len(train)), 1)
        chosen = set(draw(np.arange(len(train))[:, None], count, seed, "folder/test").tolist())
        test = [train[at] for at in sorted(chosen)]
        train = [pair for at, pair in enumerate(train) if at not in chosen]
        origin += f"; test pictures drawn by seed {seed}"
    if valid is None:
        return MaskListing(tree, train, test, None, origin)
    both = [*valid, *test]
    cut = np.arange(len(valid)), np.arange(len(valid), len(both))
    return MaskListing(tree, train, both, cut, origin)


def _part(tree: Tree, part: str, pictures: str, masks: str) -> list[Pair] | None:
    """Pairs of a part of this name; None: there is none."""
    for place in (f"{part}/{{}}", f"{{}}/{part}"):
        own = place.format(pictures)
        if tree.below(own):
            return pairs_in(tree, own, place.format(masks))
    return None


def _ending(tree: Tree, folder: str, end: str) -> list[str]:
    """Names of pictures below a folder whose own names end so."""
    paths = map(PurePosixPath, tree.below(folder))
    return [str(p) for p in paths if p.suffix.lower() in SUFFIXES and p.stem.endswith(end)]


def _key(name: str, folder: str, end: str) -> str:
    """What a picture and its mask share."""
    return str(PurePosixPath(name).relative_to(folder).with_suffix("")).removesuffix(end)


def _file(tree: Tree, name: str) -> TreeFile:
    return Member(tree.root, name) if tree.zipped else tree.root / name
