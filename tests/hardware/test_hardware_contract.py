"""What every device of conf/hardware must do."""

import pickle

import numpy as np
import pytest
from composed import CONF, composed
from hw_miniature import official
from layer_tables import layers_of, written

from nasrun.config import build
from nasrun.spaces.fbnet import FBNet
from nasrun.spaces.mobilenet_v3 import MobileNetV3
from nasrun.spaces.nb201 import NB201
from nasrun.spaces.proxyless import Proxyless
from nasrun.spec import ACCURACY, Hardware, Task
from nasrun.streams import Streams

DEVICES = sorted(path.stem for path in (CONF / "hardware").glob("*.yaml"))
NEEDS_DATA = {"latency_table", "fbnet_latency", "ofa_latency"}
# Of the networks that are built and measured.
SMALL = [f"hardware.{text}" for text in ("channels=2", "cells=1", "sample=4", "runs=3")]
# Of devices that know another one than nb201.
SPACES = {"fbnet_latency": FBNet(), "ofa_latency": MobileNetV3(), "lookup": Proxyless()}

every_device = pytest.mark.parametrize(
    "name",
    [pytest.param(d, marks=[pytest.mark.data] if d in NEEDS_DATA else []) for d in DEVICES],
)


def space_of(name):
    return SPACES.get(name, NB201())


def known(name):
    """An architecture whose latency the device knows."""
    if name == "fbnet_latency":  # the first of the file
        return FBNet().parse("7-8-1-8-4-8-8-8-7-4-1-4-7-3-2-7-3-2-4-2-4-5")
    if name == "ofa_latency":
        return MobileNetV3().parse("75557757573753735353,64466343363336346436,22223,204")
    if name == "lookup":
        return Proxyless().covering()[0]
    return NB201().at(np.array(15_000 if name == "hw_nas_bench" else 12_345))


def started(name, cache_dir, *overrides):
    if name == "hw_nas_bench":
        path = cache_dir / "HW-NAS-Bench-v1_0.pickle"
        path.write_bytes(pickle.dumps(official()))
        overrides = (*overrides, f"hardware.path={path}")
    if name == "lookup":
        path = cache_dir / "layers.yaml"
        task = Task("cifar10", 10, 32, "cifar10-valid", "cifar10", 25_000, 25_000)
        path.write_text(written(dict.fromkeys(layers_of(Proxyless(), task), 0.5)))
        overrides = (*overrides, f"hardware.path={path}")
    if name == "measured":
        overrides = (*overrides, *SMALL)
    if name == "ridge":
        overrides = (*overrides, "hardware@hardware.source=nb201_latency")
    config = composed(f"hardware={name}", f"cache_dir={cache_dir}", *overrides)
    device = build(config.hardware, Hardware, "hardware")
    return device.opened(space_of(name), build(config.task, Task, "task"))


@every_device
def test_figures_have_one_row_a_trial(name, cache_dir):
    device = started(name, cache_dir)
    archs = space_of(name).sample(Streams(range(20)))
    latency_ms = device.latency_ms(archs)
    assert latency_ms.shape == (20,)
    assert (np.isnan(latency_ms) | (latency_ms > 0)).all()
    reward = device.reward(np.linspace(10, 90, 20), latency_ms, ACCURACY)
    assert reward.shape == (20,)
    alone = [device.latency_ms(arch[None])[0] for arch in archs]
    np.testing.assert_array_equal(latency_ms, alone)


@every_device
def test_more_accurate_is_better_at_equal_latency(name, cache_dir):
    device = started(name, cache_dir)
    arch = np.repeat(known(name)[None], 2, axis=0)
    reward = device.reward(np.array([80.0, 81.0]), device.latency_ms(arch), ACCURACY)
    assert reward[1] > reward[0]


@every_device
def test_files_are_named_with_their_sha256(name, cache_dir):
    for digest in started(name, cache_dir).files.values():
        assert len(digest) == 64


def best(device, accuracy, latency_ms):
    return int(np.nanargmax(device.reward(accuracy, latency_ms, ACCURACY)))


@pytest.mark.data
def test_a_stronger_exponent_never_chooses_a_slower_architecture(cache_dir):
    """The trade-off over the whole space, with accuracies that grow with cost and noise."""
    from nasrun.spaces.nb201 import PATHS

    archs = NB201().at(np.arange(NB201().size))
    alive = np.any([(archs[:, list(path)] != 0).all(axis=1) for path in PATHS], axis=0)
    convolutions = ((archs == 2) | (archs == 3)).sum(axis=1)
    noise = np.random.default_rng(0).random(NB201().size)
    accuracy = np.where(alive, 80 + 2 * convolutions + noise, 10.0)
    chosen = []
    for exponent in (0.0, -0.05, -0.2, -0.5):
        device = started("latency_table", cache_dir, f"hardware.exponent={exponent}")
        latency_ms = device.latency_ms(archs)
        chosen.append(latency_ms[best(device, accuracy, latency_ms)])
    assert chosen == sorted(chosen, reverse=True)
    assert chosen[-1] < chosen[0] / 2, chosen
