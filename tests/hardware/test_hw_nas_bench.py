import pickle

import numpy as np
import pytest
from hw_miniature import official

from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.hardware.hw_nas_bench import HWNASBench
from nasrun.hardware.latency_table import LatencyTable
from nasrun.spaces.fbnet import FBNet
from nasrun.spaces.nats_size import NATSSize
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Task
from nasrun.streams import Streams

NB = NB201()
CIFAR = Task("cifar10", 10, 32, "a", "b", 1, 1)
IN16 = Task("imagenet16_120", 120, 16, "a", "b", 1, 1)
CIFAR100 = Task("cifar100", 100, 32, "a", "b", 1, 1)


@pytest.fixture
def path(tmp_path):
    return written(tmp_path, official())


def written(tmp_path, content):
    path = tmp_path / "HW-NAS-Bench-v1_0.pickle"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
    return path


def opened(path, space=NB, task=CIFAR, **settings):
    names = {"imagenet16_120": "ImageNet16-120"}
    return HWNASBench(path=str(path), datasets=names, **settings).opened(space, task)


def test_latencies_of_cells_are_those_of_the_data_set(path):
    archs = np.array([NB.parse(text) for text in official()["nasbench201"]["cifar10"]["texts"]])
    device = opened(path)
    np.testing.assert_allclose(device.latency_ms(archs), [1.0, 2.0, 3.0])
    np.testing.assert_allclose(opened(path, task=IN16).latency_ms(archs), [101, 102, 103])
    np.testing.assert_allclose(opened(path, device="fpga").latency_ms(archs), [11, 12, 13])
    assert list(device.files) == ["hw_nas_bench/HW-NAS-Bench-v1_0.pickle"]


def test_a_networks_latency_is_the_sum_over_its_operations(path):
    """By hand, for the benchmark's keys: stem, 22 layers, last convolution, pool, classifier."""
    space, device = FBNet(), opened(path, FBNet(), CIFAR100)
    tables = official()["fbnet"]["edgegpu_latency"]
    arch = space.parse("0-8-2-8-8-8-8-8-8-1-8-8-8-8-8-8-8-8-8-8-8-7")
    keys = [
        "ConvNorm_H32_W32_Cin3_Cout16_kernel3_stride1_group1",
        "ConvBlock_H32_W32_Cin16_Cout16_exp1_kernel3_stride1_group1",
        "Skip_H32_W32_Cin16_Cout24_stride1",
        "ConvBlock_H32_W32_Cin24_Cout24_exp3_kernel3_stride1_group1",
        *["Skip_H32_W32_Cin24_Cout24_stride1"] * 2,
        "Skip_H32_W32_Cin24_Cout32_stride2",
        *["Skip_H16_W16_Cin32_Cout32_stride1"] * 3,
        "ConvBlock_H16_W16_Cin32_Cout64_exp1_kernel3_stride2_group2",
        *["Skip_H8_W8_Cin64_Cout64_stride1"] * 3,
        "Skip_H8_W8_Cin64_Cout112_stride1",
        *["Skip_H8_W8_Cin112_Cout112_stride1"] * 3,
        "Skip_H8_W8_Cin112_Cout184_stride2",
        *["Skip_H4_W4_Cin184_Cout184_stride1"] * 3,
        "ConvBlock_H4_W4_Cin184_Cout352_exp6_kernel5_stride1_group1",
        "ConvNorm_H4_W4_Cin352_Cout1504_kernel1_stride1_group1",
        "AvgP_H4_W4_Cin1504_Cout1504_kernel4_stride1",
        "FC_Cin1504_Cout100",
    ]
    assert len(keys) == 26
    expected = sum(tables[key] for key in keys)
    np.testing.assert_allclose(device.latency_ms(arch[None]), [expected])
    wrong = arch.copy()
    wrong[3] = 9
    assert np.isnan(device.latency_ms(np.stack([arch, wrong]))).tolist() == [False, True]


def test_what_it_does_not_have_is_refused(path):
    with pytest.raises(UnsupportedError, match="knows space=nb201 and space=fbnet"):
        opened(path, NATSSize())
    with pytest.raises(ConfigError, match="has no latency toaster_latency: it has edgegpu_latency"):
        opened(path, device="toaster")
    with pytest.raises(ConfigError, match="has no data set svhn: it has cifar10"):
        opened(path, task=Task("svhn", 10, 32, "a", "b", 1, 1))
    with pytest.raises(ConfigError, match="it was measured for 32 pixels and 100 classes"):
        opened(path, FBNet(), CIFAR)
    with pytest.raises(DataError, match="no such file; set data_dir="):
        opened(path.with_name("gone"))


class Hostile:
    def __reduce__(self):
        return (open, ("made", "w"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04", "not a complete pickle"),
        (pickle.dumps(official())[:-50], "not a complete pickle"),
        (pickle.dumps({"nasbench201": Hostile()}), "refused: it asks for"),
        ({"a": 1}, "KeyError: 'nasbench201'"),
        ({"nasbench201": {"cifar10": {"config": [{}]}}}, "KeyError: 'arch_str'"),
        (
            {"nasbench201": {"cifar10": {"config": [], "edgegpu_latency": [1.0]}}},
            "1 latencies of 0 architectures",
        ),
        (
            {"nasbench201": {"cifar10": {"config": [{"arch_str": "?"}], "edgegpu_latency": [1.0]}}},
            "not an NB201 architecture|not a NAS-Bench-201",
        ),
    ],
)
def test_other_files_are_refused(tmp_path, content, words):
    with pytest.raises(DataError, match=words):
        opened(written(tmp_path, content))


@pytest.mark.data
def test_helps_5000_networks_are_read_and_some_latencies_are_sums(data_dir):
    """eyeriss and fpga come from HW-NAS-Bench: they are sums over layers, to the digits printed."""
    space = FBNet()
    file = data_dir / "fbnet" / "help_latency_fbnet.csv.gz"
    for name in ("eyeriss", "fpga"):
        table = LatencyTable(
            device=name, path=str(file), arch_column="arch_22_op_indices", space="fbnet"
        )
        device = table.opened(space, CIFAR100)
        texts = np.loadtxt(file, str, delimiter=",", skiprows=1, usecols=0)
        archs = np.array([space.parse(text) for text in texts])
        assert len(np.unique(archs, axis=0)) == 5000
        latency_ms = device.latency_ms(archs)
        onehot = space.onehot(archs)
        weights, *_ = np.linalg.lstsq(onehot, latency_ms, rcond=None)
        np.testing.assert_allclose(onehot @ weights, latency_ms, rtol=1e-6)
        unknown = space.sample(Streams([0]))
        assert np.isnan(device.latency_ms(unknown)).all()


def test_opening_for_another_task_leaves_the_first_as_it_was(path):
    recipe = HWNASBench(path=str(path), datasets={"imagenet16_120": "ImageNet16-120"})
    before, archs = dict(vars(recipe)), NB.at(np.array([15_000, 0]))
    first = recipe.opened(NB, CIFAR)
    latency_ms = first.latency_ms(archs).tolist()
    assert recipe.opened(NB, IN16).latency_ms(archs).tolist() != latency_ms
    assert first.latency_ms(archs).tolist() == latency_ms
    assert vars(recipe) == before
