import pytest
from hydra.errors import HydraException

from nasrun.errors import ConfigError
from nasrun.sweepers.dimensions import Numbers, Options, split_sweeps

SWEEPS = {
    "interval(0,1)": Numbers(0.0, 1.0),
    "int(interval(5,60))": Numbers(5, 60),
    "tag(log,interval(1e-4,1e-1))": Numbers(1e-4, 1e-1, log=True),
    "tag(log,int(interval(1,100)))": Numbers(1, 100, log=True),
    "range(5,8)": Numbers(5, 7, 1),  # Hydra's ranges leave their end out
    "range(10,1,-2)": Numbers(2, 10, 2),
    "range(0.1,0.9,0.2)": Numbers(0.1, 0.7, 0.2),
    "adam,sgd": Options(("adam", "sgd")),
    "choice([32,32],[64,64])": Options(("[32,32]", "[64,64]")),
}


@pytest.mark.parametrize(("text", "dimension"), SWEEPS.items(), ids=SWEEPS)
def test_hydras_sweeps_are_dimensions(text, dimension):
    pytest.importorskip("optuna")
    found, fixed = split_sweeps({"key": text}, ["other=3"])
    assert found == {"key": dimension}
    assert fixed == ["other=3"]
    low = getattr(dimension, "low", None)
    assert low is None or dimension.distribution().low == low


def test_the_command_line_replaces_a_dimension_of_the_file():
    found, fixed = split_sweeps({"a": "interval(0,1)"}, ["a=range(1,4)", "b=1,2", "c=x"])
    assert found == {"a": Numbers(1, 3, 1), "b": Options(("1", "2"))}
    assert fixed == ["c=x"]


REFUSED = {
    "a=glob(*)": "name the options",
    "+a=1,2": "only the value of a key",
    "a@b=x,y": "only the value of a key",
    "a=interval(1,1)": "nothing to choose",
    "a=range(3,4)": "nothing to choose",
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
    assert Numbers(0.0, 1.0).rounded(0.123456789) == 0.1235
    assert Numbers(0.12344, 1.0).rounded(0.123441) == 0.12344
    assert Numbers(1e-7, 1e-3, log=True).rounded(1.23456e-6) == 1.235e-6
    assert Numbers(5, 60).rounded(17) == 17
    assert Numbers(0.0, 1.0, 0.00001).rounded(0.00003 + 1e-17) == 0.00003


@pytest.mark.parametrize(
    ("dimension", "value", "held"),
    [
        (Numbers(0.0, 1.0), 0.2, 0.2),
        (Numbers(0.0, 1.0), 1, 1.0),
        (Numbers(0.0, 1.0), 1.5, None),
        (Numbers(5, 60), 20, 20),
        (Numbers(5, 60), 20.5, None),
        (Numbers(5, 60), True, None),
        (Numbers(5, 60), None, None),
        (Numbers(2, 10, 2), 5, None),
        (Numbers(0.1, 0.7, 0.2), 0.5, 0.5),
        (Options(("adam", "sgd")), "sgd", "sgd"),
        (Options(("[32,32]", "[64,64]")), [64, 64], "[64,64]"),
        (Options(("1", "2")), 3, None),
    ],
)
def test_whether_a_dimension_holds_a_value(dimension, value, held):
    assert dimension.holds(value) == held
