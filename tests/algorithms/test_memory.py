import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrun.algorithms.memory import Replay
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
