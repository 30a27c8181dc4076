import contextlib
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nasrun.benchmarks.unpickle import RECORDS, InertArray, load_plain, load_restricted
from nasrun.errors import DataError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


class Attack:
    def __init__(self, call, *arguments):
        self.reduced = (call, arguments)

    def __reduce__(self):
        return self.reduced


@given(PLAIN, st.sampled_from([2, 4, 5]))
def test_plain_data_comes_back(content, protocol):
    assert load_restricted(pickle.dumps(content, protocol), {}, "x") == content


@pytest.mark.parametrize("protocol", [2, 4, 5])
@given(hnp.arrays(st.sampled_from(["f8", "f4", "i8", "u1"]), hnp.array_shapes(max_dims=3)))
def test_arrays_and_numbers_come_back(protocol, array):
    content = OrderedDict(array=array, number=array.flat[0], by_columns=np.asfortranarray(array))
    found = load_restricted(pickle.dumps(content, protocol), RECORDS, "x")
    for name in ("array", "by_columns"):
        back = found[name].numpy()
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)
    np.testing.assert_equal(found["number"], array.flat[0])


@pytest.mark.parametrize(
    "call", [(os.system, "true"), (eval, "1"), (getattr, "x", "y"), (np.load, "x"), (np.array, [1])]
)
def test_calls_are_refused_before_they_run(call):
    data = pickle.dumps(Attack(*call))
    with pytest.raises(DataError, match=r"^x: refused: it asks for .* which is not plain data$"):
        load_restricted(data, RECORDS, "x")


def test_unusual_arrays_are_refused():
    texts = load_restricted(pickle.dumps(np.array(["a"])), RECORDS, "x")
    with pytest.raises(DataError, match="refused: an array of type"):
        texts.numpy()
    damaged = load_restricted(pickle.dumps(np.zeros(4)), RECORDS, "x")
    if damaged.state[-1]:
        damaged.state = (*damaged.state[:-1], damaged.state[-1][:-1])
    with pytest.raises(DataError, match="an array is damaged"):
        damaged.numpy()
    with pytest.raises(DataError, match="an array is damaged"):
        InertArray().numpy()


@given(st.binary(max_size=50))
def test_garbage_is_refused_or_read_but_never_crashes(data):
    with contextlib.suppress(DataError):
        load_restricted(data, RECORDS, "x")


def test_files(tmp_path):
    path = tmp_path / "plain.pkl"
    path.write_bytes(pickle.dumps({"a": [1.0]}))
    assert load_plain(path) == {"a": [1.0]}
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match=r"plain\.pkl: not a complete pickle"):
        load_plain(path)
    with pytest.raises(DataError, match="cannot be read"):
        load_plain(tmp_path / "missing.pkl")
