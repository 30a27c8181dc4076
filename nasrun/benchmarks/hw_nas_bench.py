"""Reader of HW-NAS-Bench's file, ``HW-NAS-Bench-v1_0.pickle`` (Li et al., ICLR 2021).

``nasbench201[dataset][metric]`` lists 15,625 figures, whose architectures stand in ``config``;
``fbnet[metric]`` has a figure for each operation by its shape, and a network's is their sum
([HW] ``hw_nas_bench_api/``). Latencies are in milliseconds.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.benchmarks.unpickle import RECORDS, InertArray, load_restricted
from nasrun.errors import ConfigError, DataError
from nasrun.input_files import UNPACKED, read_bytes
from nasrun.nets.mobile_blocks import KINDS, Kind, Place, fbnet_skeleton, places
from nasrun.spec import Floats

SUFFIX = "_latency"
AGAIN = "get HW-NAS-Bench-v1_0.pickle again"
FAULTS = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def nb201_latencies(path: Path, dataset: str, device: str) -> tuple[list[str], Floats]:
    """Architecture strings ``(n,)`` and their latency ``(n,)`` in ms on a device.

    Raises:
        ConfigError: there is no such data set or device.
        DataError: not that file, a damaged one, or one that asks for more than data.
    """
    content = _content(path)
    try:
        tables = content["nasbench201"]
        own = _of(tables, dataset, "data set", path)
        texts = [str(config["arch_str"]) for config in own["config"]]
        found = _of(own, device + SUFFIX, "latency", path)
        latencies = np.array(found.numpy() if isinstance(found, InertArray) else found, np.float64)
        if latencies.shape != (len(texts),):
            raise ValueError(f"{latencies.size} latencies of {len(texts)} architectures")
    except FAULTS as error:
        raise _other(path, error) from None
    return texts, latencies


def fbnet_latencies(path: Path, px: int, classes: int, device: str) -> tuple[float, Floats]:
    """Latency in ms of what all networks share, and ``(22, 9)`` of each option of each layer.

    Raises:
        ConfigError: there is no such device, or no image of such a size was measured.
        DataError: not that file, a damaged one, or one that asks for more than data.
    """
    content = _content(path)
    try:
        table: Mapping[str, float] = _of(content["fbnet"], device + SUFFIX, "latency", path)
        shared, layers = _keys(px, classes)
        keys = [*shared, *(key for row in layers for key in row)]
        if (lacking := next((key for key in keys if key not in table), None)) is not None:
            raise ConfigError(
                f"{path}: it has no latency of {lacking}, which images of {px} pixels and "
                f"{classes} classes need: it was measured for 32 pixels and 100 classes, and for "
                "224 and 1,000"
            )
        options = np.array([[table[key] for key in row] for row in layers], np.float64)
        return float(sum(table[key] for key in shared)), options
    except FAULTS as error:
        raise _other(path, error) from None


def _content(path: Path) -> Any:
    return load_restricted(read_bytes(path, UNPACKED), RECORDS, path)


def _other(path: Path, error: Exception) -> DataError:
    why = f"{type(error).__name__}: {error}"
    return DataError(f"{path}: not laid out as HW-NAS-Bench ({why}); {AGAIN}")


def _of(table: Mapping[str, Any], name: str, what: str, path: Path) -> Any:
    if name not in table:
        known = ", ".join(key for key in table if key != "config")
        raise ConfigError(f"{path} has no {what} {name}: it has {known}")
    return table[name]


def _keys(px: int, classes: int) -> tuple[list[str], list[list[str]]]:
    """Names of the operations that all networks have, and of each option of each layer."""
    skeleton = fbnet_skeleton(px)
    stem = _conv(px, 3, skeleton.width, 3, skeleton.stem_stride)
    side, layers = px // skeleton.stem_stride, list[list[str]]()
    for place in places(skeleton.stages, skeleton.width):
        layers.append([_block(side, place, kind) for kind in KINDS.values()])
        side //= place.stride
    head = skeleton.head
    shared = [
        stem,
        _conv(side, skeleton.stages[-1].channels, head, 1, 1),
        f"AvgP_H{side}_W{side}_Cin{head}_Cout{head}_kernel{side}_stride1",
        f"FC_Cin{head}_Cout{classes}",
    ]
    return shared, layers


def _conv(side: int, c_in: int, c_out: int, kernel: int, stride: int) -> str:
    shape = f"H{side}_W{side}_Cin{c_in}_Cout{c_out}"
    return f"ConvNorm_{shape}_kernel{kernel}_stride{stride}_group1"


def _block(side: int, place: Place, kind: Kind) -> str:
    shape = f"H{side}_W{side}_Cin{place.c_in}_Cout{place.c_out}"
    if not kind.expansion:
        return f"Skip_{shape}_stride{place.stride}"
    return (
        f"ConvBlock_{shape}_exp{kind.expansion}_kernel{kind.kernel}_stride{place.stride}"
        f"_group{kind.groups}"
    )
