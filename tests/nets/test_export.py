import json
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open

from nasrun.errors import ConfigError, DataError
from nasrun.images import Pictures
from nasrun.nets import export as exporting
from nasrun.nets.device import Device
from nasrun.nets.export import export
from nasrun.nets.latency import latency_ms
from nasrun.nets.recipe import Precision
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Scale, Task

SPACE = NB201()
NAMES = ("a cat", "dog", "ewe", "fox", "gnu")
PICTURES = Pictures(8, (100.0, 110.0, 120.0), (50.0, 60.0, 70.0), NAMES, "crop")
ABOUT = {"arch": "some", "space": "nb201"}


def network(index=9000):
    task = Task("toy", 5, 8, "toy", "toy", 1, 1)
    return SPACE.build(SPACE.at(np.array(index)), task, Scale(4, 1)).eval()


def normalised(pixels):
    mean, std = (np.reshape(m, (1, 3, 1, 1)) for m in (PICTURES.mean, PICTURES.std))
    return torch.tensor((pixels - mean) / std, dtype=torch.float32)


def test_the_same_weights_are_the_same_bytes(tmp_path):
    torch.manual_seed(0)
    net, about = network(), {**ABOUT, "trained": "zwölf Epochen"}
    files = [
        export(net, PICTURES, tmp_path / str(at), ["weights"], about)[0].read_bytes()
        for at in range(5)
    ]
    assert len(set(files)) == 1
    with safe_open(tmp_path / "0.safetensors", "pt") as kept:
        facts = kept.metadata()
        weights = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
    assert facts["trained"] == "zwölf Epochen"
    assert weights.keys() == net.state_dict().keys()
    assert all(torch.equal(weights[name], own) for name, own in net.state_dict().items())


@pytest.mark.filterwarnings("ignore:`torch.jit")  # whoever loads such a file meets it
def test_files_compute_what_the_network_computes_of_pixels(tmp_path):
    pytest.importorskip("onnx")
    import onnxruntime

    net = network().to(memory_format=torch.channels_last)
    formats = ["weights", "torchscript", "onnx"]
    paths = export(net, PICTURES, tmp_path / "a" / "seed-0", formats, ABOUT)
    assert [path.name for path in paths] == [
        "seed-0.safetensors", "seed-0.torchscript", "seed-0.onnx"
    ]  # fmt: skip
    # Another batch than the check's, as a decoded picture has it: bytes.
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), np.uint8)
    x = normalised(pixels)
    expected = net(x).detach().numpy()
    session = onnxruntime.InferenceSession(str(paths[2]), providers=["CPUExecutionProvider"])
    found = session.run(None, {"images": pixels.astype(np.float32)})[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    script = torch.jit.load(str(paths[1]))
    found = script(torch.tensor(pixels)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    from safetensors.torch import load_file

    other = network(9000)
    other.load_state_dict(load_file(paths[0]))
    np.testing.assert_allclose(other(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:`torch.jit")  # whoever loads such a file meets it
def test_files_say_what_they_take_and_what_their_outputs_mean(tmp_path):
    pytest.importorskip("onnx")
    import onnxruntime
    from safetensors import safe_open

    formats = ["weights", "torchscript", "onnx"]
    weights, script, onnx = export(network(), PICTURES, tmp_path / "net", formats, ABOUT)
    extra = {exporting.TORCHSCRIPT_FACTS: ""}
    torch.jit.load(str(script), _extra_files=extra)
    session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    with safe_open(weights, "pt") as file:
        of_weights = file.metadata()
    of_script = json.loads(extra[exporting.TORCHSCRIPT_FACTS])
    for facts in (of_weights, of_script, session.get_modelmeta().custom_metadata_map):
        assert json.loads(facts["class_names"]) == list(NAMES)
        assert json.loads(facts["mean"]) == [100.0, 110.0, 120.0]
        assert json.loads(facts["std"]) == [50.0, 60.0, 70.0]
        assert json.loads(facts["image_px"]) == 8
        assert json.loads(facts["fit"]) == "crop"
        assert (facts["arch"], facts["space"]) == ("some", "nb201")
    assert of_weights["input"] != of_script["input"]  # weights alone do not normalise


def test_a_file_that_computes_something_else_is_refused(tmp_path, monkeypatch):
    ending, write, _ = exporting.FORMATS["torchscript"]
    wrong = ending, write, lambda path, x: np.zeros((len(x), 5))
    monkeypatch.setitem(exporting.FORMATS, "torchscript", wrong)
    with pytest.raises(DataError, match="computes other logits than the network"):
        export(network(), PICTURES, tmp_path / "one", ["torchscript"], {})


def test_formats_that_cannot_be_written_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="names 'caffe', which is none of weights, torchscript"):
        export(network(), PICTURES, tmp_path / "one", ["caffe"], {})
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"pip install \"nasrun\[export\]\""):
        export(network(), PICTURES, tmp_path / "one", ["onnx"], {})


def test_latency_is_the_median_after_a_warm_up():
    calls = []

    class Counted(torch.nn.Module):
        def forward(self, x):
            calls.append(tuple(x.shape))
            return x

    found = latency_ms(Counted(), (2, 3, 8, 8), Device("cpu", Precision.float32), 5, 3)
    assert found > 0
    assert calls == [(2, 3, 8, 8)] * 8
