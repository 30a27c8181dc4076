"""Folders of tiny pictures with masks, as data sets of segmentation lay them out."""

import numpy as np
from PIL import Image

from nasrun.tasks.cityscapes import LABEL_IDS

LEVELS = (40, 120, 200)  # brightness of three classes


def save(path, array, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.asarray(array))
    (picture if mode is None else picture.convert(mode)).save(path)


def striped(number, size=(16, 24)):
    """``(H, W)`` classes 0 to 2 in stripes of varying places."""
    columns = (np.arange(size[1]) + number) * 3 // size[1] % 3
    return np.broadcast_to(columns, size).astype(np.uint8)


def bright(classes):
    """``(..., H, W, 3)`` pictures that show them."""
    return np.array(LEVELS, np.uint8)[classes][..., None].repeat(3, axis=-1)


def masked_folder(root, count=10, pictures="images", masks="masks", size=(16, 24), write=None):
    """Pairs of pictures and masks; ``write`` makes a mask's numbers of its classes."""
    for number in range(count):
        classes = striped(number, size)
        save(root / pictures / f"p{number}.png", bright(classes))
        save(root / masks / f"p{number}.png", classes if write is None else write(classes))
    return root


def city_folder(root, sizes=(6, 2), shape=(16, 32)):
    """Cityscapes' layout with road, sidewalk and building, a few odd ids, and other files."""
    for part, count in zip(("train", "val"), sizes, strict=True):
        for number in range(count):
            stem = f"{part}/aachen/aachen_{number:06d}_000019"
            classes = striped(number, shape)
            ids = np.array(LABEL_IDS, np.uint8)[classes]
            ids[0, 0], ids[0, 1] = 4, 255  # static, and -1 in 8 bits
            save(root / "leftImg8bit" / f"{stem}_leftImg8bit.png", bright(classes))
            save(root / "gtFine" / f"{stem}_gtFine_labelIds.png", ids)
            save(root / "gtFine" / f"{stem}_gtFine_color.png", bright(classes))
            save(root / "gtFine" / f"{stem}_gtFine_instanceIds.png", ids)
    return root
