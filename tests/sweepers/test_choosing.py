"""That no configuration is chosen twice, and that choosing ends where there is no other."""

import pytest

pytest.importorskip("optuna")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from nasrun.sweepers import choosing
from nasrun.sweepers.choosing import Sampling
from nasrun.sweepers.study import SharedStudy

# Six configurations.
SMALL = {"how": CategoricalDistribution(("a", "b")), "k": IntDistribution(2, 6, step=2)}
FIRST = {"how": "b", "k": 4}


def study(folder, dimensions=SMALL, first=FIRST, startup=2, seed=0):
    return SharedStudy(folder, dimensions, Sampling(startup, seed), "this", first)


def played(shared, limit, count=1):
    while asked := shared.ask(count, limit):
        for each in asked:
            shared.tell(each.number, None if each.params["k"] == 6 else float(each.params["k"]))
    return shared.configurations()


def told(trials):
    """All of them but the hours."""
    return [(each.number, each.params, each.state, each.value) for each in trials]


def different(found):
    return {tuple(each.params.items()) for each in found}


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
        shared.tell(each.number, None if each.params["k"] == 6 else float(each.params["k"]))
    assert told(study(tmp_path / "broken").configurations()) == told(unbroken)


def test_an_interval_of_a_few_digits_is_tried_once_as_well(tmp_path):
    few = {"k": FloatDistribution(0.1, 0.1004)}
    found = played(study(tmp_path, few, None), 20)
    assert sorted(each.params["k"] for each in found) == [0.1, 0.1001, 0.1002, 0.1003, 0.1004]


def test_a_repeated_proposal_in_a_larger_space_is_passed_over(tmp_path):
    """All 40 of 40 asked for; the model alone would propose values twice that it likes."""
    found = played(study(tmp_path, {"k": IntDistribution(1, 60)}, None, startup=5), 40)
    assert len(found) == len(different(found)) == 40


@pytest.mark.parametrize(
    ("dimension", "values"),
    [
        (IntDistribution(5, 7), [5, 6, 7]),
        (IntDistribution(2, 10, step=4), [2, 6, 10]),
        (IntDistribution(1, 3, log=True), [1, 2, 3]),
        (FloatDistribution(0.1, 0.7, step=0.2), [0.1, 0.3, 0.5, 0.7]),
        (CategoricalDistribution(("a", "b")), ["a", "b"]),
    ],
)
def test_all_values_are_drawn_at_random_if_the_model_is_passed_over(
    tmp_path, monkeypatch, dimension, values
):
    monkeypatch.setattr(choosing, "PROPOSALS", 0)
    shared = study(tmp_path, {"k": dimension}, None)
    assert sorted(each.params["k"] for each in shared.ask(9, 9)) == values
    others = (study(tmp_path / str(seed), {"k": dimension}, None, seed=seed) for seed in range(8))
    assert len({other.ask(9, 9)[0].params["k"] for other in others}) > 1


def test_numbers_between_bounds_are_drawn_at_random_if_the_model_is_passed_over(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(choosing, "PROPOSALS", 0)
    dimensions = {"x": FloatDistribution(0.5, 1.0), "y": FloatDistribution(1e-4, 1e-1, log=True)}
    drawn = [each.params for each in study(tmp_path, dimensions, None).ask(60, 60)]
    assert len({each["x"] for each in drawn}) > 50
    assert all(0.5 <= each["x"] <= 1.0 and 1e-4 <= each["y"] <= 1e-1 for each in drawn)
    assert sum(each["y"] < 3e-3 for each in drawn) > 18  # half of them on the logarithmic scale


def test_keys_may_be_named_in_another_order(tmp_path):
    """The order of the first command stands, so that the sampler's draws are the same."""
    turned = dict(reversed(SMALL.items()))
    unbroken = played(study(tmp_path / "unbroken"), 20)
    played(study(tmp_path / "broken"), 3)
    assert told(played(study(tmp_path / "broken", turned), 20)) == told(unbroken)
