import gzip

import numpy as np
import pytest

from nasrun.benchmarks import csv_table
from nasrun.benchmarks.source import Source
from nasrun.benchmarks.table import Column
from nasrun.errors import ConfigError, DataError

VALID = "val_score/cifar10/12of12/mean"
LATENCY = "latency_ms/cifar10/200of200/mean"


def source(**kwargs):
    return Source("csv", "nb201", **{"columns": {"acc": VALID, "lat_s": LATENCY}, **kwargs})


def write(path, text):
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


TEXT = "other,lat_s,arch,acc\nx,0.012,a|b,91.5\ny,,c|d,\n"


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_mapped_columns_in_the_units_of_the_table(tmp_path, name):
    path = write(tmp_path / name, TEXT)
    frame = csv_table.read(source(scale={"lat_s": 1000.0}), path)
    assert frame.archs == ["a|b", "c|d"]
    np.testing.assert_allclose(frame.columns[Column.parse(VALID)], [91.5, np.nan])
    np.testing.assert_allclose(frame.columns[Column.parse(LATENCY)], [12.0, np.nan])


def test_another_name_of_the_architecture_column(tmp_path):
    path = write(tmp_path / "t.csv", TEXT.replace("arch", "cell"))
    assert csv_table.read(source(arch_column="cell"), path).archs == ["a|b", "c|d"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arch,acc\na,1\n", r"expected the columns \['lat_s'\], found only \['arch', 'acc'\]"),
        ("", "expected the columns"),
        ("arch,acc,lat_s\na,1\n", "line 2: expected 3 cells, found 2"),
        ("arch,acc,lat_s\na,many,1\n", "column acc: could not convert"),
        ('arch,acc,lat_s\n"a,1,1\n', "not a readable CSV file"),
    ],
)
def test_other_content_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=rf"t\.csv.*{message}"):
        csv_table.read(source(), write(tmp_path / "t.csv", text))


def test_damaged_files_are_refused(tmp_path):
    path = write(tmp_path / "t.csv.gz", TEXT * 500)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"t\.csv\.gz: not a readable CSV file"):
        csv_table.read(source(), path)
    path.write_bytes(b"\xff" * 10)
    with pytest.raises(DataError, match=r"t\.csv\.gz: not a readable CSV file"):
        csv_table.read(source(), path)
    with pytest.raises(DataError, match="not a readable CSV file"):
        csv_table.read(source(), tmp_path / "missing.csv")


def test_a_mapping_that_means_nothing_is_a_config_error(tmp_path):
    path = write(tmp_path / "t.csv", TEXT)
    with pytest.raises(ConfigError, match="expected a column such as"):
        csv_table.read(source(columns={"acc": "accuracy"}), path)
    with pytest.raises(ConfigError, match=r"scale of a CSV table names \['lat_s'\]"):
        csv_table.read(source(columns={"acc": VALID}, scale={"lat_s": 1.0}), path)
