"""scripts/mutants.py on a package of one function, half of which is tested."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "mutants.py"
MODULE = '''
def clipped(x: float, low: float = 0.0) -> float:
    """At least ``low``."""
    return max(x, low)


def apart(one: float, two: float) -> float:
    return abs(one - two)
'''
TESTS = """
from nasrun.toy import apart, clipped

def test_clipped():
    assert clipped(-1.0, 0.0) == 0.0
    assert clipped(1.0, 0.0) == 1.0

def test_apart():
    assert apart(3.0, 3.0) == 0.0
"""
PLAN = """
toy:
  files: [nasrun/t*y.py]
  tests: [tests/test_toy.py]
  drawn: false
  by_hand: [{old: abs(one - two), new: one - two}]
"""


@pytest.fixture
def replay(tmp_path):
    """The script's exit status and output, on a plan with some words replaced."""
    for name, text in {
        "nasrun/__init__.py": "",
        "nasrun/toy.py": MODULE,
        "tests/test_toy.py": TESTS,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    def run(old="", new="", *options):
        (tmp_path / "plan.yaml").write_text(PLAN.replace(old, new) if old else PLAN)
        places = "--root", str(tmp_path), "--plan", str(tmp_path / "plan.yaml"), "--preload"
        command = [sys.executable, str(SCRIPT), *places, *options]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (tmp_path / "nasrun/toy.py").read_text() == MODULE
        return answer.returncode, answer.stdout + answer.stderr

    return run


def test_a_survivor_is_reported_and_makes_the_exit_status_one(replay):
    status, output = replay()
    row = "| nasrun/toy.py:8 | `return abs(one - two)` | `return one - two` | SURVIVED |"
    assert row in output
    assert "1 mutants, 1 of them neither caught nor equivalent" in output
    assert status == 1


def test_drawn_mutants_are_caught_by_the_test_that_fails(replay):
    status, output = replay("drawn: false", "drawn: true", "--count", "3")
    assert "`return min(x, low)` | tests/test_toy.py::test_clipped |" in output
    assert "`return abs(one + two)` | tests/test_toy.py::test_apart |" in output
    assert status == 1  # by hand


def test_a_survivor_with_a_reason_may_live_unless_a_test_catches_it(replay):
    listed = "{old: return abs(one - two), new: return one - two, why: toys are}"
    status, output = replay("by_hand", f"equivalent: [{listed}]\n  by_hand")
    assert "| equivalent: toys are |" in output
    assert status == 0
    caught = "{old: return abs(one - two), new: return 1.0, why: none}"
    more = f"equivalent: [{caught}]\n  by_hand: [{{old: abs(one - two), new: '1.0'}}]"
    status, output = replay("by_hand: [{old: abs(one - two), new: one - two}]", more)
    assert "| not equivalent: tests/test_toy.py::test_apart |" in output
    assert status == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("abs(one - two), new", "one + two, new", "expected 'one + two' once in nasrun/toy.py"),
        ("test_toy.py", "test_gone.py", "fails without a mutant"),
    ],
)
def test_a_plan_that_does_not_fit_the_package_is_refused(replay, old, new, words):
    status, output = replay(old, new)
    assert words in output
    assert status == 2


@pytest.fixture(scope="module")
def mutants():
    sys.path.insert(0, str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("mutants", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(SCRIPT.parent))
    del sys.modules["mutants"]


@pytest.mark.parametrize("name", OmegaConf.load(SCRIPT.with_suffix(".yaml")))
def test_the_plan_fits_the_package_as_it_is(mutants, name):
    area = mutants.Area(**OmegaConf.to_container(OmegaConf.load(mutants.PLAN)[name]))
    assert len(list(area.mutants(ROOT, 0, 0))) == len(area.by_hand)  # each stands in a file once
    lines = " ".join(
        " ".join(file.read_text() for g in area.files for file in ROOT.glob(g)).split()
    )
    written = {" ".join(mutant.old.split()) for mutant in area.mutants(ROOT, 0, 0)}
    for entry in area.equivalent:
        assert entry["old"] in lines or entry["old"] in written
    for test in area.tests:
        file, _, function = test.removeprefix("--deselect=").partition("::")
        assert f"def {function}" in (ROOT / file).read_text()
