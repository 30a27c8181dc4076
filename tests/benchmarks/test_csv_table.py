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


WRITTEN = {
    "byte order mark": b"\xef\xbb\xbfarch,acc,lat_s\na|b,91.5,0.012\nc|d,,\n",
    "semicolons": TEXT.replace(",", ";").encode(),
    "tabs": TEXT.replace(",", "\t").encode(),
    "blanks": TEXT.replace(",", " , ").encode(),
    "quoted after a blank": TEXT.replace("lat_s,arch", 'lat_s, "arch"').encode(),
    "empty lines": b"\r\n" + TEXT.replace("\n", "\r\n").encode() + b"\r\n,,,\r\n  \r\n\r\n",
    "old line ends": TEXT.replace("\n", "\r").encode(),
    "UTF-16": TEXT.encode("utf-16"),
    "UTF-16 without mark": TEXT.encode("utf-16-le"),
    "UTF-16, tabs": TEXT.replace(",", "\t").encode("utf-16"),  # a spreadsheet's "Unicode text"
    "gzip": gzip.compress(TEXT.encode()),
}


@pytest.mark.parametrize("content", WRITTEN.values(), ids=WRITTEN)
def test_files_of_spreadsheets_are_read(tmp_path, content):
    (tmp_path / "table.csv").write_bytes(content)
    frame = csv_table.read(source(scale={"lat_s": 1000.0}), tmp_path / "table.csv")
    assert frame.archs == ["a|b", "c|d"]
    np.testing.assert_allclose(frame.columns[Column.parse(VALID)], [91.5, np.nan])
    np.testing.assert_allclose(frame.columns[Column.parse(LATENCY)], [12.0, np.nan])


def test_two_columns_that_nobody_asks_for_may_share_a_name(tmp_path):
    path = write(tmp_path / "t.csv", "x,arch,x,acc,lat_s,,\n1,a,2,91.5,1,,\n")
    assert csv_table.read(source(), path).archs == ["a"]


def test_another_name_of_the_architecture_column(tmp_path):
    path = write(tmp_path / "t.csv", TEXT.replace("arch", "cell"))
    assert csv_table.read(source(arch_column="cell"), path).archs == ["a|b", "c|d"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arch,acc\na,1\n", r"expected the columns \['lat_s'\], found only arch, acc"),
        ("", "the file is empty"),
        ("\n,,\n", "the file is empty"),
        ("arch,acc,lat_s\n\n", r"there is no row below the header \(arch, acc, lat_s\)"),
        ("arch,acc,lat_s,acc\na,1,1,2\n", "columns 2 and 4 are both named 'acc'"),
        ("arch,acc,lat_s\na,1,1\n\nb,inf,1\n", "line 4, column acc: expected a finite number"),
        ("arch,acc,lat_s\na,1,-1e999\n", "line 2, column lat_s: .* found '-1e999'"),
        ("arch;acc;lat_s\na;91,5;1\n", "line 2, column acc: .* found '91,5'"),
        ("arch,acc,lat_s\na,1\n", "line 2: expected 3 cells, found 2"),
        ("arch,acc,lat_s\na,many,1\n", "line 2, column acc: .* found 'many'"),
        ('arch,acc,lat_s\n"a,1,1\n', "cannot be read as CSV"),
    ],
)
def test_other_content_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=rf"t\.csv.*{message}"):
        csv_table.read(source(), write(tmp_path / "t.csv", text))


def test_damaged_files_are_refused(tmp_path):
    path = write(tmp_path / "t.csv.gz", TEXT * 500)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"t\.csv\.gz: cannot be unpacked \(Compressed file ended"):
        csv_table.read(source(), path)
    path.write_bytes(b"\xff" * 10)
    with pytest.raises(DataError, match=r"t\.csv\.gz: cannot be read as CSV"):
        csv_table.read(source(), path)
    with pytest.raises(DataError, match=r"missing\.csv: cannot be read"):
        csv_table.read(source(), tmp_path / "missing.csv")


def test_a_mapping_that_means_nothing_is_a_config_error(tmp_path):
    path = write(tmp_path / "t.csv", TEXT)
    with pytest.raises(ConfigError, match="expected a column such as"):
        csv_table.read(source(columns={"acc": "accuracy"}), path)
    with pytest.raises(ConfigError, match=r"scale of a CSV table names \['lat_s'\]"):
        csv_table.read(source(columns={"acc": VALID}, scale={"lat_s": 1.0}), path)
