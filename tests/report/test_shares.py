from dataclasses import astuple

import numpy as np
import pytest

from nasrun.report.stats import block_means, share_found

NAN = float("nan")


def test_the_share_and_its_spread_over_agents():
    rank = np.array([1, 1, 2, 9, 1, 4], float)  # agent 0: 1, 2, 1; agent 1: 1, 9, 4
    best, top3 = (share_found(rank, np.arange(6), top, agents=2) for top in (1, 3))
    assert best.share == 0.5
    assert (best.agent_min, best.agent_max) == pytest.approx((1 / 3, 2 / 3))
    assert best.agent_std == pytest.approx(np.std([1 / 3, 2 / 3], ddof=1))
    assert (top3.agent_min, top3.agent_max) == pytest.approx((1 / 3, 1.0))


@pytest.mark.parametrize("agents", [None, 1])
def test_no_agents_or_a_single_one_have_no_spread(agents):
    share = share_found(np.array([1.0, 2.0]), np.arange(2), 1, agents)
    assert share.share == 0.5
    assert np.isnan([share.agent_min, share.agent_max, share.agent_std]).all()


def test_an_unknown_rank_counts_neither_way():
    assert share_found(np.array([1.0, NAN]), np.arange(2), 1, None).share == 1.0
    unknown = share_found(np.array([NAN, NAN]), np.arange(2), 1, 2)
    assert np.isnan(astuple(unknown)).all()


def test_blocks_follow_the_absolute_seed():
    figures, seeds = np.array([1.0, 2.0, 3.0, 4.0]), np.array([7, 8, 9, 10])
    np.testing.assert_allclose(block_means(figures, seeds, 2), [3.0, 2.0])


def test_a_block_without_figures_is_left_out():
    np.testing.assert_allclose(block_means(np.array([1.0, NAN]), np.arange(2), 5), [1.0])
