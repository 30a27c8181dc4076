from math import comb

import numpy as np
import pytest

from nasrun.errors import ConfigError
from nasrun.spaces.nb1shot1 import IN_DEGREES, NB1Shot1
from nasrun.spaces.nb101 import NB101
from nasrun.streams import Streams

SPACES = {number: NB1Shot1(f"nb1shot1_{number}", number) for number in IN_DEGREES}
every = pytest.mark.parametrize("number", IN_DEGREES)


@every
def test_sizes_are_products_of_choices(number):
    degrees = IN_DEGREES[number]
    graphs = np.prod([comb(vertex, degree) for vertex, degree in enumerate(degrees) if vertex])
    assert SPACES[number].size == graphs * 3 ** (len(degrees) - 2)
    assert SPACES[number].size == {1: 14_580, 2: 29_160, 3: 1_312_200}[number]


@every
def test_cells_have_the_in_degrees_and_are_cells_of_nb101(number):
    """Nine edges before pruning, so none is too large; the same keys and networks."""
    space, whole = SPACES[number], NB101()
    archs = space.sample(Streams(range(100)))
    adjacency, _ = space.matrices(archs)
    degrees = [*IN_DEGREES[number][:-1]] + [0] * (7 - len(IN_DEGREES[number]))
    assert (adjacency.sum(axis=1) == [*degrees, IN_DEGREES[number][-1]]).all()
    others = np.array([whole.parse(space.text(arch)) for arch in archs])
    np.testing.assert_array_equal(space.canonical_keys(archs), whole.canonical_keys(others))
    for code in ("adjacency", "categorical", "continuous", "path", "truncated_path"):
        np.testing.assert_array_equal(space.encode(archs, code), whole.encode(others, code))
    assert space.graph(archs[0]) == whole.graph(others[0])


def test_the_smallest_sub_space_holds_so_many_networks():
    _networks(1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 3])
def test_the_others_hold_so_many(number):
    _networks(number)


def _networks(number):
    space, networks = SPACES[number], set()
    for begin in range(0, space.size, 2**17):
        archs = space.at(np.arange(begin, min(begin + 2**17, space.size)))
        networks |= set(space.canonical_keys(archs).tolist())
    assert len(networks) == space.networks


def test_another_cell_or_sub_space_is_refused():
    with pytest.raises(ConfigError, match=r"space\.sub_space must be 1, 2 or 3, got 4"):
        NB1Shot1(sub_space=4)
    text = SPACES[2].text(np.zeros(8, np.int64))
    with pytest.raises(ConfigError, match=r"in-degrees \(0, 1, 2, 2, 2, 2\), found \(0, 1, 1"):
        SPACES[1].parse(text)
