import json
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from nasrun.algorithms.catch import CATCH
from nasrun.algorithms.rea import REA
from nasrun.errors import DataError
from nasrun.evaluators.screened import Screened
from nasrun.evaluators.tabular import Tabular
from nasrun.evaluators.training import Training
from nasrun.files import read_csv
from nasrun.record.artifact import (
    WEIGHTS,
    Made,
    _imported,
    artifact_key,
    code_hash,
    fetch,
)

INPUTS = {"algorithm": {"name": "x", "rate": 3e-4}, "seed": 1}


def made(value=1.0):
    arrays = {"net.0": np.full((2, 3), value, np.float32), "arity": np.array([[2, 3]] * 2)}
    return Made(arrays, {"cost_s": 2.5}, ("epoch", "task"), [(0, "a"), (1, "b")], 0.5)


def never():
    raise AssertionError("trained again")


def write_note(folder, number):
    def train():
        (folder / f"trained-by-{number}").touch()
        return made()

    return fetch(folder / "cache", INPUTS, train).key


def test_what_was_made_is_fetched_again(tmp_path):
    first = fetch(tmp_path, INPUTS, made)
    again = fetch(tmp_path, INPUTS, never)
    assert again.key == first.key == artifact_key(INPUTS)
    assert again.cost == {"cost_s": 2.5}
    for name, array in made().arrays.items():
        assert np.array_equal(again.arrays[name], array)
    place = tmp_path / first.key
    assert json.loads((place / "about.json").read_text())["inputs"] == INPUTS
    assert [row["task"] for row in read_csv(place / "evaluations.csv", ("epoch", "task"))] == [
        "a",
        "b",
    ]


def test_other_inputs_are_another_artifact(tmp_path):
    fetch(tmp_path, INPUTS, made)
    other = fetch(tmp_path, {**INPUTS, "seed": 2}, lambda: made(2.0))
    assert other.arrays["net.0"][0, 0] == 2.0
    assert artifact_key({**INPUTS, "seed": 2}) == other.key != artifact_key(INPUTS)


def test_the_order_of_inputs_does_not_matter():
    assert artifact_key(dict(reversed(INPUTS.items()))) == artifact_key(INPUTS)


def test_of_several_processes_one_makes_it(tmp_path):
    with ProcessPoolExecutor(2) as pool:
        keys = list(pool.map(write_note, [tmp_path] * 4, range(4)))
    assert len(set(keys)) == 1
    assert len(list(tmp_path.glob("trained-by-*"))) == 1


def test_a_training_that_fails_leaves_nothing_to_fetch(tmp_path):
    def fails():
        raise DataError("no")

    with pytest.raises(DataError, match=r"^no$"):
        fetch(tmp_path, INPUTS, fails)
    assert fetch(tmp_path, INPUTS, made).cost == {"cost_s": 2.5}


@pytest.mark.parametrize("where", [0.2, 0.7, 0.999])
def test_a_flipped_bit_is_found(tmp_path, where):
    path = tmp_path / fetch(tmp_path, INPUTS, made).key / WEIGHTS
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 4
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"delete .* to train anew"):
        fetch(tmp_path, INPUTS, never)


@pytest.mark.parametrize("size", [0, 5, 100, -4])
def test_a_truncated_file_is_refused(tmp_path, size):
    path = tmp_path / fetch(tmp_path, INPUTS, made).key / WEIGHTS
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match=r"delete .* to train anew"):
        fetch(tmp_path, INPUTS, never)


def test_a_foreign_file_is_refused(tmp_path):
    one = tmp_path / fetch(tmp_path, INPUTS, made).key
    other = tmp_path / fetch(tmp_path, {"seed": 5}, made).key
    (one / WEIGHTS).write_bytes((other / WEIGHTS).read_bytes())
    with pytest.raises(DataError, match="belongs to another meta-training"):
        fetch(tmp_path, INPUTS, never)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DataError, match="cannot keep what meta-training learnt"):
        fetch(tmp_path / "cache", INPUTS, made)


def test_a_file_that_cannot_be_written_is_told_with_the_folder_to_change(tmp_path):
    (tmp_path / artifact_key(INPUTS) / "about.json").mkdir(parents=True)
    with pytest.raises(DataError, match=r"cannot write .*about\.json: .*cache_dir="):
        fetch(tmp_path, INPUTS, made)


def test_the_code_has_a_hash():
    assert len(code_hash(CATCH())) == 12
    assert code_hash(CATCH()) == code_hash(CATCH())
    assert code_hash(CATCH()) != code_hash(REA())


def test_the_code_includes_that_of_an_evaluator_within_a_part():
    wrapped = [Screened(then=inner, screen=Tabular()) for inner in (Training(), Tabular())]
    assert len({*map(code_hash, wrapped)}) == 2
    assert code_hash({"a": [wrapped[0]]}) != code_hash({"a": [wrapped[1]]})


def test_imports_are_found_wherever_they_stand():
    source = """
def f(x):
    try:
        import a
    except A:
        import b.c
    else:
        with x: from d import e
    finally:
        for _ in x: import g
    match x:
        case 2: import h
        case _ if (lambda: x): import i
class C:
    if x: import j
    elif y: import k
"""
    names = sorted(_imported(source.encode()))
    assert names == ["a", "b.c", "d", "d.e", "g", "h", "i", "j", "k"]


def test_the_code_includes_what_an_algorithm_imports(tmp_path, monkeypatch):
    def made(rate):
        (tmp_path / "steps.py").write_text(f"RATE = {rate}\n")
        (tmp_path / "mine.py").write_text("from own.steps import RATE\nclass Mine: ...\n")
        (tmp_path / "__init__.py").write_text("")
        code = (
            "import importlib.util, sys\n"
            f"spec = importlib.util.spec_from_file_location('own', r'{tmp_path}/__init__.py')\n"
            "sys.modules['own'] = package = importlib.util.module_from_spec(spec)\n"
            f"package.__path__ = [{str(tmp_path)!r}]\n"
            "from own.mine import Mine\n"
            "from nasrun.record.artifact import code_hash\n"
            "print(code_hash(Mine()))"
        )
        return subprocess.run(
            [sys.executable, "-B", "-c", code], capture_output=True, text=True, check=True
        ).stdout

    first = made(1)
    assert made(1) == first
    assert made(2) != first
