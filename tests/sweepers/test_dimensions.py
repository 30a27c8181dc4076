import pytest
from hydra.errors import HydraException

pytest.importorskip("optuna")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from nasrun.errors import ConfigError
from nasrun.sweepers.dimensions import rounded, split_sweeps, values_within

SWEEPS = {
    "interval(0,1)": FloatDistribution(0.0, 1.0),
    "int(interval(5,60))": IntDistribution(5, 60),
    "tag(log,interval(1e-4,1e-1))": FloatDistribution(1e-4, 1e-1, log=True),
    "tag(log,int(interval(1,100)))": IntDistribution(1, 100, log=True),
    "range(5,8)": IntDistribution(5, 7),  # Hydra's ranges leave their end out
    "range(10,1,-2)": IntDistribution(2, 10, step=2),
    "range(0.1,0.9,0.2)": FloatDistribution(0.1, 0.7, step=0.2),
    "adam,sgd": CategoricalDistribution(("adam", "sgd")),
    "choice([32,32],[64,64])": CategoricalDistribution(("[32,32]", "[64,64]")),
}


@pytest.mark.parametrize(("text", "dimension"), SWEEPS.items(), ids=SWEEPS)
def test_hydras_sweeps_are_dimensions(text, dimension):
    found, fixed = split_sweeps({"key": text}, ["other=3"])
    assert found == {"key": dimension}
    assert fixed == ["other=3"]


def test_the_command_line_replaces_a_dimension_of_the_file():
    found, fixed = split_sweeps({"a": "interval(0,1)"}, ["a=range(1,4)", "b=1,2", "c=x"])
    assert found == {"a": IntDistribution(1, 3), "b": CategoricalDistribution(("1", "2"))}
    assert fixed == ["c=x"]


REFUSED = {
    "a=glob(*)": "name the options",
    "+a=1,2": "only the value of a key",
    "a@b=x,y": "only the value of a key",
    "a=interval(1,1)": "nothing to choose",
    "a=range(3,4)": "nothing to choose",
    "a=interval(2,1)": "cannot be tuned: .*low <= high",
    "a=tag(log,interval(0,1))": "cannot be tuned: .*low > 0",
}


@pytest.mark.parametrize(("argument", "sentence"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_tuned_is_refused(argument, sentence):
    with pytest.raises(ConfigError, match=sentence):
        split_sweeps({}, [argument])


def test_a_param_that_is_no_sweep_is_refused():
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.params\.a must be an interval"):
        split_sweeps({"a": "5"}, [])


def test_a_param_that_hydra_cannot_read_is_refused():
    with pytest.raises(HydraException):
        split_sweeps({"a": "interval(0"}, [])


def test_numbers_are_short_and_stay_within_their_bounds():
    assert rounded(FloatDistribution(0.0, 1.0), 0.123456789) == 0.1235
    assert rounded(FloatDistribution(0.12344, 1.0), 0.123441) == 0.12344
    assert rounded(FloatDistribution(1e-7, 1e-3, log=True), 1.23456e-6) == 1.235e-6
    assert rounded(IntDistribution(5, 60), 17) == 17
    assert rounded(FloatDistribution(0.0, 1.0, step=0.00001), 0.00003 + 1e-17) == 0.00003


@pytest.mark.parametrize(
    ("dimension", "value", "held"),
    [
        (FloatDistribution(0.0, 1.0), 0.2, 0.2),
        (FloatDistribution(0.0, 1.0), 1, 1.0),
        (FloatDistribution(0.0, 1.0), 1.5, None),
        (IntDistribution(5, 60), 20, 20),
        (IntDistribution(5, 60), 20.5, None),
        (IntDistribution(5, 60), True, None),
        (IntDistribution(5, 60), None, None),
        (IntDistribution(2, 10, step=2), 5, None),
        (FloatDistribution(0.1, 0.7, step=0.2), 0.5, 0.5),
        (CategoricalDistribution(("adam", "sgd")), "sgd", "sgd"),
        (CategoricalDistribution(("[32,32]", "[64,64]")), [64, 64], "[64,64]"),
        (CategoricalDistribution(("1", "2")), 3, None),
    ],
)
def test_whether_a_dimension_holds_a_value(dimension, value, held):
    found = values_within({"key": dimension}, {"key": value})
    assert found == (None if held is None else {"key": held})


def test_values_are_those_of_the_dimensions_only_if_all_lie_within():
    dimensions = {"a": IntDistribution(1, 3), "b": CategoricalDistribution(("1", "2"))}
    assert values_within(dimensions, {"a": 2, "b": 2}) == {"a": 2, "b": "2"}
    assert values_within(dimensions, {"a": 4, "b": 2}) is None
    assert values_within(dimensions, {"a": 2, "b": 3}) is None


def test_options_that_mean_the_same_are_one():
    found, _ = split_sweeps({}, ["a=choice(0.1,0.2,1e-1)", "b=choice(1,1.0)"])
    assert found["a"] == CategoricalDistribution(("0.1", "0.2"))
    assert found["b"] == CategoricalDistribution(("1", "1.0"))
