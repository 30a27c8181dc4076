from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrun.algorithms.memory import CEILING, FLOOR, History, Normalisation, Replay, normalised
from nasrun.spec import Measured
from nasrun.streams import Streams


def filled(usable, alpha=0.6, beta=0.4, share=0.8):
    replay = Replay(len(usable), alpha, beta, 5e-4, share)
    for column in usable.T:
        replay.add(column)
    return replay


@given(trials=st.integers(1, 4), entries=st.integers(1, 30), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_a_batch_is_the_share_of_what_is_usable(trials, entries, seed):
    streams = Streams(range(seed, seed + trials))
    usable = streams.uniform(entries) < 0.7
    replay = filled(usable)
    weight = replay.draw(streams.gumbel(entries))
    assert ((weight == 0) | usable).all()
    assert weight.max() <= 1.0
    count = usable.sum(axis=1)
    wanted = np.where(count > 0, np.maximum(np.rint(0.8 * count), 1), 0)
    assert (weight > 0).sum(axis=1).tolist() == wanted.tolist()


def test_large_errors_are_drawn_more_often_and_weigh_less():
    replay = filled(np.ones((400, 10), bool), share=0.3)
    error = np.full((400, 10), 0.01)
    error[:, 4] = 1.0
    replay.update(np.ones((400, 10), bool), error)
    weight = replay.draw(Streams(range(400)).gumbel(10))
    drawn = (weight > 0).mean(axis=0)
    assert drawn[4] > 0.9, drawn
    assert np.delete(drawn, 4).max() < 0.4, drawn
    both = (weight[:, 4] > 0) & (weight[:, 0] > 0)
    assert (weight[both, 4] < weight[both, 0]).all()


def test_what_was_not_drawn_keeps_its_priority():
    replay = filled(np.ones((1, 3), bool), share=1.0)
    replay.update(np.array([[True, True, False]]), np.array([[0.1, 0.0, 0.0]]))
    weight = replay.draw(np.zeros((1, 3)))
    assert weight[0, 1] == 1.0  # the smallest priority has the largest weight
    assert weight[0, 2] < weight[0, 0] < weight[0, 1]


def test_importance_weights_by_hand():
    """(N P(i))^-beta over their maximum, P(i) = p_i^alpha / sum; Schaul et al., Section 3.4."""
    replay = filled(np.ones((1, 3), bool), alpha=0.6, beta=0.4, share=1.0)
    error = np.array([[0.1, -0.5, 7.0]])
    replay.update(np.ones((1, 3), bool), error)
    priority = np.array([0.1 + FLOOR, 0.5 + FLOOR, CEILING])
    chance = priority**0.6 / (priority**0.6).sum()
    for draw in range(3):
        weight = (3 * chance) ** -(0.4 + 5e-4 * draw)
        np.testing.assert_allclose(replay.draw(np.zeros((1, 3)))[0], weight / weight.max())


@pytest.mark.parametrize("small", [FLOOR, CEILING], ids=["unlike", "alike"])
def test_importance_weights_of_a_long_memory_by_hand(small):
    """Each entry is drawn so rarely that only N P(i), and not P(i), is above the floor."""
    replay = Replay(1, alpha=1.0, beta=1.0, beta_step=0.0, share=1.0)
    replay._priority = np.where(np.arange(20_000) < 10_000, CEILING, small)[None]
    weight = replay.draw(np.zeros((1, 20_000)))[0]
    np.testing.assert_allclose(weight[10_000:], 1.0)
    np.testing.assert_allclose(weight[:10_000], small / CEILING)


def test_a_new_entry_has_the_highest_priority_so_far():
    replay = filled(np.ones((1, 2), bool), share=0.5)
    replay.update(np.ones((1, 2), bool), np.array([[0.2, 0.1]]))
    replay.add(np.array([True]))
    np.testing.assert_allclose(replay._priority, [[0.2 + FLOOR, 0.1 + FLOOR, 0.2 + FLOOR]])


def test_the_exponent_of_the_weights_ends_at_one():
    replay = Replay(1, 0.6, 0.9, 0.5, 1.0)
    replay.add(np.array([True]))
    for _ in range(3):
        replay.draw(np.zeros((1, 1)))
    assert replay._beta == 1.0


@given(
    rewards=st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(np.nan)), min_size=1, max_size=12),
    how=st.sampled_from(Normalisation),
)
@settings(deadline=None)
def test_normalised_rewards_keep_their_order(rewards, how):
    score = normalised(np.array([rewards]), how)[0]
    known = ~np.isnan(rewards)
    assert np.isfinite(score).all()
    assert not score[~known].any()
    if score.any():
        assert score[known].mean() == pytest.approx(0, abs=1e-6)
        assert score[known].std() == pytest.approx(1)
        order = np.argsort(np.array(rewards)[known], kind="stable")
        assert (np.diff(score[known][order]) >= -1e-9).all()


def test_ranks_by_hand():
    """2 is less than none, the two 5 share ranks 1.5, 9 has three below it; their mean is 2."""
    scores = normalised(np.array([[5.0, np.nan, 9.0, 2.0, 5.0]]), Normalisation.rank)
    centred = np.array([[0.0, 0.0, 1.5, -1.5, 0.0]])
    assert scores.tolist() == (centred / np.sqrt((centred**2).sum() / 4)).tolist()


def test_ranks_are_counts_in_each_row():
    rewards = Streams(range(6)).integers(7, 40).astype(float)  # ties everywhere
    rewards[1, ::3], rewards[2] = np.nan, np.nan
    for row, score in zip(rewards, normalised(rewards, Normalisation.rank), strict=True):
        own = row[~np.isnan(row)]
        counts = [((own < one).sum() + (own <= one).sum()) / 2 for one in own]
        wanted = (counts - np.mean(counts)) / np.std(counts) if len(own) else []
        np.testing.assert_allclose(score[~np.isnan(row)], wanted, rtol=1e-12, atol=1e-12)


def test_ranks_are_blind_to_outliers():
    rewards = np.array([[10.0, 91.0, 90.0, 92.0]])
    further = np.array([[-1e9, 91.0, 90.0, 92.0]])
    assert np.array_equal(*(normalised(r, Normalisation.rank) for r in (rewards, further)))
    assert normalised(np.array([[7.0, 7.0, np.nan]]), Normalisation.rank).tolist() == [[0, 0, 0]]


def test_a_history_knows_what_each_trial_has_measured():
    history = History(2, 2)
    nan = np.full(2, np.nan)
    for archs, reward in (([[0, 1], [1, 0]], [1.0, np.nan]), ([[2, 2], [1, 1]], [3.0, 4.0])):
        measured = Measured.scored(np.array(archs), nan, nan, nan)
        history.add(replace(measured, reward=np.array(reward)))
    assert len(history) == 2
    assert history.known.tolist() == [[True, True], [False, True]]
    asked = np.array([[[0, 1], [1, 0], [2, 2], [0, 2]], [[0, 1], [1, 0], [2, 2], [1, 1]]])
    assert history.has(asked).tolist() == [[True, False, True, False], [False, True, False, True]]
    assert not History(2, 2).has(asked).any()
