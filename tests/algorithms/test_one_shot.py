"""What is particular to single one-shot methods; what they share is in tests/contract."""

import itertools
import math
import time
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from composed import CONF, composed
from toys import Having, ToyEvaluator, ToySpace, toy_problem

from nasrun.algorithms.latency_loss import LatencyLoss
from nasrun.algorithms.p_darts import PDARTS, limited_skips
from nasrun.algorithms.reduction import Reduction
from nasrun.algorithms.setn import most_probable
from nasrun.algorithms.unas import UNAS, Objective
from nasrun.config import check
from nasrun.errors import ConfigError, UnsupportedError
from nasrun.hardware.none import NoDevice
from nasrun.nets.classification import Classification
from nasrun.nets.estimators import draw, uniforms
from nasrun.nets.nb201_supernet import NB201Supernet
from nasrun.pipeline import search
from nasrun.spaces.darts import DARTS, Kind
from nasrun.spaces.nb201 import OPERATIONS
from nasrun.spec import ACCURACY
from nasrun.streams import Streams


def test_most_probable_architectures_are_those_of_an_enumeration():
    rng = np.random.default_rng(0)
    rows = [np.log(rng.dirichlet(np.ones(n))) for n in (3, 4, 2, 5)]
    everyone = np.array(list(itertools.product(*(range(len(row)) for row in rows))))
    score = sum(row[everyone[:, at]] for at, row in enumerate(rows))
    best = everyone[np.argsort(-score, kind="stable")[:10]]
    assert most_probable(rows, 10).tolist() == best.tolist()
    assert len(most_probable(rows, 1000)) == len(everyone)


def nb201_net():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return NB201Supernet(OPERATIONS, 4, 1, Classification(3))


def test_weakest_skip_connections_go_first():
    rows = [np.array([0.0, p, 0.1, 0.0, 0.05]) for p in (0.9, 0.8, 0.7, 0.6, 0.5)]
    rows.append(np.array([0.0, 0.1, 0.0, 0.9, 0.0]))
    skip, one, three = (
        OPERATIONS.index(n) for n in ("skip_connect", "nor_conv_1x1", "nor_conv_3x3")
    )
    assert limited_skips(rows, nb201_net(), 2).tolist() == [skip, skip, one, one, one, three]
    assert limited_skips(rows, nb201_net(), 9).tolist() == [skip] * 5 + [three]
    assert rows[4][skip] == 0.5


def test_skip_dropout_fades_as_in_the_authors_search():
    """25 epochs of a stage, 10 of weights alone: the figures of pdarts' ``train_search.py``."""
    method = PDARTS(epochs=75)
    shares = []
    for method.epoch in range(25, 50):
        shares.append(method._faded())
    wanted = [(25 - epoch - 1) / 25 for epoch in range(10)]
    wanted += [math.exp(-0.2 * (epoch - 10)) for epoch in range(10, 25)]
    np.testing.assert_allclose(shares, wanted)


def test_p_darts_clips_the_gradient_of_its_logits():
    method = PDARTS(max_gradient=5.0)
    logits = torch.zeros(2, 2, requires_grad=True)
    method.arch_optimizer = method.adam([logits])
    for gradient, norm in (([[30.0, 0.0], [0.0, 40.0]], 5.0), ([[0.3, 0.0], [0.0, 0.4]], 0.5)):
        method.arch_move([torch.tensor(gradient)])
        assert float(logits.grad.norm()) == pytest.approx(norm, rel=1e-5)
        assert float(logits.grad[1, 1]) == pytest.approx(0.8 * norm, rel=1e-5)


def test_a_scale_says_what_it_reduces():
    assert Reduction().label == ""
    assert Reduction(channels=8, train_images=100).label == "channels 8, train images 100"
    with pytest.raises(ConfigError, match=r"scale\.epochs must be at least 1"):
        Reduction(epochs=0)


# The latency term

SPACE = ToySpace((2, 3, 4))
WEIGHTS = [np.array([1.0, 2.0]), np.array([0.0, 3.0, 1.0]), np.array([2.0, 0.0, 5.0, 1.0])]


def latency_ms(archs):
    linear = sum(row[archs[:, at]] for at, row in enumerate(WEIGHTS))
    return linear + 1.5 * (archs[:, 0] * archs[:, 1] > 0)  # not linear: two options together


def one_hot(archs):
    return [torch.eye(n)[torch.from_numpy(archs[:, at])] for at, n in enumerate((2, 3, 4))]


def test_the_latency_loss_is_measured_where_rows_are_architectures():
    everyone = SPACE.at(np.arange(SPACE.size))
    loss = LatencyLoss(latency_ms, 4.0, np.repeat(everyone, 50, axis=0), SPACE)
    measured = loss.measured(one_hot(everyone)).numpy()
    np.testing.assert_allclose(measured, np.maximum(latency_ms(everyone) - 4.0, 0.0), rtol=1e-5)
    predicted = loss.latency(one_hot(everyone)).numpy()
    assert np.corrcoef(predicted, latency_ms(everyone))[0, 1] > 0.95
    assert np.abs(predicted - latency_ms(everyone)).max() < 1.2


def test_an_unknown_latency_counts_as_predicted():
    everyone = SPACE.at(np.arange(SPACE.size))
    gaps = lambda archs: np.where(archs[:, 2] == 3, np.nan, latency_ms(archs))  # noqa: E731
    loss = LatencyLoss(gaps, 0.0, everyone, SPACE)
    assert torch.isfinite(loss.measured(one_hot(everyone))).all()


def test_a_latency_term_without_latencies_is_refused():
    unknown = lambda archs: np.full(len(archs), np.nan)  # noqa: E731
    with pytest.raises(UnsupportedError, match="a latency term needs latencies"):
        LatencyLoss(unknown, 0.0, SPACE.at(np.arange(4)), SPACE)


HUGE = DARTS(kind=Kind.factorised, operations=list("abcdefg"))


def fitting(latency_ms, samples):
    """UNAS in a space with more architectures than an int64 counts, about to fit its surrogate."""
    method = UNAS(latency_weight=0.1, latency_samples=samples)
    assert HUGE.size > np.iinfo(np.int64).max
    method.problem = replace(toy_problem(len, 1, HUGE), latency_ms=latency_ms)
    method.draws = Streams([0])
    return method


def test_a_latency_surrogate_is_fitted_in_a_huge_space(caplog):
    asked = []

    def first_option_ms(archs):
        asked.append(archs)
        return 1.0 + archs[:, 0]

    loss = fitting(first_option_ms, 300)._latency_loss()
    archs = asked[-1]
    assert len(np.unique(archs, axis=0)) == 300
    rows = [
        torch.eye(len(names))[torch.from_numpy(archs[:, at])]
        for at, names in enumerate(HUGE.decisions)
    ]
    assert float((loss.latency(rows) - 1.0 - torch.from_numpy(archs[:, 0])).abs().max()) < 0.1
    again = fitting(first_option_ms, 300)
    again._latency_loss()
    assert (asked[-1] == archs).all()
    assert not caplog.messages


def test_the_target_of_a_latency_loss_is_the_methods():
    method = fitting(lambda archs: 1.0 + 3.0 * archs[:, 0], 300)
    method.latency_target_ms = 2.5
    archs = HUGE.sample(Streams([7])).repeat(2, axis=0)
    archs[:, 0] = (0, 1)
    rows = [
        torch.eye(len(names))[torch.from_numpy(archs[:, at])]
        for at, names in enumerate(HUGE.decisions)
    ]
    assert method._latency_loss().measured(rows).tolist() == [0.0, 1.5]


def test_a_long_fit_of_the_latency_is_announced(caplog):
    def slow(archs):
        time.sleep(0.05)
        return np.ones(len(archs))

    fitting(slow, 2000)._latency_loss()
    assert "latencies of 2000 architectures are measured first" in caplog.text


# UNAS's objective


@pytest.mark.parametrize("objective", Objective)
def test_the_generalisation_gap_is_taken_pair_by_pair(objective):
    method = UNAS(objective=objective)
    method.network = SimpleNamespace(branch_overlap=lambda rows: None)
    learnt, judged = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 1.0])
    method.losses = lambda x, y, rows: x
    drawn = draw([torch.zeros(2)], uniforms([2], 3, torch.Generator().manual_seed(0)), 0.4)
    found = method._losses((learnt, learnt), (judged, judged), drawn.soft)
    gap = torch.tensor([1.5, 2.5])
    wanted = {Objective.train: learnt, Objective.val: judged, Objective.gen: gap}
    torch.testing.assert_close(found, wanted[objective])


def test_equal_branches_are_penalised_in_what_the_estimators_see():
    method = UNAS(objective=Objective.val)
    method.losses = lambda x, y, rows: x
    method.network = SimpleNamespace(branch_overlap=lambda rows: rows[0][:, 0])
    drawn = draw([torch.zeros(2)], uniforms([2], 3, torch.Generator().manual_seed(0)), 0.4)
    pair = torch.tensor([2.0, 1.0, 4.0]), torch.zeros(3)
    for rows in (drawn.hard, drawn.soft):
        torch.testing.assert_close(method._losses(pair, pair, rows), pair[0] + 0.2 * rows[0][:, 0])


def test_rates_rest_and_then_fall_over_the_search_proper_with_a_new_optimiser():
    made = tiny_unas("algorithm.frozen=0.5")
    method, rates, optimisers = made.algorithm, list[float](), list[int]()
    set_rate = method._set_rate

    def seen():
        set_rate()
        rates.append(method.weight_optimizer.param_groups[0]["lr"])
        optimisers.append(id(method.weight_optimizer))

    method._set_rate = seen
    search(made.opened(), np.array([0]), None)
    half = len(rates) // 2
    assert set(rates[: half + 1]) == {method.learning_rate}
    assert all(one > two for one, two in pairwise(rates[half:]))
    assert optimisers[half - 1] != optimisers[half]


class ConvolutionsAreSlow(NoDevice):
    """A device on which each convolution takes a millisecond."""

    def latency_ms(self, archs):
        slow = [OPERATIONS.index(name) for name in ("nor_conv_1x1", "nor_conv_3x3")]
        return np.isin(archs, slow).sum(axis=1).astype(float)


@pytest.mark.parametrize("weight", [0.0, 100.0])
def test_a_heavy_latency_term_makes_slow_options_unlikely(weight):
    made = tiny_unas(
        f"algorithm.latency_weight={weight}", "algorithm.latency_ramp=1", "algorithm.arch_rate=0.3",
        "algorithm.arch_final_rate=0.3", "algorithm.latency_samples=200",
    )  # fmt: skip
    search(
        replace(made, hardware=Having(device=ConvolutionsAreSlow())).opened(), np.array([0]), None
    )
    with torch.no_grad():
        slow = sum(float(row[2:4].sum()) for row in made.algorithm.softmax())
    assert slow < 0.6 if weight else slow > 1.0, slow  # 2.4 to begin with


class FasterIsBetter(ConvolutionsAreSlow):
    """The same device, where a millisecond costs ten points."""

    def reward(self, score, latency_ms, metric):
        return score - 10.0 * latency_ms


def test_the_reward_of_a_method_that_trains_has_the_latency_in_it():
    made = replace(tiny_unas(), hardware=Having(device=FasterIsBetter()))
    outcome, history = search(made.opened(), np.array([0]), None)
    columns = history.columns(made.space, ACCURACY, ToyEvaluator().protocol)
    names = ("val_score", "latency_ms", "reward")
    accuracy, latency, reward = (np.array(columns[name]) for name in names)
    np.testing.assert_allclose(reward, accuracy - 10.0 * latency, atol=1e-5)
    assert (latency > 0).any()
    assert outcome.reward[0] in reward


def test_the_variance_of_the_gradient_is_logged_once_an_epoch(caplog):
    made = tiny_unas()
    with caplog.at_level("INFO", logger="nasrun"):
        search(made.opened(), np.array([0]), None)
    found = [r for r in caplog.messages if "variance of the logits' gradient" in r]
    assert len(found) == len(made.algorithm.gradient_variance) == 3
    assert all(value > 0 for value in made.algorithm.gradient_variance)


def tiny_unas(*more):
    made = check(
        composed(
            "algorithm=unas", "task=synthetic_images", "algorithm.batch=16", "scale.channels=4",
            "scale.cells=1", "scale.train_images=64", "scale.valid_images=32", "scale.epochs=4",
            *more,
        ),
        [CONF / "task"],
    )  # fmt: skip
    return replace(made, evaluator=ToyEvaluator())
