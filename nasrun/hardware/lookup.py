"""Latency as a sum over the layers of a network, each of which was measured alone."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import yaml

from nasrun.errors import DataError, UnsupportedError
from nasrun.hardware.base import Weighing, WeighingDevice
from nasrun.input_files import MIB, read_bytes
from nasrun.nets.mobile_blocks import Block, MobileLayers
from nasrun.spec import Archs, Floats, Scale, SearchSpace, Task
from nasrun.streams import Streams

SAMPLE = 1000  # random networks whose median is the target where none is set
LIMIT = 8 * MIB  # bytes of a table; those published have 16 kB
BY_SIZE = "{px}_lookup_table.yaml"  # what once-for-all calls the table of images of one size
HOW_TO_GET = (
    "set hardware.path to a table such as proxylessnas/mobile_trim.yaml of "
    "github.com/han-cai/files (Pixel 1, space=proxyless space.variant=mobile), or to a folder of "
    f"them by the images' size, such as its ofa/note10 with {BY_SIZE} (Note 10, space=mobilenet_v3 "
    "space.width=1.2)"
)


class Unit(Enum):
    """What a table's numbers count; its value is how many make a millisecond."""

    s = "s"
    ms = "ms"
    us = "us"

    @property
    def in_ms(self) -> float:
        """One of it."""
        return {"s": 1000.0, "ms": 1.0, "us": 0.001}[self.value]


@runtime_checkable
class OfLayers(Protocol):
    """A space whose networks are inverted residual blocks without groups."""

    def layers(self, arch: Archs, task: Task, scale: Scale) -> MobileLayers:
        """Those of the network of ``arch (L,)``."""
        ...

    def covering(self) -> Archs:
        """``(n, L)`` networks that have every layer of the space between them."""
        ...


@dataclass
class LookupLatency(Weighing):
    """The sum of the latencies of a network's layers, from a table of layers.

    As Cai et al., "ProxylessNAS" (ICLR 2019), section 3.3, have it for the Pixel 1, and Cai et al.,
    "Once-for-All" (ICLR 2020), for the Note 10. The tables are those that the authors publish: YAML
    (or JSON) with a key for each layer, whose ``mean`` is its latency in ms; see ``keys``. ``path``
    is a table, or a folder of tables by the images' size, for networks of several sizes.

    Departure: the authors' programs fail when a network has a layer that is not in the table. Here
    all layers of the space are looked up when the device is opened.
    """

    name: str = "lookup"
    path: str = ""
    unit: Unit = Unit.ms

    @property
    def label(self) -> str:
        """What the column ``device`` says."""
        return Path(self.path).stem

    def opened(self, space: SearchSpace, task: Task) -> "LookupDevice":
        """The device, with the latencies of all layers.

        Raises:
            UnsupportedError: networks of other layers.
            DataError: a table is missing or cannot be read, or lacks layers.
        """
        if not isinstance(space, OfLayers):
            raise UnsupportedError(
                "hardware=lookup sums over the layers of space=proxyless and space=mobilenet_v3, "
                f"and this run has space={space.name}: set hardware=measured, or for space=fbnet, "
                "whose grouped layers these tables have no keys for, hardware=hw_nas_bench"
            )
        return LookupDevice(self, space, task)


class LookupDevice(WeighingDevice):
    """A table of layers, opened for a space and a task."""

    def __init__(self, settings: LookupLatency, space: SearchSpace, task: Task) -> None:
        super().__init__(settings)
        assert isinstance(space, OfLayers)
        self._space, self._layered, self._task = space, space, task
        self._path, self._unit = Path(settings.path), settings.unit
        self._name, self._files = settings.name, dict[str, str]()
        self._tables = dict[int, Mapping[str, float]]()
        self._require_layers()
        sample = space.sample(Streams(range(SAMPLE), "looked-up latency"))
        self.settle(self.latency_ms(sample), f"{SAMPLE} random networks")

    def latency_ms(self, archs: Archs) -> Floats:
        """``(n,)`` latency of one inference; NaN for what does not exist."""
        found = np.full(len(archs), np.nan)
        for at in np.flatnonzero(self._space.exists(archs)):
            px, own = self._keys(archs[at])
            found[at] = sum(self._tables[px][key] for key in own)
        return found

    @property
    def files(self) -> Mapping[str, str]:
        """Data files and their sha256."""
        return self._files

    def _keys(self, arch: Archs) -> tuple[int, list[str]]:
        """The images' size, and the keys of all layers."""
        layers = self._layered.layers(arch, self._task, Scale())
        return layers.px, list(keys(layers, self._task.classes))

    def _require_layers(self) -> None:
        """Read the tables, and refuse those that lack layers of the space."""
        needed = dict[int, dict[str, None]]()
        for arch in self._layered.covering():
            px, own = self._keys(arch)
            needed.setdefault(px, {}).update(dict.fromkeys(own))
        paths = {px: self._table(px) for px in needed}
        read = dict[Path, Mapping[str, float]]()
        for px, path in paths.items():
            if path not in read:
                read[path] = self._read(path)
            table = self._tables[px] = read[path]
            missing = [key for key in needed[px] if key not in table]
            if missing:
                raise DataError(
                    f"{path}: expected the {len(needed[px])} layers that networks of "
                    f"space={self._space.name} are made of on images of {px} pixels, but "
                    f"it lacks {len(missing)}, such as {missing[0]}: choose the table of these "
                    "networks, or the space's widths and resolutions that it was measured for"
                )

    def _table(self, px: int) -> Path:
        """The file for images of a size."""
        path = self._path / BY_SIZE.format(px=px) if self._path.is_dir() else self._path
        if path.exists():
            return path
        if self._path.is_dir():
            known = sorted(own.name for own in self._path.glob(BY_SIZE.format(px="*")))
            raise DataError(
                f"{self._path}: expected {path.name}, because networks of "
                f"space={self._space.name} work on images of {px} pixels, found "
                f"{', '.join(known) or 'none'}: add it, or set space.resolutions to sizes that "
                "have a table"
            )
        raise DataError(f"{path}: no such file; {HOW_TO_GET}")

    def _read(self, path: Path) -> Mapping[str, float]:
        data = read_bytes(path, LIMIT)
        self._files[f"{self._name}/{path.name}"] = hashlib.sha256(data).hexdigest()
        return {key: ms * self._unit.in_ms for key, ms in means(data, path).items()}


def keys(layers: MobileLayers, classes: int) -> Iterator[str]:
    """What the authors' tables call a network's layers ([PX], [OFA] ``latency_lookup_table.py``).

    ``Conv``, then an ``expanded_conv`` a block. A network with a layer behind its pooling
    (MobileNetV3) goes on with ``Conv_1``, ``AvgPool2D``, ``Conv_2`` and ``Logits``; its blocks give
    the channels that they expand to, and say whether they squeeze and end in h-swish. Others
    (ProxylessNAS) go on with ``Conv_1`` and ``Logits``; their blocks give a ratio of channels.
    Shapes are height x width x channels.
    """
    blocks, ends, px = layers
    side = -(-px // ends.stride)
    yield f"Conv-input:{px}x{px}x3-output:{side}x{side}x{ends.stem}"
    for block in blocks:
        out = -(-side // block.place.stride)
        yield _block_key(block, side, out, as_ratio=not ends.hidden)
        side = out
    area, last = f"{side}x{side}", ends.last
    yield f"Conv_1-input:{area}x{ends.c_in}-output:{area}x{last}"
    if not ends.hidden:
        yield f"Logits-input:{area}x{last}-output:{classes}"
        return
    yield f"AvgPool2D-input:{area}x{last}-output:1x1x{last}"
    yield f"Conv_2-input:1x1x{last}-output:1x1x{ends.hidden}"
    yield f"Logits-input:1x1x{ends.hidden}-output:{classes}"


def _block_key(block: Block, side: int, out: int, as_ratio: bool) -> str:
    place = block.place
    key = (
        f"expanded_conv-input:{side}x{side}x{place.c_in}-output:{out}x{out}x{place.c_out}"
        f"-expand:{block.wide // place.c_in if as_ratio else block.wide}-kernel:{block.kernel}"
        f"-stride:{place.stride}-idskip:{int(not place.changes)}"
    )
    if as_ratio:
        return key
    return f"{key}-se:{int(block.squeeze > 0)}-hs:{int(block.activation == 'h_swish')}"


def means(data: bytes, path: Path) -> dict[str, float]:
    """The mean latency of each layer of a table; what else is said of a layer is passed over.

    Raises:
        DataError: not a table of layers, or a latency that is no number above zero.
    """
    try:
        content: Any = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first, *_ = str(error).splitlines() or [type(error).__name__]
        raise DataError(f"{path}: cannot be read as YAML ({first})") from None
    if not isinstance(content, dict) or not content:
        raise DataError(
            f"{path}: expected a mapping of layers to their latencies, such as "
            f"'Conv-input:224x224x3-output:112x112x32: {{mean: 7.5}}', found "
            f"{type(content).__name__}"
        )
    entries: dict[Any, Any] = content
    return {str(key): _mean(key, entry, path) for key, entry in entries.items()}


def _mean(key: Any, entry: Any, path: Path) -> float:
    mean: Any = entry.get("mean") if isinstance(entry, dict) else None
    if isinstance(mean, int | float) and not isinstance(mean, bool) and 0 < mean < np.inf:
        return float(mean)
    raise DataError(f"{path}: expected a mean above 0 for the layer {key}, found {str(entry)[:80]}")
