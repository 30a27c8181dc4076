import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nasrun.images import are_masks, draw


@st.composite
def labelled(draw_):
    labels = np.array(draw_(st.lists(st.integers(0, 5), min_size=1, max_size=60)))
    return labels, draw_(st.integers(0, len(labels))), draw_(st.integers(0, 10**6))


@given(labelled())
def test_a_draw_takes_each_class_alike(case):
    labels, count, seed = case
    rows = draw(labels, count, seed, "test")
    assert len(rows) == count == len(set(rows.tolist()))
    taken = np.bincount(labels[rows], minlength=6)
    fair = np.bincount(labels, minlength=6) * count / len(labels)
    assert (np.abs(taken - fair) <= 1).all()


@given(labelled())
def test_a_larger_draw_takes_the_same_rows_and_more(case):
    labels, count, seed = case
    assert set(draw(labels, count, seed, "test")) <= set(draw(labels, len(labels), seed, "test"))
    if count < len(labels):
        assert set(draw(labels, count, seed, "t")) <= set(draw(labels, count + 1, seed, "t"))


def test_a_draw_depends_on_seed_and_purpose():
    labels = np.arange(200) % 4
    first = draw(labels, 50, 0, "a")
    assert np.array_equal(first, draw(labels, 50, 0, "a"))
    assert not np.array_equal(first, draw(labels, 50, 1, "a"))
    assert not np.array_equal(first, draw(labels, 50, 0, "b"))


def test_masks_are_integers_for_each_pixel():
    assert are_masks(np.zeros((2, 3, 4), np.int64))
    assert not are_masks(np.zeros((2, 3, 4), np.float32))
    assert not are_masks(np.zeros((2, 3), np.int64))
