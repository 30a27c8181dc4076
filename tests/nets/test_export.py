import sys

import numpy as np
import pytest
import torch

from nasrun.errors import ConfigError, DataError
from nasrun.nets import export as exporting
from nasrun.nets.device import Device
from nasrun.nets.export import export
from nasrun.nets.latency import latency_ms
from nasrun.nets.recipe import Precision
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Scale, Task

SPACE = NB201()


def network(index=9000):
    task = Task("toy", 5, 8, "toy", "toy", 1, 1)
    return SPACE.build(SPACE.at(np.array(index)), task, Scale(4, 1)).eval()


def test_files_compute_what_the_network_computes(tmp_path):
    pytest.importorskip("onnx")
    import onnxruntime

    net = network().to(memory_format=torch.channels_last)
    paths = export(net, 8, tmp_path / "a" / "seed-0", ["weights", "torchscript", "onnx"])
    assert [path.name for path in paths] == [
        "seed-0.safetensors", "seed-0.torchscript", "seed-0.onnx"
    ]  # fmt: skip
    x = torch.randn(5, 3, 8, 8)  # another batch than the check's
    expected = net(x).detach().numpy()
    session = onnxruntime.InferenceSession(str(paths[2]), providers=["CPUExecutionProvider"])
    found = session.run(None, {"images": x.numpy()})[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    from safetensors.torch import load_file

    other = network(9000)
    other.load_state_dict(load_file(paths[0]))
    np.testing.assert_allclose(other(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_file_that_computes_something_else_is_refused(tmp_path, monkeypatch):
    ending, write, _ = exporting.FORMATS["torchscript"]
    wrong = ending, write, lambda path, x: np.zeros((len(x), 5))
    monkeypatch.setitem(exporting.FORMATS, "torchscript", wrong)
    with pytest.raises(DataError, match="computes other logits than the network"):
        export(network(), 8, tmp_path / "one", ["torchscript"])


def test_formats_that_cannot_be_written_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="names 'caffe', which is none of weights, torchscript"):
        export(network(), 8, tmp_path / "one", ["caffe"])
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"pip install \"nasrun\[export\]\""):
        export(network(), 8, tmp_path / "one", ["onnx"])


def test_latency_is_the_median_after_a_warm_up():
    calls = []

    class Counted(torch.nn.Module):
        def forward(self, x):
            calls.append(tuple(x.shape))
            return x

    found = latency_ms(Counted(), (2, 3, 8, 8), Device("cpu", Precision.float32), 5, 3)
    assert found > 0
    assert calls == [(2, 3, 8, 8)] * 8
