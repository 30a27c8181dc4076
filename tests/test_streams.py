import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrun.streams import Streams

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=12)


@given(sizes=SIZES, block=st.integers(1, 64))
def test_numbers_do_not_depend_on_the_block_size(sizes, block):
    small, large = Streams([3, 5], block=block), Streams([3, 5], block=4096)
    for size in sizes:
        np.testing.assert_array_equal(small.uniform(size), large.uniform(size))


def test_blocks_that_grow_with_many_draws_change_no_number():
    streams, generated = Streams([3, 5], block=16), Streams([3, 5], block=6000).uniform(6000)
    draws = [streams.uniform(15) for _ in range(390)]
    assert np.array_equal(np.concatenate(draws, axis=1), generated[:, : 390 * 15])


@given(sizes=SIZES, others=st.lists(st.integers(0, 99), max_size=5))
def test_a_trial_draws_the_same_in_any_cohort(sizes, others):
    alone, together = Streams([7]), Streams([*others, 7])
    for size in sizes:
        np.testing.assert_array_equal(alone.uniform(size)[0], together.uniform(size)[-1])


def test_rows_that_do_not_draw_lose_nothing():
    some, all_of_them = Streams([1, 2, 3], block=4), Streams([1, 2, 3], block=4)
    expected = all_of_them.uniform(9)
    some.uniform(5, rows=np.array([1]))
    np.testing.assert_array_equal(some.uniform(9)[[0, 2]], expected[[0, 2]])


def test_a_row_is_the_sequence_of_its_own_numpy_generator():
    seed = np.random.SeedSequence(11, spawn_key=(__import__("zlib").crc32(b"search"),))
    expected = np.random.Generator(np.random.PCG64(seed)).random(1000)
    np.testing.assert_array_equal(Streams([11], block=7).uniform(1000)[0], expected)


def test_purposes_and_seeds_are_independent():
    streams = Streams([1, 2])
    draws = np.concatenate([streams.uniform(50), streams.fork("evaluator").uniform(50)])
    assert len(np.unique(draws)) == draws.size


@pytest.mark.parametrize("high", [1, 2, 5, np.array([1, 2, 3, 4])])
def test_integers_stay_below_their_bound_and_reach_it(high):
    draws = Streams(range(200)).integers(high, 4)
    assert (draws >= 0).all()
    assert (draws.max(axis=0) == np.broadcast_to(high, 4) - 1).all()


def test_subsets_hold_different_numbers():
    draws = Streams(range(50)).subsets(10, 4)
    assert all(len(set(row)) == 4 for row in draws.tolist())
    assert set(draws.ravel().tolist()) == set(range(10))


def test_normal_and_gumbel_have_their_moments():
    streams = Streams(range(2000))
    normal, gumbel = streams.normal(20), streams.gumbel(20)
    error = 4 / np.sqrt(normal.size)  # four standard errors of a unit-variance mean
    assert abs(normal.mean()) < error, normal.mean()
    assert abs(normal.std() - 1) < error, normal.std()
    assert abs(gumbel.mean() - np.euler_gamma) < error * np.pi / np.sqrt(6), gumbel.mean()
