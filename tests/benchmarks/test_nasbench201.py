import pickle
import zipfile

import miniature
import numpy as np
import pytest
import torch

from nasrun.benchmarks import nasbench201, nats_bench
from nasrun.benchmarks.merge import with_means
from nasrun.benchmarks.table import Column
from nasrun.errors import DataError


@pytest.fixture(scope="module")
def content():
    return miniature.official()


@pytest.fixture(scope="module", params=["before torch 1.6", "zip"])
def official_file(request, content, tmp_path_factory):
    path = tmp_path_factory.mktemp("official") / "NAS-Bench-201-v1_1-096897.pth"
    torch.save(content, path, _use_new_zipfile_serialization=request.param == "zip")
    return path


@pytest.fixture(scope="module")
def columns(official_file):
    frame = nasbench201.read(official_file)
    assert frame.archs == miniature.TEXTS
    return with_means(frame.columns)


def test_torch_itself_refuses_such_a_file(official_file):
    with pytest.raises(pickle.UnpicklingError, match="weights_only"):
        torch.load(official_file)


@pytest.mark.parametrize("epochs", [12, 200])
def test_figures_are_those_of_the_official_api(columns, content, epochs):
    from nas_201_api import NASBench201API

    api = NASBench201API(content, verbose=False)
    compared = 0
    for index in range(len(miniature.TEXTS)):
        for dataset in miniature.SETS:
            info = api.get_more_info(index, dataset, hp=str(epochs), is_random=False)
            last = Column("", dataset, epochs, epochs, "mean")
            expected = {
                "val_score": info.get("valid-accuracy"),
                "test_score": info["test-accuracy"],
                "train_s": info["train-all-time"] / epochs,
                "valid_s": info.get("valid-per-time"),
                "latency_ms": 1000 * api.get_latency(index, dataset, hp=str(epochs)),
            }
            for metric, figure in expected.items():
                if figure is not None:
                    ours = columns[last._replace(metric=metric)][index]
                    assert ours == pytest.approx(figure, rel=1e-6)
                    compared += 1
    assert compared == 4 * (3 * 5 + 3)


def test_every_run_and_the_whole_short_curve_are_kept(columns, content):
    from nas_201_api import NASBench201API

    api = NASBench201API(content, verbose=False)
    for epoch in range(1, 13):
        column = Column("val_score", "cifar10-valid", 12, epoch, "777")
        for index in range(4):
            info = api.get_more_info(index, "cifar10-valid", epoch - 1, "12", is_random=777)
            assert columns[column][index] == pytest.approx(info["valid-accuracy"], rel=1e-6)
    last = Column("val_score", "cifar100", 200, 200, "999")
    present = ~np.isnan(columns[last])
    np.testing.assert_array_equal(present, [False, False, True, False])
    assert not any(c.schedule == 200 and c.epoch < 200 for c in columns)


def test_a_folder_of_nats_bench_gives_the_same(columns, content, tmp_path):
    frame = nats_bench.read(miniature.nats_folder(tmp_path / "NATS-tss", content))
    assert frame.archs == miniature.TEXTS
    theirs = with_means(frame.columns)
    assert theirs.keys() == columns.keys()
    for column, figures in columns.items():
        np.testing.assert_array_equal(figures, theirs[column], err_msg=str(column))


def test_progress_ends_at_the_end(official_file):
    seen = []
    nasbench201.read(official_file, lambda done, total: seen.append((done, total)))
    assert len(seen) == 2 * len(miniature.TEXTS)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] <= seen[-1][1]


def test_weights_are_passed_over(content, tmp_path):
    infos = {
        0: {
            key: {**results, "weights": torch.ones(3)}
            for key, results in content["arch2infos"][0].items()
        }
    }
    path = tmp_path / "weights.pth"
    torch.save({**content, "arch2infos": infos}, path)
    assert nasbench201.read(path).archs == miniature.TEXTS[:1]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(content, tmp_path, zipped, share):
    path = tmp_path / "cut.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=r"cut\.pth: "):
        nasbench201.read(path)


class Attack:
    def __reduce__(self):
        return (print, ("this must never be printed",))


def test_code_in_a_file_is_refused_and_does_not_run(content, tmp_path, capsys):
    path = tmp_path / "bad.pth"
    torch.save({"arch2infos": {}, "x": Attack()}, path)
    with pytest.raises(DataError, match=r"bad\.pth: refused: it asks for .*print"):
        nasbench201.read(path)
    assert capsys.readouterr().out == ""


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"state_dict": {}}, path)
    with pytest.raises(DataError, match="expected NAS-Bench-201's records"):
        nasbench201.read(path)
    path.write_bytes(pickle.dumps({"arch2infos": {}}))
    with pytest.raises(DataError, match=r"expected a file of torch\.save"):
        nasbench201.read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "")
    with pytest.raises(DataError, match="not a complete file of NAS-Bench-201"):
        nasbench201.read(path)
    with pytest.raises(DataError, match="cannot be read"):
        nasbench201.read(tmp_path / "missing.pth")


def test_damaged_records_are_refused(content, tmp_path):
    info = content["arch2infos"][0]
    broken = {**info["less"], "all_results": {("cifar10", 777): {"epochs": "twelve"}}}
    path = tmp_path / "broken.pth"
    torch.save({"arch2infos": {0: {"less": broken}}}, path)
    with pytest.raises(DataError, match="not a record of NAS-Bench-201"):
        nasbench201.read(path)
