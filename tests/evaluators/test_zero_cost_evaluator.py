from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import toy_experiment

from nasrun.algorithms.random_search import RandomSearch
from nasrun.errors import ConfigError, UnsupportedError
from nasrun.evaluators.zero_cost import ZeroCost
from nasrun.nets.zero_cost import PROXIES
from nasrun.spaces.darts import DARTS
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Task
from nasrun.streams import Streams
from nasrun.tasks.synthetic_images import SyntheticImages

SPACE = NB201()
TASK = SyntheticImages("made_up", 3, 8, "made-up", "made-up", 48, 96, test_images=48)
TABLE_TASK = Task("toy", 10, 8, "toy", "toy", 1, 1)


def started(task=TASK, **changes):
    evaluator = ZeroCost(**{"channels": 4, "cells": 1, "batch": 8, "device": "cpu", **changes})
    return evaluator.opened(SPACE, task)


def score(evaluator, archs):
    epochs = np.zeros(len(archs), np.int64)
    return evaluator.evaluate(archs, epochs=epochs, streams=Streams([0]))


def archs(*numbers):
    return SPACE.at(np.array(numbers))


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_score_is_a_fixed_number_with_a_cost(proxy):
    before = torch.random.get_rng_state()
    found = score(started(proxy=proxy), archs(9000, 3))
    assert torch.equal(torch.random.get_rng_state(), before)
    again = score(started(proxy=proxy), archs(3, 9000))
    np.testing.assert_array_equal(found.score, again.score[::-1])
    assert (found.cost_s > 0).all()
    assert started(proxy=proxy).protocol.fidelity == f"{proxy} C=4 N=1; batch 8"


def test_the_batch_holds_normalised_pictures_with_their_own_labels():
    x, y = started(proxy="snip")._batch
    splits = TASK.load()
    mean, std = (torch.tensor(own).view(3, 1, 1) for own in (splits.mean, splits.std))
    pixels = torch.from_numpy(splits.search_train.pixels).float()
    for picture, label in zip(x * std + mean, y, strict=True):
        [row] = torch.nonzero((pixels - picture).abs().amax((1, 2, 3)) < 0.1)[:, 0].tolist()
        assert label == splits.search_train.labels[row]


def test_a_score_that_is_no_finite_number_is_missing():
    nothing = SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    assert np.isnan(score(started(proxy="zen"), nothing[None]).score).all()


def test_strings_of_one_cell_have_one_score():
    evaluator = started()
    one = SPACE.parse("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    other = SPACE.parse("|skip_connect~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    found = score(evaluator, np.array([one, other]))
    assert found.score[0] == found.score[1]


def test_scores_are_features_side_by_side():
    evaluator = started(proxy="jacov")
    found = evaluator.features(archs(9000, 3))
    assert found.shape == (2, len(PROXIES))
    expected = score(started(proxy="l2"), archs(9000, 3)).score
    np.testing.assert_allclose(found[:, PROXIES.index("l2")], expected)


def test_an_auxiliary_head_has_no_part_in_a_score():
    found = []
    for auxiliary in (True, False):
        space = DARTS(operations=["max_pool_3x3", "sep_conv_3x3"], nodes=2, auxiliary=auxiliary)
        evaluator = ZeroCost(proxy="jacov", channels=4, cells=3, batch=8, device="cpu")
        found.append(evaluator.opened(space, TASK).features(np.array([[0, 1, 1] * 4])))
    with_head, without = (row[0] for row in found)
    assert np.isfinite(with_head).all()
    sizes = [PROXIES.index(name) for name in ("params", "flops")]
    np.testing.assert_array_equal(with_head[sizes], without[sizes])


def test_some_scores_need_no_images():
    assert np.isfinite(score(started(TABLE_TASK), archs(9000)).score).all()
    with pytest.raises(UnsupportedError, match="has no images"):
        started(TABLE_TASK, proxy="snip")


def test_an_untrained_network_has_no_accuracy():
    final = started().score(archs(9000), TASK)
    assert np.isnan(final.test_score).all()
    assert final.final == "not trained"


def test_an_unknown_score_is_refused():
    with pytest.raises(ConfigError, match="proxy=naswot is unknown: use one of jacov"):
        started(proxy="naswot")


def test_it_is_refused_as_a_scorer():
    made = replace(toy_experiment(RandomSearch()), scorer=ZeroCost())
    with pytest.raises(ConfigError, match="scorer=zero_cost gives no final figures"):
        made.opened()


@pytest.mark.parametrize("proxy", ["params", "flops"])
def test_sizes_are_those_of_a_network_that_computes(proxy):
    """Which the evaluator does not make for them."""
    found = score(started(proxy=proxy), archs(9000, 3)).score
    names = list(PROXIES)
    expected = started(proxy="jacov").features(archs(9000, 3))[:, names.index(proxy)]
    np.testing.assert_array_equal(found, expected)
