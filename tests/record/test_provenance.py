import sys
from types import SimpleNamespace

from nasrun.record.provenance import provenance


def with_cuda(used):
    cuda = SimpleNamespace(is_initialized=lambda: used, get_device_name=lambda: "Some GPU")
    return SimpleNamespace(cuda=cuda)


def test_the_device_is_the_gpu_that_was_computed_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", with_cuda(used=True))
    assert provenance("0", {})["device"] == "Some GPU"


def test_the_device_is_the_cpu_where_no_gpu_was_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", with_cuda(used=False))
    assert provenance("0", {})["device"] == "cpu"
    monkeypatch.delitem(sys.modules, "torch")
    assert provenance("0", {})["device"] == "cpu"
