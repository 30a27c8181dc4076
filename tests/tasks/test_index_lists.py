import json

import pytest

from nasrun.errors import DataError
from nasrun.tasks.index_lists import read_index_lists


def test_lists_are_read_as_they_are_published(tmp_path):
    path = tmp_path / "split.txt"
    path.write_text(json.dumps({"train": ["int", ["3", "0"]], "valid": ["int", ["1", "2"]]}))
    train, valid = read_index_lists(path, ("train", "valid"))
    assert train.tolist() == [3, 0]
    assert valid.tolist() == [1, 2]


@pytest.mark.parametrize(
    "content",
    [
        "not JSON",
        json.dumps({"train": ["int", ["1"]]}),
        json.dumps({"train": ["int", ["x"]], "valid": ["int", []]}),
        json.dumps({"train": ["int", ["1"]], "valid": ["int", ["1"]]}),
        json.dumps({"train": ["int", ["-1"]], "valid": ["int", ["1"]]}),
    ],
    ids=["text", "one missing", "no numbers", "twice", "negative"],
)
def test_damaged_lists_are_refused(tmp_path, content):
    path = tmp_path / "split.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=r"split\.txt.*again"):
        read_index_lists(path, ("train", "valid"))
