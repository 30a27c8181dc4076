import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import ToySpace

from nasrun.benchmarks.table import METRICS, Column, Table
from nasrun.errors import ConfigError

EPOCHS = st.integers(1, 500)
COLUMNS = st.builds(
    Column,
    st.sampled_from(METRICS),
    st.sampled_from(["cifar10-valid", "ImageNet16-120"]),
    EPOCHS,
    EPOCHS,
    st.sampled_from(["mean", "777"]),
)


@given(COLUMNS)
def test_column_names_round_trip(column):
    assert Column.parse(str(column)) == column


@pytest.mark.parametrize(
    "text", ["", "acc/cifar10/1of1/mean", "val_score/cifar10/1/mean", "train_s/a/1ofx/mean"]
)
def test_other_names_are_refused(text):
    with pytest.raises(ConfigError, match="expected a column such as"):
        Column.parse(text)


def table():
    names = [
        "val_score/a/1of12/777",
        "val_score/a/12of12/777",
        "val_score/a/12of12/mean",
        "val_score/a/200of200/888",
        "val_score/a/200of200/777",
        "val_score/b/90of90/777",
        "train_s/a/12of12/mean",
        "train_s/a/200of200/mean",
    ]
    columns = {Column.parse(n): np.full(2, i, np.float32) for i, n in enumerate(names)}
    return Table(ToySpace((2,)), None, columns, {})


def test_questions_to_a_table():
    assert table().runs("val_score", "a", 200, 200) == ["777", "888"]
    assert table().runs("val_score", "a", 12, 12) == ["777"]
    assert table().epochs("val_score", "a", 12) == [1, 12]
    assert table().schedules("val_score", "a") == [12, 200]
    assert Column.parse("train_s/a/12of12/mean") in table()


def test_seconds_are_taken_from_the_schedule_that_is_asked_for():
    nothing = np.full(2, np.nan)
    np.testing.assert_array_equal(table().find("train_s", "a", nothing, 12), [6, 6])
    np.testing.assert_array_equal(table().find("train_s", "a", nothing, 200), [7, 7])
    np.testing.assert_array_equal(table().find("train_s", "a", nothing, 90), [7, 7])
    np.testing.assert_array_equal(table().find("train_s", "b", nothing), nothing)
