"""ResNet-18, trained on ImageNet-1k: MetaD2A's own features, from weights that the user brings."""

import hashlib
import io
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np

from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.features.kept import kept
from nasrun.features.pixels import unit
from nasrun.files import cache_folder
from nasrun.images import Pixels
from nasrun.input_files import read_bytes
from nasrun.nets.vision import load_torchvision
from nasrun.ranges import require_at_least
from nasrun.spec import Features, Vectors

MEAN, SPREAD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of torchvision's training
FILE = "resnet18-{checksum}.pth"  # as torchvision names its downloads
DIGITS = 8  # of a sha256 that such a name has


@dataclass
class ResNet18(Features):
    """The 512 averaged features before the classifier, at length 1.

    He et al. (CVPR 2016), as torchvision has it, on pictures of 32 pixels without enlarging: what
    Lee et al. (ICLR 2021) encode data sets with ([MC] ``process_dataset.py``). No package carries
    the weights, and nothing is downloaded: ``weights`` names the file, or it lies where torchvision
    puts it (``TORCH_HOME``/hub/checkpoints). Its sha256 must begin with ``checksum``, and it is
    read as tensors alone.

    Departures: pictures are normalised by ImageNet's moments, as in the training of the weights,
    where the authors take each data set's own; vectors are scaled to length 1.

    Raises:
        ConfigError: less than one pixel, or no checksum.
    """

    name: str = "resnet18"
    px: int = 32
    weights: str | None = None
    checksum: str = "f37072fd"
    cache_dir: str | None = None

    def __post_init__(self) -> None:
        require_at_least(self, "features", 1, "px")
        digits = self.checksum.lower()
        if not DIGITS <= len(digits) <= 64 or set(digits) - set("0123456789abcdef"):
            raise ConfigError(
                "features.checksum must hold 8 to 64 hexadecimal digits of the sha256 of the "
                f"weights, got {self.checksum!r}"
            )

    def of(self, pixels: Pixels) -> Vectors:
        """``(n, 512)`` unit vectors of ``pixels (n, C, H, W)``, grey or coloured.

        Raises:
            ConfigError: there are no weights.
            DataError: weights of another checksum, or of another network.
        """
        path = self._path()
        folder = Path(self.cache_dir) if self.cache_dir else cache_folder()
        settings = f"{self.name} {self.px} {self.checksum.lower()}"

        def looked_at(batch: Pixels) -> Vectors:
            return _looked_at(_network(path, self.checksum.lower()), batch, self.px)

        return unit(kept(folder / "features", settings, pixels, looked_at))

    def class_rows(self) -> Vectors:
        """None: what ImageNet's pictures have on average, which rows need, is in no file.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(
            "features=resnet18 have no rows that could stand for ImageNet's pictures, which the "
            "published records need: use features=efficientnet_lite0, or records of your own "
            "(meta.path)"
        )

    def _path(self) -> Path:
        """The file of weights.

        Raises:
            ConfigError: it is not there.
        """
        name = FILE.format(checksum=self.checksum.lower()[:DIGITS])
        given = self.weights is not None
        path = Path(str(self.weights)).expanduser() if given else _checkpoints() / name
        if not path.is_file():
            raise ConfigError(
                f"features=resnet18 finds no weights at {path}: put torchvision's {name} there or "
                "name it with features.weights=FILE, or use features=efficientnet_lite0"
            )
        return path


def _checkpoints() -> Path:
    """Where torchvision keeps downloads, without importing torch."""
    cached = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "torch"
    return Path(os.environ.get("TORCH_HOME") or cached).expanduser() / "hub" / "checkpoints"


def _looked_at(network: Any, pixels: Pixels, px: int) -> Vectors:
    import torch
    from torch.nn.functional import interpolate

    mean, spread = (torch.tensor(own).view(3, 1, 1) for own in (MEAN, SPREAD))
    with torch.no_grad():
        x = torch.from_numpy(np.ascontiguousarray(pixels)).float().expand(-1, 3, -1, -1)
        if x.shape[-2:] != (px, px):
            x = interpolate(x, (px, px), mode="bicubic", antialias=True).clamp(0, 255)
        return network((x - mean) / spread).numpy()


@cache
def _network(path: Path, checksum: str) -> Any:
    """The network without its classifier, ready to be asked.

    Raises:
        DataError: weights of another checksum, or of another network.
    """
    import torch

    load_torchvision()
    from torchvision.models import resnet18

    state = _state(path, checksum)
    with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and replaced
        network = resnet18(weights=None)
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(
            f"{path}: expected the state of torchvision's resnet18, found another ({reason}): get "
            f"{FILE.format(checksum=checksum[:DIGITS])}"
        ) from None
    network.fc = torch.nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
    return network.eval()


def _state(path: Path, checksum: str) -> Any:
    """The tensors of a file whose sha256 begins with ``checksum``."""
    import torch

    data = read_bytes(path)
    digest = hashlib.sha256(data).hexdigest()
    if not digest.startswith(checksum):
        raise DataError(
            f"{path}: expected a sha256 that begins with {checksum}, found {digest[:DIGITS]}: get "
            f"the file again, or trust it with features.checksum={digest[:DIGITS]}"
        )
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(
            f"{path}: expected a file of tensors alone, found another ({reason}): get "
            f"{FILE.format(checksum=checksum[:DIGITS])}"
        ) from None
