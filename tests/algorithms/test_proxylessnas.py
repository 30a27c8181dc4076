"""ProxylessNAS's steps by hand, on a supernet whose loss is linear in its rows."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_supernet import ARITY, LABEL, LOGITS, TRAIN, VALID, WORTH, noise, tiny, worth
from torch.nn import functional as F

from nasrun.algorithms.proxylessnas import LatencyTerm, ProxylessNAS
from nasrun.algorithms.proxylessnas_rl import ProxylessRL
from nasrun.errors import ConfigError
from nasrun.nets.gates import draw_gates, rescaled

CLOSE = {"atol": 1e-5, "rtol": 1e-4}


def rows():
    return [torch.tensor(row[:n]) for row, n in zip(LOGITS, ARITY, strict=True)]


def gated(made, **fields):
    method = tiny(made(**{"epochs": 8, "arch_every": 1, "frozen": 0.0} | fields))
    method._model, method.data = None, SimpleNamespace(steps=7)
    return method


def moved(method):
    """The logits after a step, row by row."""
    return [row.detach() for row in method.by_row(method.logits)]


def soft(row, mask):
    return F.softmax(row.masked_fill(mask == 0, -math.inf), -1)


@pytest.mark.parametrize("paths", [2, None])
def test_weights_learn_from_an_open_path_and_logits_from_the_gates_of_others(paths):
    method = gated(ProxylessNAS, paths=paths)
    method.update(TRAIN, LABEL)
    generator = noise()
    path = draw_gates(rows(), None, generator).active
    weight = 2.0 - worth(path)
    torch.testing.assert_close(method.network.weight.detach(), weight, **CLOSE)
    gates = draw_gates(rows(), paths, generator)
    assert [row.tolist() for row in method.seen[1]] == [row.tolist() for row in gates.active]
    competing = [row.tolist() for row in method.network.probed]
    assert competing == [row.tolist() for row in gates.competing]
    for before, after, mask, value in zip(
        rows(), moved(method), gates.competing, WORTH, strict=True
    ):
        slope, p = 10.0 * weight * value, soft(before, mask)
        step = p * (slope - (p * slope).sum())
        torch.testing.assert_close(after, rescaled(before, before - step, mask), **CLOSE)
        assert (paths is None) == bool(mask.all()) or len(mask) == 2


def test_the_logits_rest_during_the_warm_up_and_then_move_every_few_steps():
    method = gated(ProxylessNAS, frozen=0.5, arch_every=3)
    learnt = []
    method.learn = lambda: learnt.append(round(method.progress * 7))
    for step in range(21, 35):  # of the epochs 3 and 4
        method.epoch, method.progress = step // 7, step / 7
        method.update(TRAIN, LABEL)
    assert learnt == [29, 32]


def test_warm_up_and_search_have_a_cosine_each():
    method = gated(ProxylessNAS, frozen=0.5)
    found = []
    for method.epoch in range(8):
        method.progress = float(method.epoch)
        method._set_rate()
        found.append(method.weight_optimizer.param_groups[0]["lr"])
    falling = [(1 + math.cos(math.pi * k / 4)) / 2 for k in range(4)]
    assert found == pytest.approx([0.05 * f for f in falling] + [0.025 * f for f in falling])


def test_labels_are_smoothed():
    method = ProxylessNAS(smoothing=0.3)
    logits = torch.tensor([[1.0, -1.0, 0.5]])
    method.network = lambda x, mixing: logits
    method.processor = SimpleNamespace(autocast=lambda: torch.no_grad())
    log_p = F.log_softmax(logits, -1)[0]
    wanted = -(0.7 * log_p[1] + 0.1 * log_p.sum())
    torch.testing.assert_close(method.losses(logits, torch.tensor([1]), []), wanted[None])


# The latency

MS = (torch.tensor([1.0, 5.0]), torch.tensor([4.0, 2.0, 3.0]))


def timed(**fields):
    method = gated(ProxylessNAS, latency_target_ms=4.0, **fields)
    linear = lambda soft: sum(row @ ms for row, ms in zip(soft, MS, strict=True))  # noqa: E731
    method._model = SimpleNamespace(latency=linear)
    return method


def test_the_expected_latency_is_added_or_multiplies():
    p = [F.softmax(row, -1) for row in rows()]
    expected = float(p[0] @ MS[0] + p[1] @ MS[1])
    loss = torch.tensor(2.5)
    added = timed(latency=LatencyTerm.added, latency_weight=0.4).with_latency(loss)
    assert float(added.detach()) == pytest.approx(2.5 + 0.4 * (expected - 4.0) / 4.0)
    made = timed(latency=LatencyTerm.multiplied, latency_scale=0.7, latency_exponent=0.6)
    wanted = 0.7 * 2.5 * (math.log(expected) / math.log(4.0)) ** 0.6
    assert float(made.with_latency(loss).detach()) == pytest.approx(wanted)
    made._model = SimpleNamespace(latency=lambda soft: 0.1 * soft[0].sum())
    (slope,) = torch.autograd.grad(made.with_latency(loss), made.logits)
    assert slope.isfinite().all()


@pytest.mark.parametrize("latency", LatencyTerm)
def test_logits_learn_from_their_gates_and_from_the_expected_latency(latency):
    method = timed(latency=latency, latency_weight=0.4, latency_scale=0.7, latency_exponent=0.6)
    method.learn()
    gates = draw_gates(rows(), 2, noise())
    p = [F.softmax(row, -1) for row in rows()]
    expected = float(p[0] @ MS[0] + p[1] @ MS[1])
    by_gates, by_latency = 1.0, 0.4 / 4.0
    if latency is LatencyTerm.multiplied:
        loss = 2.0 * 10.0 * float(worth(gates.active))
        ratio = math.log(expected) / math.log(4.0)
        by_gates = 0.7 * ratio**0.6
        by_latency = 0.7 * loss * 0.6 * ratio**-0.4 / (expected * math.log(4.0))
    for at, (before, after) in enumerate(zip(rows(), moved(method), strict=True)):
        mask, value = gates.competing[at], WORTH[at]
        q, slope = soft(before, mask), by_gates * 2.0 * 10.0 * value
        step = q * (slope - q @ slope) + by_latency * p[at] * (MS[at] - p[at] @ MS[at])
        torch.testing.assert_close(after, rescaled(before, before - step, mask), **CLOSE)


@pytest.mark.parametrize("latency", [LatencyTerm.added, LatencyTerm.multiplied])
def test_a_constant_loss_with_a_latency_leads_to_the_fastest_options(latency):
    method = timed(latency=latency)
    method.losses = lambda x, y, mixing: x + 0.0 * worth(mixing)
    method.arch_optimizer = torch.optim.Adam([method.logits], 0.2, (0.0, 0.999))
    for _ in range(60):
        method.learn()
    assert [int(row.argmax()) for row in moved(method)] == [0, 1]
    assert all(float(F.softmax(row, -1).max()) > 0.9 for row in moved(method))


def test_what_the_paper_has_no_meaning_for_is_refused():
    with pytest.raises(ConfigError, match=r"set algorithm\.latency=added"):
        ProxylessNAS(latency_target_ms=1.0)
    with pytest.raises(ConfigError, match=r"algorithm\.paths must be at least 2, got 1"):
        ProxylessNAS(paths=1)


# REINFORCE


def reinforced(rewards, start=math.nan, **fields):
    """Rewards are those of the samples in turn."""
    method = gated(ProxylessRL, samples=len(rewards), **fields)
    method.baseline = torch.tensor(start, dtype=torch.float64)
    method.rewards = lambda drawn: np.array(rewards)
    return method


@pytest.mark.parametrize("start", [math.nan, 0.2])
def test_logits_follow_the_score_by_the_advantage(start):
    rewards = [0.2, 0.9, 0.4]
    method = reinforced(rewards, start, baseline_rate=0.75)
    method.learn()
    baseline = 0.5 if math.isnan(start) else 0.2 + 0.75 * 0.3
    assert float(method.baseline) == pytest.approx(baseline)
    generator = noise()
    paths = [draw_gates(rows(), None, generator).active for _ in rewards]
    for at, (before, after) in enumerate(zip(rows(), moved(method), strict=True)):
        score = torch.stack([path[at] - F.softmax(before, -1) for path in paths])
        advantage = torch.tensor(rewards)[:, None] - baseline
        torch.testing.assert_close(after - before, (advantage * score).mean(0), **CLOSE)


def test_a_path_of_unknown_latency_teaches_nothing():
    method = reinforced([0.4, math.nan, 0.8])
    method.learn()
    assert float(method.baseline) == pytest.approx(0.6)
    generator = noise()
    first, _, third = (draw_gates(rows(), None, generator).active for _ in range(3))
    for at, (before, after) in enumerate(zip(rows(), moved(method), strict=True)):
        wanted = (0.2 * third[at] - 0.2 * first[at]) / 2  # scores less p, whose weights cancel
        torch.testing.assert_close(after - before, wanted, **CLOSE)
    lost = reinforced([math.nan])
    lost.learn()
    assert torch.equal(lost.logits, torch.tensor(LOGITS))


def test_a_reward_is_that_of_the_run_on_one_validation_batch():
    method, judged = gated(ProxylessRL), []
    method.accuracy = lambda arch, batches: judged.append((arch.tolist(), *batches)) or 0.0
    method.problem.latency_ms = lambda archs: 10.0 * archs[:, 1] + 1.0
    method.problem.reward = lambda score, ms: score - ms
    path = [torch.tensor([0.0, 1.0]), torch.tensor([0.0, 0.0, 1.0])]
    assert method.rewards([path]) == pytest.approx([(50.0 - 21.0) / 100.0])
    assert judged == [([1, 2], (VALID, LABEL))]
    four = torch.zeros(4)
    method.valid_batch = lambda: (VALID, four)  # half of four images is 12.5 %
    assert method.rewards([path]) == pytest.approx([(12.5 - 21.0) / 100.0])


def test_the_better_of_three_operations_is_found():
    """One row of three options, by rewards alone; 3 of 3 fixed seeds."""
    for seed in range(3):
        method = gated(ProxylessRL)
        method.noise = torch.Generator().manual_seed(seed)
        method.baseline = torch.tensor(math.nan, dtype=torch.float64)
        method.arch_optimizer = torch.optim.Adam([method.logits], 0.1, (0.0, 0.999))
        method.rewards = lambda drawn: np.array(
            [[0.3, 0.9, 0.5][int(p[1].argmax())] for p in drawn]
        )
        for _ in range(30):
            method.learn()
        assert int(moved(method)[1].argmax()) == 1
