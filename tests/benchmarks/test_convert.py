import miniature
import numpy as np
import pytest
import torch

from nasrun.benchmarks.sources import Source, load_table
from nasrun.errors import ConfigError, DataError
from nasrun.spaces.nb201 import NB201
from nasrun.verbs import perform


@pytest.fixture
def official(tmp_path):
    path = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    torch.save(miniature.official(), path)
    return path


def test_a_converted_file_is_read_like_the_original(official, tmp_path, capsys):
    out = tmp_path / "nb201.safetensors"
    assert perform(["convert", str(official), str(out)]) == 0
    assert "columns" in capsys.readouterr().out
    tables = {
        "converted": Source("converted", "nb201", [str(out)]),
        "original": Source("nasbench201", "nb201", [str(official)]),
    }
    ours, theirs = (load_table(tables, [name], NB201(), tmp_path) for name in tables)
    assert ours.columns == theirs.columns
    for column in ours.columns:
        np.testing.assert_array_equal(ours[column], theirs[column])
    both = load_table(tables, list(tables), NB201(), tmp_path)
    assert both.conflicts == []


def test_a_folder_of_nats_bench(tmp_path):
    folder = miniature.nats_folder(tmp_path / "NATS-tss-v1_0-simple", miniature.official())
    out = tmp_path / "out.safetensors"
    assert perform(["convert", str(folder), str(out)]) == 0
    tables = {"converted": Source("converted", "nb201", [str(out)])}
    assert len(load_table(tables, [], NB201(), tmp_path).columns) > 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.pth"], "missing.pth is not there: name an official file"),
        (["what.zip"], "add --reader and --space"),
        (
            ["x.pth", "--space", "mars", "--reader", "nasbench201"],
            "--space names 'mars', which is none of",
        ),
        (["x.pth", "--reader", "excel", "--space", "nb201"], "reader=excel is unknown"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, arguments, message):
    path, *rest = arguments
    if "missing" not in path:
        (tmp_path / path).touch()
    with pytest.raises(ConfigError, match=message):
        perform(["convert", str(tmp_path / path), str(tmp_path / "out"), *rest])


def test_a_damaged_file_leaves_nothing_behind(official, tmp_path):
    official.write_bytes(official.read_bytes()[:-1000])
    out = tmp_path / "deep" / "nb201.safetensors"
    with pytest.raises(DataError, match="not a complete file"):
        perform(["convert", str(official), str(out)])
    assert not out.parent.exists()
