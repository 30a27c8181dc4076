"""That no configuration is chosen twice, and that choosing ends where there is no other."""

import random

import pytest

pytest.importorskip("optuna")

from nasrun.sweepers.choosing import Sampling
from nasrun.sweepers.dimensions import Numbers, Options, split_sweeps
from nasrun.sweepers.study import SharedStudy

SMALL = {"how": Options(("a", "b")), "k": Numbers(2, 6, 2)}  # six configurations
FIRST = {"how": "b", "k": 4}


def study(folder, dimensions=SMALL, first=FIRST, startup=2):
    return SharedStudy(folder, dimensions, Sampling(startup, 0), "this", first)


def played(shared, limit, count=1):
    while asked := shared.ask(count, limit):
        for each in asked:
            shared.tell(each.number, None if each.values["k"] == 6 else float(each.values["k"]))
    return shared.configurations()


def different(found):
    return {tuple(each.values.items()) for each in found}


@pytest.mark.parametrize("startup", [2, 100], ids=["tpe", "random"])
@pytest.mark.parametrize("first", [FIRST, None], ids=["first", "none"])
def test_a_small_space_is_tried_once_and_then_there_is_no_more(tmp_path, startup, first):
    found = played(study(tmp_path, first=first, startup=startup), 20)
    assert len(found) == len(different(found)) == 6
    assert not study(tmp_path, first=first, startup=startup).ask(1, 20)


def test_several_at_once_differ_too(tmp_path):
    one, two = study(tmp_path), study(tmp_path)
    mine, theirs = one.ask(4, 20), two.ask(4, 20)
    assert [len(mine), len(theirs)] == [4, 2]
    assert len(different([*mine, *theirs])) == 6


def test_an_interrupted_study_of_a_small_space_equals_an_unbroken_one(tmp_path):
    unbroken = played(study(tmp_path / "unbroken"), 20)
    for _ in range(6):
        asked = study(tmp_path / "broken").ask(1, 20)  # ... and the process is gone
        assert study(tmp_path / "broken").ask(1, 20) == asked
        shared = study(tmp_path / "broken")
        (each,) = shared.ask(1, 20)
        shared.tell(each.number, None if each.values["k"] == 6 else float(each.values["k"]))
    assert study(tmp_path / "broken").configurations() == unbroken


def test_an_interval_of_a_few_digits_is_tried_once_as_well(tmp_path):
    few = {"k": Numbers(0.1, 0.1004)}
    found = played(study(tmp_path, few, None), 20)
    assert sorted(each.values["k"] for each in found) == [0.1, 0.1001, 0.1002, 0.1003, 0.1004]


def test_a_repeated_proposal_in_a_larger_space_is_passed_over(tmp_path):
    """All 40 of 40 asked for; the model alone would propose values twice that it likes."""
    found = played(study(tmp_path, {"k": Numbers(1, 60)}, None, startup=5), 40)
    assert len(found) == len(different(found)) == 40


@pytest.mark.parametrize(
    ("dimension", "values"),
    [
        (Numbers(5, 7), [5, 6, 7]),
        (Numbers(2, 10, 4), [2, 6, 10]),
        (Numbers(1, 3, log=True), [1, 2, 3]),
        (Numbers(0.1, 0.7, 0.2), [0.1, 0.3, 0.5, 0.7]),
        (Options(("a", "b")), ["a", "b"]),
    ],
)
def test_values_are_counted(dimension, values):
    assert [dimension.at(index) for index in range(dimension.count)] == values
    generator = random.Random(0)
    assert {dimension.drawn(generator) for _ in range(100)} == set(values)


def test_numbers_between_bounds_are_not_counted_but_drawn():
    generator = random.Random(0)
    for dimension in (Numbers(0.5, 1.0), Numbers(1e-4, 1e-1, log=True)):
        assert dimension.count is None
        drawn = [dimension.drawn(generator) for _ in range(200)]
        assert len(set(drawn)) > 150
        assert all(dimension.holds(value) == value for value in drawn)
    assert sum(value < 3e-3 for value in drawn) > 60  # half of them on the logarithmic scale


def test_options_that_mean_the_same_are_one():
    found, _ = split_sweeps({}, ["a=choice(0.1,0.2,1e-1)", "b=choice(1,1.0)"])
    assert found["a"] == Options(("0.1", "0.2"))
    assert found["b"] == Options(("1", "1.0"))
