import importlib.util
from pathlib import Path

import miniature
import numpy as np
import pytest
import torch

from nasrun.benchmarks.sources import Source, load_table
from nasrun.spaces.nb201 import NB201

SCRIPT = Path(__file__).parents[2] / "scripts" / "convert_table.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("convert_table", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def official(tmp_path):
    path = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    torch.save(miniature.official(), path)
    return path


def test_a_converted_file_is_read_like_the_original(script, official, tmp_path, capsys):
    out = tmp_path / "nb201.safetensors"
    assert script.main([str(official), str(out)]) == 0
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


def test_a_folder_of_nats_bench(script, tmp_path):
    folder = miniature.nats_folder(tmp_path / "NATS-tss-v1_0-simple", miniature.official())
    out = tmp_path / "out.safetensors"
    assert script.main([str(folder), str(out)]) == 0
    tables = {"converted": Source("converted", "nb201", [str(out)])}
    assert len(load_table(tables, [], NB201(), tmp_path).columns) > 80


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["missing.pth"], 2, "whose file is not there"),
        (["what.zip"], 2, "add --reader and --space"),
        (
            ["x.pth", "--space", "mars", "--reader", "nasbench201"],
            2,
            "--space names 'mars', which is none of",
        ),
        (["x.pth", "--reader", "excel", "--space", "nb201"], 2, "reader=excel is unknown"),
    ],
)
def test_mistakes_are_one_sentence(script, tmp_path, capsys, arguments, code, message):
    path, *rest = arguments
    assert script.main([str(tmp_path / path), str(tmp_path / "out"), *rest]) == code
    assert message in capsys.readouterr().err


def test_a_damaged_file_leaves_nothing_behind(script, official, tmp_path, capsys):
    official.write_bytes(official.read_bytes()[:-1000])
    out = tmp_path / "deep" / "nb201.safetensors"
    assert script.main([str(official), str(out)]) == 1
    assert "not a complete file" in capsys.readouterr().err
    assert not out.parent.exists()
