"""Files as HELP's repository has them, of three architectures and two devices."""

import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from nasrun.errors import ConfigError, DataError
from nasrun.hardware import help_files
from nasrun.hardware.latency_table import LatencyTable
from nasrun.spaces.fbnet import FBNet
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Task
from nasrun.streams import Streams

SPACE = NB201()
TASK = Task("cifar10", 10, 32, "cifar10-valid", "cifar10", 25_000, 25_000)
ARCHS = SPACE.at(np.array([15_000, 0, 7]))  # the benchmark's order is none of ours
LISTS = {"pixel3": [5.5, 1.25, 2.5], "fpga": [3.0, 2.0, 1.0]}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "nasbench201"
    (root / "latency").mkdir(parents=True)
    torch.save({SPACE.text(arch): n for n, arch in enumerate(ARCHS)}, root / "str_arch2idx.pt")
    for device, latencies in LISTS.items():
        torch.save(latencies, root / "latency" / f"{device}.pt")
    return root


def latencies(path, device="pixel3"):
    opened = LatencyTable(path=str(path), device=device).opened(SPACE, TASK)
    return opened.latency_ms(ARCHS).tolist(), opened.files


@pytest.mark.parametrize("below", ["", "latency", "latency/pixel3.pt"])
def test_the_repositorys_files_are_read_as_they_are(folder, below):
    found, files = latencies(folder / below)
    assert found == LISTS["pixel3"]
    assert list(files) == ["latency_table/str_arch2idx.pt", "latency_table/pixel3.pt"]


def test_fbnets_files_list_the_networks(tmp_path):
    root, space = tmp_path / "fbnet", FBNet()
    (root / "latency").mkdir(parents=True)
    networks = space.sample(Streams(range(3)))
    torch.save({"arch": [{"op_idx_list": row.tolist()} for row in networks]}, root / "metainfo.pt")
    torch.save([3.0, 1.0, 2.0], root / "latency" / "pixel3.pt")
    recipe = LatencyTable(path=str(root), device="pixel3", space="fbnet")
    assert recipe.opened(space, TASK).latency_ms(networks).tolist() == [3.0, 1.0, 2.0]
    torch.save({"arch": [1, 2]}, root / "metainfo.pt")
    with pytest.raises(DataError, match="expected a latency for each"):
        recipe.opened(space, TASK)


@pytest.mark.parametrize(
    "kind",
    [
        lambda numbers: [np.float64(number) for number in numbers],
        lambda numbers: [np.float32(number) for number in numbers],
        np.array,
        torch.tensor,
        tuple,
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_any_list_of_numbers_will_do(folder, kind, zipped):
    path = folder / "latency" / "pixel3.pt"
    torch.save(kind(LISTS["pixel3"]), path, _use_new_zipfile_serialization=zipped)
    assert latencies(folder)[0] == LISTS["pixel3"]


def test_another_device(folder):
    assert latencies(folder, "fpga")[0] == LISTS["fpga"]
    with pytest.raises(ConfigError, match=r"device=phone is not in .*, which has fpga, pixel3"):
        latencies(folder, "phone")
    with pytest.raises(ConfigError, match=r"device=fpga is not in .*pixel3\.pt, which has pixel3"):
        latencies(folder / "latency" / "pixel3.pt", "fpga")


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1.0, 2.0], r"expected a latency for each of the 3 architectures .* shape \(2,\)"),
        ([[1.0], [2.0], [3.0]], r"found an array of shape \(3, 1\)"),
        ({"pixel3": 1.0}, "expected a list of milliseconds"),
        ([1.0, "fast", 2.0], "expected a list of milliseconds"),
        ([1.0, -1.0, 2.0], "expected a latency above 0 ms, found -1"),
        ([1.0, float("inf"), 2.0], "expected a finite number"),
    ],
)
def test_other_content_is_refused(folder, content, words):
    torch.save(content, folder / "latency" / "pixel3.pt")
    with pytest.raises(DataError, match=rf"pixel3.*{words}"):
        latencies(folder)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_does_not_run(folder, tmp_path, zipped):
    path = folder / "latency" / "pixel3.pt"
    torch.save([Attack(tmp_path / "run")], path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match=r"pixel3\.pt: not a file .*more than plain data"):
        latencies(folder)
    path.write_bytes(pickle.dumps(Attack(tmp_path / "run")))
    with pytest.raises(DataError, match=r"pixel3\.pt: not a file of torch\.save"):
        latencies(folder)
    assert not (tmp_path / "run").exists()


def test_what_unpacks_to_too_much_is_refused(folder, monkeypatch):
    monkeypatch.setattr(help_files, "LIMIT", 2**20)
    path = folder / "latency" / "pixel3.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(2**20 + 1))
    with pytest.raises(DataError, match=r"pixel3\.pt: it unpacks to more than 1 MiB"):
        latencies(folder)


def test_missing_files_are_named(folder):
    (folder / "str_arch2idx.pt").unlink()
    with pytest.raises(DataError, match=r"str_arch2idx\.pt, which says .* copy HELP's whole"):
        latencies(folder)
    with pytest.raises(DataError, match=r"expected HELP's files, latency/DEVICE\.pt, found none"):
        latencies(folder.parent)
