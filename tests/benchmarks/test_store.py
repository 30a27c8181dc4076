import json
import zlib
from dataclasses import dataclass

import numpy as np
import pytest
from safetensors.numpy import save
from toys import ToySpace

from nasrun.benchmarks.store import FORMAT, open_table, space_id, write_table
from nasrun.benchmarks.table import Column, Table
from nasrun.errors import DataError
from nasrun.spaces.constrained import ConstrainedSpace
from nasrun.spaces.nb201 import NB201, Mutation

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
    with pytest.raises(DataError, match=r"expected nasrun-table-3 of toy-\w+, found"):
        open_table(tmp_path / "t", ToySpace((3, 2)))
    assert space_id(ToySpace((2, 3))) == space_id(SPACE) != space_id(ToySpace((3, 2)))


def limited(most, name="limited"):
    @dataclass
    class Limited(ConstrainedSpace):
        name: str
        most: int
        decisions = (("0", "1", "2"), ("0", "1", "2"))

        def exists(self, archs):
            return super().exists(archs) & (archs.sum(1) <= self.most)

        def text(self, arch):
            return "".join(map(str, arch))

        def parse(self, text):
            return np.array([int(digit) for digit in text])

    return Limited(name, most)


def test_limits_on_what_exists_are_part_of_a_tables_space(tmp_path):
    """Or a space with wider limits would be served what was cached for narrower ones."""
    listed = np.array([[0, 0], [2, 1]])
    table = Table(limited(3), listed, {ACC: np.float32([1, 2])}, {}, ["first"], [])
    write_table(tmp_path / "t", table, limited(3))
    assert len(open_table(tmp_path / "t", limited(3))) == 2
    with pytest.raises(DataError, match=r"expected nasrun-table-3 of limited-\w+, found"):
        open_table(tmp_path / "t", limited(2))
    # Spaces without limits keep the name that their tables have.
    assert space_id(NB201()) == space_id(NB201(mutation=Mutation.node)) == "nb201-992a3b99"


@pytest.mark.parametrize("shape", [5, (2, 3), 7])
def test_a_column_of_another_length_is_refused(tmp_path, table, shape):
    column = np.zeros(shape, np.float32)
    about = {
        "format": FORMAT,
        "space": space_id(SPACE),
        "files": {},
        "sources": [],
        "conflicts": [],
    }
    about |= {"names": {}, "crc32": {str(ACC): zlib.crc32(column.data)}}
    path = tmp_path / "t"
    path.write_bytes(save({str(ACC): column}, {"nasrun": json.dumps(about)}))
    with pytest.raises(DataError, match=r"not a table of nasrun .*expected 6 float32"):
        open_table(path, SPACE)


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
