"""Miniature files in the genuine formats of the image data sets."""

import gzip
import io
import json
import pickle
import struct
import zipfile
from hashlib import sha256

import numpy as np
from PIL import Image


def pixels(n, px=32, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, channels, px, px), np.uint8)


def labels(n, classes):
    return np.arange(n, dtype=np.int64) % classes


def python2_batch(content):
    """A pickle of a dict as Python 2 writes it: texts and arrays as byte strings, protocol 2."""

    def text(value):
        raw = value.encode() if isinstance(value, str) else value
        return b"T" + struct.pack("<I", len(raw)) + raw

    def item(value):
        if isinstance(value, str):
            return text(value)
        if isinstance(value, list):
            return b"](" + b"".join(item(v) for v in value) + b"e"
        if isinstance(value, np.ndarray):
            shape = b"(" + b"".join(item(int(n)) for n in value.shape) + b"t"
            make = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
            state = b"(K\x03U\x01|NNN" + 2 * b"J\xff\xff\xff\xff" + b"K\x00tb"
            dtype = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR" + state
            return make + b"(K\x01" + shape + dtype + b"\x89" + text(value.tobytes()) + b"tb"
        return b"J" + struct.pack("<i", value)

    pairs = b"".join(text(key) + item(value) for key, value in content.items())
    return b"\x80\x02}(" + pairs + b"u."


def write_cifar10(folder, n=20, classes=10):
    """The six batch files, ``n`` pictures each; returns all training pictures."""
    folder.mkdir(parents=True)
    images = [pixels(n, seed=seed) for seed in range(6)]
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for name, own in zip(names, images, strict=True):
        batch = {"batch_label": name, "labels": labels(n, classes).tolist()}
        (folder / name).write_bytes(python2_batch({**batch, "data": own.reshape(n, -1)}))
    return np.concatenate(images[:5]), images[5]


def write_cifar100(folder, train=400, test=200):
    folder.mkdir(parents=True)
    parts = {"train": pixels(train, seed=1), "test": pixels(test, seed=2)}
    for name, own in parts.items():
        fine = labels(len(own), 100).tolist()
        batch = {"coarse_labels": [v // 5 for v in fine], "fine_labels": fine}
        (folder / name).write_bytes(python2_batch({**batch, "data": own.reshape(len(own), -1)}))
    return parts["train"], parts["test"]


def write_imagenet(folder, classes=6, each=12, px=16, protocol=2, npz=False):
    """Ten training batches and ``val_data``; classes count from 1."""
    folder.mkdir(parents=True)
    for number in range(11):
        name = f"train_data_batch_{number + 1}" if number < 10 else "val_data"
        own = pixels(each, px, seed=number)
        batch = {
            "data": own.reshape(each, -1),
            "labels": (labels(each, classes) + 1).tolist(),
            "mean": own.reshape(each, -1).mean(axis=0),
        }
        if npz:
            np.savez(folder / f"{name}.npz", **batch)
        else:
            (folder / name).write_bytes(pickle.dumps(batch, protocol=protocol))


def write_idx(path, array):
    header = struct.pack(f">{1 + array.ndim}i", 0x800 + array.ndim, *array.shape)
    data = header + array.astype(np.uint8).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_mnist(folder, train=60, test=40, suffix=".gz", joint="-"):
    parts = {"train": pixels(train, 28, 1), "t10k": pixels(test, 28, 1, seed=1)}
    for name, own in parts.items():
        write_idx(folder / f"{name}-images{joint}idx3-ubyte{suffix}", own[:, 0])
        write_idx(folder / f"{name}-labels{joint}idx1-ubyte{suffix}", labels(len(own), 10))
    return parts["train"], parts["t10k"]


def write_svhn(folder, train=40, test=30):
    from scipy.io import savemat

    folder.mkdir(parents=True, exist_ok=True)
    for name, n in (("train", train), ("test", test)):
        digits = labels(n, 10)
        own = pixels(n, seed=n)
        y = np.where(digits == 0, 10, digits).astype(np.uint8)[:, None]
        savemat(folder / f"{name}_32x32.mat", {"X": own.transpose(2, 3, 1, 0), "y": y})
    return pixels(train, seed=train)


def write_picture(path, size=(40, 30), mode="RGB", seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    array = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    Image.fromarray(array).save(path)
    return array


def write_folder(root, classes=("cat", "dog", "owl"), each=10, suffix=".png"):
    for number, name in enumerate(classes):
        for k in range(each):
            write_picture(root / name / f"{k:02d}{suffix}", seed=100 * number + k)


def write_aircraft(folder, makers=("Airbus", "Boeing", "de Havilland"), train=18, test=12):
    data = folder / "data"
    numbers = iter(range(1000))
    for part, n in (("trainval", train), ("test", test)):
        rows = [(f"{next(numbers):07d}", makers[k % len(makers)]) for k in range(n)]
        for number, _ in rows:
            write_picture(data / "images" / f"{number}.jpg", seed=int(number))
        lines = "".join(f"{number} {maker}\n" for number, maker in rows)
        (data / f"images_manufacturer_{part}.txt").write_text(lines)


def write_pets(folder, breeds=("Bengal", "american_bulldog"), each=20):
    for number, breed in enumerate(breeds):
        for k in range(1, each + 1):
            write_picture(folder / "images" / f"{breed}_{k}.jpg", seed=100 * number + k)
    (folder / "images" / "notes.mat").write_bytes(b"the official folder has such files")


def write_mini_imagenet(folder, each=6, px=8):
    """The three lists of the published split, such as ``n0153282900000005.jpg,n01532829``."""
    numbers = np.random.default_rng(0).permutation(np.arange(1_500_000, 1_500_100)).tolist()
    wnids = [f"n{number:08d}" for number in numbers]
    for part, own in (("train", wnids[:64]), ("val", wnids[64:80]), ("test", wnids[80:])):
        lines = ["filename,label"]
        for wnid in own:
            names = [f"{wnid}{k:08d}.jpg" for k in range(1, each + 1)]
            lines += [f"{name},{wnid}" for name in names]
            for k, name in enumerate(names):
                write_picture(folder / "images" / name, (px, px), seed=each * int(wnid[1:]) + k)
        (folder / f"{part}.csv").write_text("\n".join(lines) + "\n")
    return wnids


def write_pack(folder, name, part, n=12, px=8, classes=3, number=0, parts=1, seed=0):
    """A pack of a part; returns its pictures."""
    images = pixels(n, px, seed=seed).transpose(0, 2, 3, 1)
    own = labels(n, classes).astype(np.uint8)
    step = 5
    meta = {
        "format": "strip-webp-1",
        "count": n,
        "height": px,
        "width": px,
        "images_per_strip": step,
        "part": number,
        "parts": parts,
        "classes": [str(k) for k in range(classes)],
        "sha256_x": sha256(np.ascontiguousarray(images).data).hexdigest(),
        "sha256_y": sha256(own.data).hexdigest(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}_{part}_{number}.zip", "w") as archive:
        archive.writestr("meta.json", json.dumps(meta))
        archive.writestr("labels.npy", _npy(own))
        for at in range(0, n, step):
            strip = io.BytesIO()
            Image.fromarray(images[at : at + step].reshape(-1, px, 3)).save(
                strip, "WEBP", lossless=True
            )
            archive.writestr(f"strips/{at // step:03d}.webp", strip.getvalue())
    return images.transpose(0, 3, 1, 2)


def _npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()
