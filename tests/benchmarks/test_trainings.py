import csv
import gzip
import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pytest

from nasrun.benchmarks.source import Source
from nasrun.benchmarks.sources import load_table
from nasrun.benchmarks.table import Column
from nasrun.benchmarks.trainings import COLUMNS, TrainedEpoch, TrainingLog, read, read_trainings
from nasrun.errors import DataError
from nasrun.spaces.nb201 import NB201

ARCH = NB201().text(NB201().at(np.array(77)))
ROW = TrainedEpoch(
    "abc", "in16[3,17]", 2, 16, 1000, 100, "0f", "search", "nb201", ARCH, "8", "1", "r1", 2,
    777, "cpu/float32", 1, 2.5, "accuracy_pct", 10.0, 12.3456789, math.nan, 4.0, 0.5, "",
)  # fmt: skip


def rows(training="abc", **changes):
    first = replace(ROW, training=training, **changes)
    return [first, replace(first, epoch=2, val_score=20.0, train_s=6.0)]


def test_what_was_added_is_found_again_by_every_reader(tmp_path):
    path = tmp_path / "deep" / "trainings.csv"
    log, other = TrainingLog(path), TrainingLog(path)
    assert log.curve("abc") == []
    log.add(rows())
    assert [row.epoch for row in other.curve("abc")] == [1, 2]
    found = other.curve("abc")[0]
    assert found.task == "in16[3,17]"
    assert found.val_score == 12.345679
    assert math.isnan(found.test_score)
    other.add(rows("def"))
    assert len(log.all()) == 4
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)


@pytest.mark.parametrize("again", [[], rows("x")], ids=["deleted", "replaced"])
def test_a_file_that_goes_away_while_it_is_open_is_begun_anew(tmp_path, again):
    path = tmp_path / "trainings.csv"
    log = TrainingLog(path)
    log.add(rows())
    path.unlink()
    TrainingLog(path).add(again)
    log.add(rows("def"))
    assert b"\0" not in path.read_bytes()
    assert [row.training for row in TrainingLog(path).all()] == [*["x"] * len(again), "def", "def"]
    assert log.curve("abc") == []


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace(",", ";").replace('"', "").encode("utf-16"),
        lambda text: text.replace(",", "\t").replace('"', "").encode(),
        lambda text: gzip.compress(text.encode()),
        lambda text: (text.replace("\n", "\r\n") + "\r\n,,\r\n").encode(),
        lambda text: "\n".join(
            ",".join(reversed(line.split(","))) for line in text.split()
        ).encode(),
    ],
    ids=["bom", "utf-16", "tabs", "gzip", "empty lines", "order"],
)
def test_a_finished_table_may_come_back_from_a_spreadsheet(tmp_path, change):
    log = TrainingLog(tmp_path / "own.csv")
    log.add(rows(task="in16"))
    path = tmp_path / "theirs.csv"
    path.write_bytes(change(log.path.read_text()))
    assert str(read_trainings(path)) == str(log.all())  # as texts: one NaN is not another


def test_a_table_of_other_columns_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("arch,acc\nx,1\n")
    with pytest.raises(DataError, match="not a table of trainings, it has no training, task"):
        read_trainings(path)
    log = TrainingLog(tmp_path / "own.csv")
    log.add(rows())
    path.write_bytes(b"\xef\xbb\xbf" + log.path.read_bytes().replace(b",16,", b",sixteen,", 1))
    with pytest.raises(DataError, match=r"t\.csv, line 2: invalid literal .* 'sixteen'"):
        read_trainings(path)


def test_rows_are_kept_once(tmp_path):
    log = TrainingLog(tmp_path / "t.csv")
    log.add(rows())
    before = log.path.read_bytes()
    log.add(rows())
    TrainingLog(log.path).add(rows())
    assert log.path.read_bytes() == before


def test_half_a_line_of_a_killed_process_is_replaced(tmp_path):
    log = TrainingLog(tmp_path / "t.csv")
    log.add(rows())
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + b"def,in16[3,")
    assert len(TrainingLog(log.path).all()) == 2
    again = TrainingLog(log.path)
    again.add(rows("def"))
    assert len(TrainingLog(log.path).all()) == 4
    log.path.write_bytes(b"trai")
    fresh = TrainingLog(log.path)
    fresh.add(rows())
    assert log.path.read_bytes() == whole


def append(path, name):
    log = TrainingLog(path)
    for at in range(20):
        log.add(rows(f"{name}{at}"))


def test_processes_that_append_at_once_lose_nothing(tmp_path):
    path = tmp_path / "t.csv"
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(append, [path, path], ["a", "b"]))
    assert len(TrainingLog(path).all()) == 80


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a,b\n", "expected the columns training, task"),
        (",".join(COLUMNS) + "\n" + "x," * 23 + "\n", "invalid literal"),
        (",".join(COLUMNS) + "\nx,y\n", "shorter"),
    ],
)
def test_another_file_is_refused(tmp_path, text, why):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=f"not a table of trainings .*{why}"):
        TrainingLog(path).all()


def test_it_is_a_source_of_many_tasks(tmp_path):
    path, space = tmp_path / "t.csv", NB201()
    log = TrainingLog(path)
    log.add(rows())
    log.add(rows("final", part="final"))
    other = space.text(space.at(np.array(78)))
    log.add(rows("two", task="in16[1,2,4]", arch=other, seed=888))
    log.add(rows("size", space="nats_size", arch="8:8:8:8:8"))
    source = Source(reader="trainings", space="nb201", paths=[str(path)])
    table = load_table({"ours": source}, [], space, tmp_path / "cache")
    one, two = table.row(space.at(np.array([77, 78])))
    accuracy = table[Column("val_score", "in16[3,17]", 2, 2, "mean")]
    assert accuracy[one] == 20.0
    assert np.isnan(accuracy[two])
    assert len(table) == 2
    assert table[Column("val_score", "in16[1,2,4]", 2, 1, "888")][two] == np.float32(12.345679)
    assert table[Column("train_s", "in16[3,17]", 2, 2, "mean")][one] == 5.0


def test_figures_that_no_column_tells_apart_are_refused(tmp_path):
    log = TrainingLog(tmp_path / "t.csv")
    log.add(rows())
    log.add(rows("other", channels="16"))
    with pytest.raises(DataError, match="was trained twice on"):
        read(log.path, "nb201")


def test_files_of_earlier_versions_are_read_but_not_added_to(tmp_path):
    path = tmp_path / "trainings.csv"
    TrainingLog(path).add(rows())
    header, *lines = path.read_text().splitlines()
    place = COLUMNS.index("metric")
    # Written before there were other metrics than accuracy; a cell with a comma is quoted.
    earlier = header.replace("metric,", "").replace("train_score", "train_acc_pct")
    earlier = earlier.replace("val_score", "valid_acc_pct").replace("test_score", "test_acc_pct")
    cells = [next(csv.reader([line])) for line in lines]
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(earlier.split(","))
        writer.writerows(row[:place] + row[place + 1 :] for row in cells)
    assert [row.val_score for row in TrainingLog(path).all()] == [12.345679, 20.0]
    assert {row.metric for row in TrainingLog(path).all()} == {"accuracy_pct"}
    before = path.read_bytes()
    with pytest.raises(DataError, match="an earlier version wrote it"):
        TrainingLog(path).add(rows("new"))
    assert path.read_bytes() == before
