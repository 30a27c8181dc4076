import json

import numpy as np
import pytest
from toys import ToySpace

from nasrun.benchmarks.store import open_table, space_id, write_table
from nasrun.benchmarks.table import Column, Table
from nasrun.errors import DataError

SPACE = ToySpace((2, 3))
ACC = Column("val_score", "a", 12, 12, "mean")
SECONDS = Column("train_s", "a", 12, 12, "mean")


@pytest.fixture
def table():
    columns = {ACC: np.float32([1, 2, np.nan, 4, 5, 6]), SECONDS: np.arange(6, dtype=np.float32)}
    return Table(SPACE, None, columns, {"file": "abc"}, ["first"], ["they disagree"])


def test_a_table_comes_back(tmp_path, table):
    write_table(tmp_path / "deep" / "t.safetensors", table, SPACE)
    back = open_table(tmp_path / "deep" / "t.safetensors", SPACE)
    assert back.columns == table.columns
    assert (back.files, back.sources, back.conflicts) == (
        {"file": "abc"},
        ["first"],
        ["they disagree"],
    )
    for column in table.columns:
        np.testing.assert_array_equal(back[column], table[column])
        assert back[column].dtype == np.float32
    assert ACC._replace(run="777") not in back
    with pytest.raises(KeyError):
        back[ACC._replace(run="777")]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["t.safetensors"]


def test_another_space_is_refused(tmp_path, table):
    write_table(tmp_path / "t", table, SPACE)
    with pytest.raises(DataError, match=r"expected nasrun-table-2 of toy-\w+, found"):
        open_table(tmp_path / "t", ToySpace((3, 2)))
    assert space_id(ToySpace((2, 3))) == space_id(SPACE) != space_id(ToySpace((3, 2)))


@pytest.mark.parametrize("kept", [0, 4, 100, -5])
def test_a_truncated_file_is_refused(tmp_path, table, kept):
    write_table(tmp_path / "t", table, SPACE)
    data = (tmp_path / "t").read_bytes()
    (tmp_path / "t").write_bytes(data[:kept])
    with pytest.raises(DataError, match="not a table of nasrun"):
        open_table(tmp_path / "t", SPACE)


def test_a_flipped_bit_is_noticed_when_its_column_is_read(tmp_path, table):
    write_table(tmp_path / "t", table, SPACE)
    data = bytearray((tmp_path / "t").read_bytes())
    data[-1] ^= 1
    (tmp_path / "t").write_bytes(data)
    back = open_table(tmp_path / "t", SPACE)
    with pytest.raises(DataError, match="is damaged; delete the file"):
        [back[column] for column in back.columns]


def test_other_safetensors_are_refused(tmp_path):
    from safetensors.numpy import save

    for about in (None, {"nasrun": "no json"}, {"nasrun": json.dumps({"crc32": {}})}):
        (tmp_path / "t").write_bytes(save({"x": np.zeros(2)}, about))
        with pytest.raises(DataError, match="not a table of nasrun"):
            open_table(tmp_path / "t", SPACE)
