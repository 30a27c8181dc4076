"""Sums over layers, by hand, and what is said of tables that do not fit."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from layer_tables import LAYERS, layers_of, written

from nasrun.errors import DataError, UnsupportedError
from nasrun.hardware.lookup import LookupLatency, Unit, keys
from nasrun.spaces.fbnet import FBNet
from nasrun.spaces.mobilenet_v3 import MobileNetV3
from nasrun.spaces.proxyless import Proxyless, Variant
from nasrun.spec import ACCURACY, Scale, Task

TASK = Task("imagenet", 1000, 224, "t", "t", 1, 1)
SPACE = MobileNetV3(depths=[1, 2], kernels=[3], expansions=[3], resolutions=[])
MOBILE = Proxyless(variant=Variant.mobile)
# Powers of two: a sum says which layers it is made of.
TABLE = {key: 2.0**at for at, key in enumerate(LAYERS)}
ALWAYS = 2**11 - 1  # the five layers around, the fixed block, the first of each stage


def looked_up(tmp_path, table=None, name="note10.yaml", **settings):
    path = tmp_path / name
    path.write_text(table if isinstance(table, str) else written(table or TABLE))
    return LookupLatency(path=str(path), **settings)


def archs(*depths):
    return np.array([[*own] + [0] * 20 for own in depths])


def test_a_latency_is_the_sum_of_the_layers(tmp_path):
    device = looked_up(tmp_path).opened(SPACE, TASK)
    found = device.latency_ms(archs((0, 0, 0, 0, 0), (1, 0, 0, 0, 1), (1, 1, 1, 1, 1)))
    assert found.tolist() == [ALWAYS, ALWAYS + 2**11 + 2**15, 2**16 - 1]
    digest = hashlib.sha256((tmp_path / "note10.yaml").read_bytes()).hexdigest()
    assert device.files == {"lookup/note10.yaml": digest}
    assert device.terms.device == "note10"
    reward = device.reward(np.array([70.0, 70.0, 70.0]), found, ACCURACY)
    assert reward[0] > reward[1] > reward[2]


def test_what_does_not_exist_has_no_latency(tmp_path):
    space = MobileNetV3(depths=[1, 2], kernels=[3, 5], expansions=[3], resolutions=[])
    table = dict.fromkeys(layers_of(space, TASK), 1.0)
    device = looked_up(tmp_path, table).opened(space, TASK)
    there, absent = archs((0, 0, 0, 0, 0))[0], archs((0, 0, 0, 0, 0))[0]
    absent[6] = 1  # a kernel for a layer that its stage does not have
    np.testing.assert_array_equal(device.latency_ms(np.stack([there, absent])), [11.0, np.nan])


@pytest.mark.parametrize(("unit", "factor"), [(Unit.us, 0.001), (Unit.s, 1000.0)])
def test_other_units_are_converted(tmp_path, unit, factor):
    device = looked_up(tmp_path, unit=unit).opened(SPACE, TASK)
    latency = device.latency_ms(archs((0, 0, 0, 0, 0)))[0]
    assert latency == pytest.approx(ALWAYS * factor)


def test_json_is_read_as_well(tmp_path):
    table = json.dumps({key: {"mean": ms} for key, ms in TABLE.items()})
    device = looked_up(tmp_path, table, "note10.json").opened(SPACE, TASK)
    assert device.latency_ms(archs((0, 0, 0, 0, 0)))[0] == ALWAYS


def test_layers_of_proxylessnas_by_hand():
    """One block a stage but in the first, which has a second; a skip is no layer."""
    kinds = ["k5_e3-k7_e6-skip-skip", *["k3_e6-skip-skip-skip"] * 4, "k7_e3"]
    layers = MOBILE.layers(MOBILE.parse("-".join(kinds)), TASK, Scale())
    blocks = (
        "112x112x32-output:112x112x16-expand:1-kernel:3-stride:1-idskip:0",
        "112x112x16-output:56x56x24-expand:3-kernel:5-stride:2-idskip:0",
        "56x56x24-output:56x56x24-expand:6-kernel:7-stride:1-idskip:1",
        "56x56x24-output:28x28x40-expand:6-kernel:3-stride:2-idskip:0",
        "28x28x40-output:14x14x80-expand:6-kernel:3-stride:2-idskip:0",
        "14x14x80-output:14x14x96-expand:6-kernel:3-stride:1-idskip:0",
        "14x14x96-output:7x7x192-expand:6-kernel:3-stride:2-idskip:0",
        "7x7x192-output:7x7x320-expand:3-kernel:7-stride:1-idskip:0",
    )
    assert list(keys(layers, 1000)) == [
        "Conv-input:224x224x3-output:112x112x32",
        *(f"expanded_conv-input:{own}" for own in blocks),
        "Conv_1-input:7x7x320-output:7x7x1280",
        "Logits-input:7x7x1280-output:1000",
    ]


def test_odd_sides_are_halved_upwards():
    layers = MOBILE.layers(
        MOBILE.parse("-".join(["k3_e6-skip-skip-skip"] * 5 + ["k7_e3"])),
        replace(TASK, image_px=200), Scale(),
    )  # fmt: skip
    sides = [key.partition("input:")[2].partition("x")[0] for key in keys(layers, 1000)]
    assert sides == ["200", "100", "100", "50", "25", "13", "13", "7", "7", "7"]


def test_as_many_layers_are_needed_as_are_published():
    """The table of the Note 10 has 96 at 224 pixels; that of the Pixel 1 has 72, of which 70."""
    assert len(layers_of(MobileNetV3(width=1.2, resolutions=[224]), TASK)) == 96
    assert len(layers_of(MOBILE, TASK)) == 70


def test_networks_of_several_sizes_have_a_table_each(tmp_path):
    space = MobileNetV3(depths=[1, 2], kernels=[3], expansions=[3], resolutions=[192, 224])
    needed = layers_of(space, TASK)
    assert set(LAYERS) < set(needed)
    for px, ms in ((192, 1.0), (224, 2.0)):
        own = MobileNetV3(depths=[1, 2], kernels=[3], expansions=[3], resolutions=[px])
        path = tmp_path / f"{px}_lookup_table.yaml"
        path.write_text(written(dict.fromkeys(layers_of(own, TASK), ms)))
    recipe = LookupLatency(path=str(tmp_path))
    device = recipe.opened(space, TASK)
    shallow = archs((0, 0, 0, 0, 0)).repeat(2, axis=0)
    latency = device.latency_ms(np.concatenate([shallow, [[0], [1]]], axis=1))
    assert latency.tolist() == [11.0, 22.0]
    assert len(device.files) == 2
    words = r"expected 128_lookup_table\.yaml.*found 192_lookup_table\.yaml, 224_lookup.*resolution"
    with pytest.raises(DataError, match=words):
        recipe.opened(MobileNetV3(resolutions=[128]), TASK)


def test_missing_layers_are_named_when_the_device_is_opened(tmp_path):
    recipe = looked_up(tmp_path, {key: ms for key, ms in TABLE.items() if ms != 2**11})
    words = r"the 16 layers .* on images of 224 pixels, but it lacks 1, such as .*56x56x24-expan"
    with pytest.raises(DataError, match=words):
        recipe.opened(SPACE, TASK)
    with pytest.raises(DataError, match=r"the 70 layers .* space=proxyless .* lacks 70"):
        recipe.opened(MOBILE, TASK)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "expected a mapping of layers to their latencies, such as .*found NoneType"),
        ("- 1\n", "expected a mapping of layers .*found list"),
        ("a: [\n", "cannot be read as YAML"),
        ("a: b: c\n", "cannot be read as YAML"),
        ("Conv: 3\n", "expected a mean above 0 for the layer Conv, found 3"),
        ("Conv: {mean: fast}\n", "a mean above 0 for the layer Conv, found {'mean': 'fast'}"),
        ("Conv: {mean: 0}\n", "a mean above 0 for the layer Conv"),
        ("Conv: {mean: -1.0}\n", "a mean above 0 for the layer Conv"),
        ("Conv: {mean: .nan}\n", "a mean above 0 for the layer Conv"),
        ("Conv: {mean: .inf}\n", "a mean above 0 for the layer Conv"),
        ("Conv: {mean: true}\n", "a mean above 0 for the layer Conv"),
        ("Conv: {count: 50}\n", "a mean above 0 for the layer Conv"),
        ("a: !!python/object/apply:os.getcwd []\n", "cannot be read as YAML"),
    ],
)
def test_bad_tables_are_refused_in_a_sentence(tmp_path, content, words):
    with pytest.raises(DataError, match=words):
        looked_up(tmp_path, content or "\n").opened(SPACE, TASK)


def test_a_missing_table_says_how_to_get_one(tmp_path):
    with pytest.raises(DataError, match=r"no such file; set hardware\.path to a table .*mobile_tr"):
        LookupLatency(path=str(tmp_path / "none.yaml")).opened(SPACE, TASK)


def test_other_spaces_are_refused(tmp_path):
    with pytest.raises(UnsupportedError, match=r"space=fbnet: set .* hardware=hw_nas_bench"):
        looked_up(tmp_path).opened(FBNet(), TASK)
