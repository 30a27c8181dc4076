import pickle

import miniature
import numpy as np
import pandas as pd
import pytest

from nasrun.benchmarks import mini_nasbench201
from nasrun.benchmarks.table import Column
from nasrun.errors import DataError


@pytest.mark.data
def test_the_published_file(data_dir):
    frame = mini_nasbench201.read(data_dir / mini_nasbench201.FILE)
    assert len(frame.archs) == len(set(frame.archs)) == 15_625
    best = {column: figures.max() for column, figures in frame.columns.items()}
    for dataset, optimum in (
        ("cifar10-valid", 84.892), ("cifar100", 61.32), ("ImageNet16-120", 38.667),
    ):  # fmt: skip
        column = Column("val_score", dataset, 12, 12, "mean")
        assert best[column] == pytest.approx(optimum, abs=1e-3)


@pytest.mark.data
def test_the_published_file_as_pandas_reads_it(data_dir):
    path = data_dir / mini_nasbench201.FILE
    expected = pd.read_pickle(path)
    frame = mini_nasbench201.read(path)
    assert frame.archs == expected["cellstr"].tolist()
    for name, (metric, dataset) in mini_nasbench201.COLUMNS.items():
        ours = frame.columns[Column(metric, dataset, 12, 12, "mean")]
        np.testing.assert_array_equal(ours, expected[name])


@pytest.mark.data
def test_one_changed_byte_is_noticed(data_dir, tmp_path):
    data = bytearray((data_dir / mini_nasbench201.FILE).read_bytes())
    data[1000] ^= 1
    path = tmp_path / "tampered.pd"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"tampered\.pd: expected .* sha256 bda800741eea.* found"):
        mini_nasbench201.read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "not a pandas table"),
        (pd.Timestamp, "refused: it asks for pandas"),
        (eval, "refused: it asks for builtins.eval"),
    ],
)
def test_other_pickles_are_refused(content, message):
    with pytest.raises(DataError, match=f"^x: {message}"):
        mini_nasbench201.parse(pickle.dumps(content), "x")


def test_a_miniature_file_in_the_layout_of_pandas():
    names = list(mini_nasbench201.COLUMNS)
    figures = {name: [10.0 * i, 10.0 * i + 1] for i, name in enumerate(names)}
    frame = mini_nasbench201.parse(miniature.data_frame(["a", "b"], figures), "x")
    assert frame.archs == ["a", "b"]
    for name, (metric, dataset) in mini_nasbench201.COLUMNS.items():
        ours = frame.columns[Column(metric, dataset, 12, 12, "mean")]
        np.testing.assert_array_equal(ours, figures[name])


def test_a_miniature_file_without_a_column_is_refused():
    figures = {name: [1.0] for name in list(mini_nasbench201.COLUMNS)[:-1]}
    with pytest.raises(DataError, match=r"expected .* columns, \['imagenet-test'\] are missing"):
        mini_nasbench201.parse(miniature.data_frame(["a"], figures), "x")
