"""Small data sets in COCO's layout: noise with bright rectangles, in a folder or a zip file."""

import io
import json
import zipfile

import numpy as np
from PIL import Image

CLASSES = [{"id": 4, "name": "wide"}, {"id": 40, "name": "tall"}]


def picture(size, boxes, seed):
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 60, (height, width, 3), np.uint8)
    for category, (x, y, w, h) in boxes:
        pixels[y : y + h, x : x + w] = 180 if category == 4 else (250, 120, 60)
    return pixels


def data_set(counts, size=(48, 36), folder="images"):
    """Content of files by name: ``counts`` pictures of each part, up to two boxes on each."""
    files, number = dict[str, bytes](), 0
    for part, count in counts.items():
        images, annotations = [], []
        for _ in range(count):
            number += 1
            draw = np.random.default_rng(number)
            boxes = []
            for category in CLASSES[: number % 3]:
                w, h = (16, 10) if category["id"] == 4 else (8, 16)
                x, y = int(draw.integers(size[0] - w)), int(draw.integers(size[1] - h))
                boxes.append((category["id"], (x, y, w, h)))
            stream = io.BytesIO()
            Image.fromarray(picture(size, boxes, number)).save(stream, "PNG")
            files[f"{folder}/{number}.png"] = stream.getvalue()
            images.append(
                {"id": number, "file_name": f"{number}.png", "width": size[0], "height": size[1]}
            )
            annotations += [
                {"id": len(annotations), "image_id": number, "category_id": c, "bbox": list(b)}
                for c, b in boxes
            ]
        whole = {"images": images, "annotations": annotations, "categories": CLASSES}
        files[f"annotations/instances_{part}.json"] = json.dumps(whole).encode()
    return files


def write_folder(root, files):
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def write_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path
