import gzip
import hashlib
from dataclasses import replace

import numpy as np
import pytest

from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.hardware.latency_table import LatencyTable
from nasrun.spaces.mobilenet_v3 import MobileNetV3
from nasrun.spaces.nats_size import NATSSize
from nasrun.spaces.nb201 import NB201
from nasrun.spec import ACCURACY, Task
from nasrun.streams import Streams

SPACE = NB201()
TASK = Task("cifar10", 10, 32, "cifar10-valid", "cifar10", 25_000, 25_000)
TEXTS = [SPACE.text(arch) for arch in SPACE.at(np.array([0, 7, 15_000]))]
GOOD = f"index,arch,phone,board\n0,{TEXTS[2]},5.5,1\n1,{TEXTS[0]},,2\n2,{TEXTS[1]},2.5,3\n"


def table(tmp_path, content, name="latency.csv", **settings):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return LatencyTable(path=str(path), **{"device": "phone", **settings})


@pytest.mark.parametrize("name", ["latency.csv", "latency.csv.gz"])
def test_column_is_read_by_architecture(tmp_path, name):
    content = gzip.compress(GOOD.encode()) if name.endswith("gz") else GOOD
    device = table(tmp_path, content, name)
    device = device.opened(SPACE, TASK)
    archs = SPACE.at(np.array([0, 7, 15_000, 1]))
    np.testing.assert_array_equal(device.latency_ms(archs), [np.nan, 2.5, 5.5, np.nan])
    path = tmp_path / name
    name = f"latency_table/{path.name}"
    assert device.files == {name: hashlib.sha256(path.read_bytes()).hexdigest()}


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.encode("utf-16"),
        GOOD.replace(",", ";").encode("utf-16-be"),
        GOOD.replace(",", "\t").encode(),
        GOOD.replace("arch,phone", " arch , phone ").replace("5.5", " 5.5 ").encode(),
        GOOD.replace("\n", "\r\n").encode() + b"\r\n,,,\r\n\r\n",
    ],
)
def test_files_of_spreadsheets_are_read(tmp_path, content):
    device = table(tmp_path, content).opened(SPACE, TASK)
    archs = SPACE.at(np.array([0, 7, 15_000]))
    np.testing.assert_array_equal(device.latency_ms(archs), [np.nan, 2.5, 5.5])


def test_texts_in_several_columns_are_joined(tmp_path):
    """As once-for-all's are: kernels, expansions, depths, resolution."""
    space = MobileNetV3()
    archs = space.sample(Streams(range(2)))
    rows = [f"{space.text(arch)},{ms}" for arch, ms in zip(archs, (1.5, 2.5), strict=True)]
    content = "\n".join(["ks,e,d,r,phone", *rows])
    recipe = table(tmp_path, content, arch_column="ks,e,d,r", space="mobilenet_v3")
    np.testing.assert_array_equal(recipe.opened(space, TASK).latency_ms(archs), [1.5, 2.5])
    with pytest.raises(ConfigError, match=r"which has phone$"):
        replace(recipe, device="r").opened(space, TASK)


def test_another_device_another_column(tmp_path):
    device = table(tmp_path, GOOD, device="board")
    device = device.opened(SPACE, TASK)
    np.testing.assert_array_equal(device.latency_ms(SPACE.at(np.array([0, 7]))), [2, 3])


def test_target_is_the_median_of_the_known(tmp_path):
    device = table(tmp_path, GOOD)
    device = device.opened(SPACE, TASK)
    assert device.reward(np.array([70.0]), np.array([4.0]), ACCURACY)[0] == 70.0


def test_unknown_device_is_refused_with_the_list(tmp_path):
    with pytest.raises(ConfigError, match=r"hardware\.device=watch is not in .*phone, board$"):
        table(tmp_path, GOOD, device="watch").opened(SPACE, TASK)


def test_index_and_arch_are_no_devices(tmp_path):
    with pytest.raises(ConfigError, match=r"hardware\.device=arch"):
        table(tmp_path, GOOD, device="arch").opened(SPACE, TASK)


def test_another_space_is_refused_in_words(tmp_path):
    with pytest.raises(UnsupportedError, match="space=nb201, and this run has space=nats_size"):
        table(tmp_path, GOOD).opened(NATSSize(), TASK)


def test_a_table_of_another_space_can_be_named(tmp_path):
    recipe = table(tmp_path, "arch,phone\n8:8:8:8:16,3\n", space="nats_size")
    device = recipe.opened(NATSSize(), TASK)
    np.testing.assert_array_equal(device.latency_ms(NATSSize().at(np.array([0, 1]))), [np.nan, 3])


def test_missing_file_says_how_to_get_one(tmp_path):
    device = LatencyTable(path=str(tmp_path / "none.csv"))
    with pytest.raises(DataError, match=r"no such file; set data_dir= .*HELP"):
        device = device.opened(SPACE, TASK)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the file is empty"),
        ("cell,phone\nx,1\n", "expected a column 'arch', found only cell, phone"),
        ("arch,phone\n", r"there is no row below the header \(arch, phone\)"),
        (f"arch,phone,phone\n{TEXTS[0]},1,2\n", "columns 2 and 3 are both named 'phone'"),
        (f"arch,phone,arch\n{TEXTS[0]},1,2\n", "columns 1 and 3 are both named 'arch'"),
        (f"arch,phone\n{TEXTS[0]},\n", "no latency for phone"),
        (f"arch,phone\n{TEXTS[0]},fast\n", "line 2, column phone: .*fast"),
        (
            f"arch,phone\n{TEXTS[0]},0\n",
            "line 2, column phone: .* above 0 ms, found 0",
        ),
        (f"arch,phone\n{TEXTS[0]},-1\n", "line 2, column phone: expected a latency above 0 ms"),
        (f"arch,phone\n{TEXTS[0]},inf\n", "line 2, column phone: expected a finite number"),
        (f"arch,phone\n{TEXTS[0]},1\n{TEXTS[1]}\n", "line 3: expected 2 cells, found 1"),
        (f"arch,phone\n{TEXTS[0]},1\n|none~0|x,1\n", "line 3: not a NAS-Bench-201 architecture"),
        (f"arch,phone\n{TEXTS[0]},1\n{TEXTS[0]},2\n", "line 3: the architecture of line 2 again"),
        (b"arch,phone\n\xff\xfe", "cannot be read"),
        ("arch,phone\n" + 200_000 * "x", r"cannot be read as CSV \(field larger"),
    ],
)
def test_bad_files_are_refused_with_the_place(tmp_path, content, words):
    with pytest.raises(DataError, match=words):
        table(tmp_path, content).opened(SPACE, TASK)


@pytest.mark.parametrize("damage", [lambda b: b[:-20], lambda b: b[:40] + b"????" + b[44:]])
def test_damaged_archives_are_refused(tmp_path, damage):
    content = damage(gzip.compress(GOOD.encode()))
    with pytest.raises(DataError, match="cannot be unpacked"):
        table(tmp_path, content, "latency.csv.gz").opened(SPACE, TASK)


@pytest.mark.data
def test_help_covers_the_space_on_27_devices(data_dir):
    path = str(data_dir / "hardware" / "help_latency_nb201.csv.gz")
    with pytest.raises(ConfigError) as caught:
        LatencyTable(path=path, device="?").opened(SPACE, TASK)
    devices = str(caught.value).rpartition("which has ")[2].split(", ")
    assert len(devices) == 27
    device = LatencyTable(path=path, device="pixel3")
    device = device.opened(SPACE, TASK)
    latency_ms = device.latency_ms(SPACE.at(np.arange(SPACE.size)))
    assert not np.isnan(latency_ms).any()
    text = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|"
    arch = SPACE.parse(text + "skip_connect~2|")
    assert device.latency_ms(arch[None])[0] == 3.60585  # the file's first row
