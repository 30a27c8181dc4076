import numpy as np
import pytest

from nasrun.benchmarks.plausible import require_plausible
from nasrun.benchmarks.table import Column, Frame
from nasrun.errors import DataError

VALID = "val_score/mine/200of200/mean"


def ask(figures, column=VALID, **metrics):
    archs = [f"arch{row}" for row in range(len(figures))]
    frame = Frame(archs, {Column.parse(column): np.array(figures, float)})
    require_plausible("t", frame, metrics)


@pytest.mark.parametrize("bad", [1e5, 100.1, -1.0, np.inf, -np.inf])
def test_a_percentage_lies_between_0_and_100(bad):
    ask([0.0, 93.5, np.nan, 100.0, 100.004])
    with pytest.raises(DataError, match=r"200of200/mean of arch2 is .*, expected 0 to 100 \(the"):
        ask([50.0, 93.5, bad])


def test_fractions_are_no_percentages():
    with pytest.raises(DataError, match=r"no score of mine is above 0.94, .*t\.scale\.COLUMN=100"):
        ask([0.5, 0.94, np.nan])
    ask([0.5, 1.1])
    ask([0.0, np.nan])  # nothing was learnt, which says nothing about the unit
    ask([0.5, 0.94], mine="error_pct")  # MNIST is learnt to less than one per cent
    ask([0.5, 0.94], mine="ssim")


@pytest.mark.parametrize("figure", [-0.5, np.nan, 1e6])
def test_scores_of_other_units_are_any_finite_number(figure):
    ask([figure], mine="neg_loss")
    with pytest.raises(DataError, match="expected a finite number"):
        ask([np.inf], mine="neg_loss")


@pytest.mark.parametrize(
    ("column", "good", "bad", "words"),
    [
        ("latency_ms", 0.003, 0.0, "milliseconds above 0"),
        ("train_s", 0.0, -1.0, "seconds"),
        ("valid_s", 12.0, np.inf, "seconds"),
    ],
)
def test_time_does_not_run_backwards(column, good, bad, words):
    name = f"{column}/mine/200of200/mean"
    ask([good, np.nan], name)
    with pytest.raises(DataError, match=f"expected {words}"):
        ask([good, bad], name)


def test_a_figure_of_a_whole_space_has_no_name():
    frame = Frame(None, {Column.parse(VALID): np.array([50.0, 101.0])})
    with pytest.raises(DataError, match="of row 2 is 101"):
        require_plausible("t", frame, {})
