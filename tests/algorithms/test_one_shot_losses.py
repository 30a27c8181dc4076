"""Losses and steps of the one-shot methods, by hand: sign, factors, and what learns from what."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from composed import make
from tiny_supernet import (
    ARITY,
    LABEL,
    LOGITS,
    ROWS,
    TRAIN,
    VALID,
    WORTH,
    carry_gradients,
    joined,
    noise,
    slope,
    tiny,
    worth,
)
from torch import nn
from torch.nn import functional as F

from nasrun.algorithms.darts_v1 import DARTSV1
from nasrun.algorithms.darts_v2 import DARTSV2
from nasrun.algorithms.drnas import DrNAS
from nasrun.algorithms.enas import ENAS
from nasrun.algorithms.gdas import GDAS
from nasrun.algorithms.latency_loss import LatencyLoss
from nasrun.algorithms.p_darts import PDARTS
from nasrun.algorithms.pc_darts import PCDARTS
from nasrun.algorithms.reduction import Reduction
from nasrun.algorithms.rsps import RSPS
from nasrun.algorithms.setn import SETN
from nasrun.algorithms.smash import SMASH
from nasrun.algorithms.snas import SNAS
from nasrun.algorithms.unas import UNAS, Estimator, Gap, Objective
from nasrun.nets import estimators
from nasrun.nets.controller import Drawn
from nasrun.nets.estimators import uniforms

CLOSE = {"atol": 1e-5, "rtol": 1e-4}


def logits():
    return [torch.tensor(row[:n]) for row, n in zip(LOGITS, ARITY, strict=True)]


def relaxed(generator, temperature, count=1):
    """Gumbel-Softmax rows ``(count, options)``."""
    pairs = zip(logits(), uniforms(ARITY, count, generator), strict=True)
    perturbed = [F.log_softmax(row, -1) - torch.log(-torch.log(u)) for row, u in pairs]
    return [F.softmax(row / temperature, -1) for row in perturbed]


def one_hot(soft):
    return [F.one_hot(row.argmax(-1), row.shape[-1]).float() for row in soft]


def moved(method):
    """What a step at rate 1 took from the logits that belong to options."""
    return joined(torch.tensor(LOGITS) - method.logits.detach())


# DARTS and its kin


def test_darts_teaches_weights_and_then_logits_by_the_mixture():
    method = tiny(DARTSV1())
    method.update(TRAIN, LABEL)
    soft = [F.softmax(row, -1) for row in logits()]
    weight = 2.0 - worth(soft)
    torch.testing.assert_close(method.network.weight.detach(), weight, **CLOSE)
    torch.testing.assert_close(moved(method), 10.0 * weight * slope(soft), **CLOSE)
    assert carry_gradients(method) == [False, True]


def test_the_unrolled_step_goes_where_the_optimiser_would():
    method = tiny(DARTSV2(momentum=0.8, weight_decay=0.1))
    slopes = [torch.tensor(3.0)]
    torch.testing.assert_close(method._direction(slopes), [torch.tensor(3.0 + 0.1 * 2.0)])
    method.weight_optimizer = torch.optim.SGD(method.weights, 1.0, momentum=0.8)
    method.weights[0].grad = torch.tensor(0.5)
    method.weight_optimizer.step()  # the weight is 1.5, the momentum 0.5
    wanted = torch.tensor(3.0 + 0.1 * 1.5 + 0.8 * 0.5)
    torch.testing.assert_close(method._direction(slopes), [wanted])


def test_the_second_order_follows_the_loss_after_a_step_by_hand():
    """Training loss w W and validation loss 10 w W: with w' = w - r (W + d w + m b), the weight
    after the step, the gradient of 10 w' W is 10 (w' - r W) times that of W."""
    method = tiny(DARTSV2(momentum=0.8, weight_decay=0.1))
    method.weight_optimizer = torch.optim.SGD(method.weights, 0.5, momentum=0.8, weight_decay=0.1)
    method.weights[0].grad = torch.tensor(0.4)
    method.weight_optimizer.step()  # the momentum is 0.4 + 0.1 x 2, the weight 2 - 0.5 x 0.6
    method.update(TRAIN, LABEL)
    soft = [F.softmax(row, -1) for row in logits()]
    ahead = 1.7 - 0.5 * (worth(soft) + 0.1 * 1.7 + 0.8 * 0.6)
    gradient = 10.0 * (ahead - 0.5 * worth(soft)) * slope(soft)
    torch.testing.assert_close(moved(method), gradient, rtol=1e-3, atol=1e-3)  # a difference
    after = [F.softmax(row, -1) for row in method.by_row(method.logits.detach())]
    weight = 1.7 - 0.5 * (0.8 * 0.6 + 0.1 * 1.7 + worth(after))
    torch.testing.assert_close(method.network.weight.detach(), weight, **CLOSE)
    assert carry_gradients(method) == [True, True, True, True, False]


@pytest.mark.parametrize("kind", [SETN, PCDARTS, DARTSV1, DARTSV2])
@pytest.mark.parametrize(("epoch", "learns"), [(4, False), (5, True)])
def test_logits_rest_while_they_are_frozen(kind, epoch, learns):
    method = tiny(kind(epochs=10, frozen=0.5), epoch)
    method.network.groups, method.random_arch = (), lambda: np.array([0, 1])
    method.single_path, method._groups = single_path, []
    method.update(TRAIN, LABEL)
    assert bool(moved(method).any()) == learns
    assert float(method.network.weight.detach()) != 2.0


def test_pc_darts_weighs_the_edges_into_a_node_by_a_softmax_that_learns():
    method = tiny(PCDARTS(epochs=10), epoch=5)
    method.network.groups, method._groups = ((0, 1),), [torch.tensor([0, 1])]
    method.edge_logits = torch.tensor([0.4, -0.3], requires_grad=True)
    parameters = [method.logits, method.edge_logits]
    method.arch_optimizer = torch.optim.SGD(parameters, 1.0)
    method.update(TRAIN, LABEL)
    edge = F.softmax(torch.tensor([0.4, -0.3]), dim=0)
    soft = [F.softmax(row, -1) for row in logits()]
    each = torch.stack([row @ value for row, value in zip(soft, WORTH, strict=True)])
    by_row = slope(soft) * torch.cat([edge[:1].expand(2), edge[1:].expand(3)])
    torch.testing.assert_close(moved(method), 10.0 * 2.0 * by_row, **CLOSE)
    by_edge = 10.0 * 2.0 * edge * (each - edge @ each)
    torch.testing.assert_close(
        torch.tensor([0.4, -0.3]) - method.edge_logits.detach(), by_edge, **CLOSE
    )
    after = [F.softmax(row, -1) for row in method.by_row(method.logits.detach())]
    edge = F.softmax(method.edge_logits.detach(), dim=0)
    pairs = zip(edge, after, WORTH, strict=True)
    weight = 2.0 - sum(weight * (row @ value) for weight, row, value in pairs)
    torch.testing.assert_close(method.network.weight.detach(), weight, **CLOSE)
    assert carry_gradients(method) == [True, False]


def test_the_edges_into_each_node_of_pc_darts_have_a_softmax_of_their_own():
    """One edge into the first node, and three into the second, which weigh as 1 to 2 to 3."""
    method = tiny(PCDARTS())
    method.network.rows, method.logits = (("a", "b"),) * 4, torch.zeros(4, 2)
    method.network.groups = ((0,), (1, 2, 3))
    method._groups = [torch.tensor(group) for group in method.network.groups]
    method.edge_logits = torch.tensor([5.0, 0.0, math.log(2.0), math.log(3.0)])
    shares = [row.tolist() for row in method.softmax()]
    wanted = [[share / 2.0] * 2 for share in (1.0, 1.0 / 6.0, 2.0 / 6.0, 3.0 / 6.0)]
    assert shares == [pytest.approx(row) for row in wanted]


def test_pc_darts_learns_logits_of_operations_and_of_edges_that_begin_alike():
    method = tiny(PCDARTS(initial_std=0.01))
    method.network.rows, method.network.groups = (("a", "b"),) * 400, (tuple(range(400)),)
    method.prepare()
    operations, edges = method.arch_parameters()
    assert operations is method.logits
    assert edges is method.edge_logits
    assert edges.shape == (400,)
    assert float(edges.detach().std()) == pytest.approx(0.01, rel=0.1)


def test_p_darts_keeps_the_most_probable_options_of_a_stage():
    method = tiny(PDARTS(epochs=10, cells=[1, 1], options=[3, 2], skip_dropout=[0.1, 0.6]), 5)
    method._allowed, method._renew = torch.ones(2, 3), lambda: None
    method.begin_epoch()
    assert method._allowed.tolist() == [[1, 1, 1], [1, 1, 0]]  # of 0.2, 0.9 and -0.4
    assert not torch.equal(method.logits, torch.tensor(LOGITS))  # they begin anew
    assert method.softmax()[1][2] == 0.0
    assert method.network.skip_dropout == pytest.approx(0.6 * 4 / 5)


# Random architectures


def single_path(arch):
    return [torch.eye(n)[int(option)] for n, option in zip(ARITY, arch, strict=True)]


@pytest.mark.parametrize("kind", [RSPS, SETN, SMASH])
def test_weights_learn_from_a_random_architecture(kind):
    method = tiny(kind())
    method.random_arch, method.single_path = lambda: np.array([1, 2]), single_path
    method.update(TRAIN, LABEL)
    assert float(method.network.weight.detach()) == pytest.approx(2.0 - (-2.0 - 1.0))
    if kind is SETN:  # and then its logits from the mixture of all
        soft = [F.softmax(row, -1) for row in logits()]
        torch.testing.assert_close(moved(method), 10.0 * 5.0 * slope(soft), **CLOSE)
        assert carry_gradients(method) == [False, True]
    else:
        assert not moved(method).any()


@pytest.mark.parametrize("fields", [{"candidates": 3}, {"scale": Reduction(candidates=3)}])
def test_rsps_derives_the_best_of_some_random_architectures(fields):
    method, drawn = tiny(RSPS(**fields)), iter([np.array([0, at]) for at in range(3)])
    method.random_arch = lambda: next(drawn)
    method.data, method.draws = SimpleNamespace(glimpse=lambda draws: draws), None
    method.accuracy = lambda arch, batches: [50.0, 70.0, 60.0][arch[1]]
    assert method.derive().tolist() == [0, 1]
    assert list(drawn) == []


@pytest.mark.parametrize("fields", [{"candidates": 3}, {"scale": Reduction(candidates=3)}])
def test_setn_derives_the_best_of_the_architectures_of_the_highest_probability(fields):
    """Of products: by sums (0, 2), of 0.9 + 0.02, would come before (1, 0), of 0.1 + 0.6."""
    method, asked = tiny(SETN(**fields)), []
    method.logits = torch.tensor([[0.9, 0.1, 1.0], [0.6, 0.38, 0.02]]).log()
    method.data, method.draws = SimpleNamespace(glimpse=lambda draws: draws), "of its own"

    def accuracy(arch, batches):
        assert batches == "of its own"
        asked.append(tuple(arch.tolist()))
        return {(0, 0): 50.0, (0, 1): 70.0, (1, 0): 60.0}[asked[-1]]

    method.accuracy = accuracy
    assert method.derive().tolist() == [0, 1]
    assert asked == [(0, 0), (0, 1), (1, 0)]


# The optimiser of the logits


def test_logits_decay_by_their_weight():
    """Slopes that take nine and eleven tenths of the decay away: Adam follows the sum's sign."""
    method = tiny(GDAS(arch_rate=0.01, arch_weight_decay=0.5))
    logits = torch.tensor([2.0, 2.0], requires_grad=True)
    method.arch_optimizer = method.adam([logits])
    method.arch_move([torch.tensor([-0.9, -1.1])])
    torch.testing.assert_close(logits.detach(), torch.tensor([2.0 - 0.01, 2.0 + 0.01]))


# GDAS


def test_gdas_learns_weights_and_then_logits_from_paths_of_their_own():
    method = tiny(GDAS(epochs=11), epoch=3)
    method.update(TRAIN, LABEL)
    generator, temperature = noise(), 10.0 - 0.3 * 9.9
    first, second = relaxed(generator, temperature), relaxed(generator, temperature)
    weight = 2.0 - worth(one_hot(first))[0]
    torch.testing.assert_close(method.network.weight.detach(), weight, **CLOSE)
    gradient = 10.0 * weight * slope(second)[0] / temperature
    torch.testing.assert_close(moved(method), gradient, **CLOSE)
    assert carry_gradients(method) == [False, True]
    assert [row.tolist() for row in method.seen[0]] == [row[0].tolist() for row in one_hot(first)]


def test_gdas_ends_at_its_final_temperature():
    temperatures = [tiny(GDAS(epochs=11), epoch)._temperature for epoch in (0, 5, 10)]
    assert temperatures == pytest.approx([10.0, 5.05, 0.1])


# SNAS


def tiny_snas(epoch=0, **fields):
    method = tiny(SNAS(epochs=11, **fields), epoch)
    rates, start = method.arch_optimizer, method.logits
    method.prepare()
    assert method.network.drop_path == 0.3
    method.arch_optimizer, method.logits, method.noise = rates, start, noise()
    return method


def test_snas_starts_around_the_initial_mean():
    method = tiny(SNAS(initial_mean=0.5, initial_std=0.0))
    method.prepare()
    assert method.logits.tolist() == [[0.5] * 3] * 2


def test_snas_starts_with_the_authors_deviation_of_the_logits():
    """SNAS-Series draws by ``normal_(loc_mean=1, loc_std=0.01)``: 0.01 is no variance."""
    assert make("snas").initial_std == SNAS().initial_std == 0.01
    method = tiny(SNAS())
    method.network.rows = (("a", "b", "c", "d", "e"),) * 200
    assert float(method.parameter().detach().std()) == pytest.approx(0.01, rel=0.1)


def test_snas_learns_both_from_one_loss_and_the_logits_from_the_resources_too():
    method = tiny_snas(epoch=5, resource_weight=0.2)
    method.update(TRAIN, LABEL)
    temperature = 1.0 - 0.5 * 0.97
    soft = [row[0] for row in relaxed(noise(), temperature)]
    sizes = [torch.tensor([1.0, 3.0]) / 7.0, torch.tensor([0.0, 2.0, 4.0]) / 7.0]
    used = sum(row @ size for row, size in zip(soft, sizes, strict=True))
    resources = slope(soft, sizes) / (used + 1e-3)
    gradient = (2.0 * slope(soft) + 0.2 * resources) / temperature
    torch.testing.assert_close(moved(method), gradient, **CLOSE)
    torch.testing.assert_close(method.network.weight.detach(), 2.0 - worth(soft), **CLOSE)
    torch.testing.assert_close(method._resources(soft), torch.log(used + 1e-3), **CLOSE)


def test_snas_leaves_the_logits_alone_while_they_are_frozen():
    method = tiny_snas(epoch=5, frozen=0.6)
    method.update(TRAIN, LABEL)
    assert not moved(method).any()
    soft = [row[0] for row in relaxed(noise(), 1.0 - 0.5 * 0.97)]
    torch.testing.assert_close(method.network.weight.detach(), 2.0 - worth(soft), **CLOSE)


# DrNAS


def tiny_drnas(epoch, dropped=None, **fields):
    method = tiny(DrNAS(epochs=10, **fields), epoch)
    method._allowed = torch.ones(2, 3)
    if dropped is not None:
        method._allowed[dropped] = 0.0
    return method


def concentration():
    """elu(logit) + 1: of positive ones one more, of negative ones the exponential."""
    leaf = torch.tensor(LOGITS, requires_grad=True)
    return leaf, torch.where(leaf > 0, leaf + 1.0, leaf.exp())


@pytest.mark.parametrize("dropped", [None, (1, 0)])
def test_drnas_learns_logits_and_then_weights_from_samples_of_their_own(dropped):
    method = tiny_drnas(1, dropped)
    method.update(TRAIN, LABEL)
    generator, (leaf, positive) = noise(), concentration()
    kept = [0, 1, 2] if dropped is None else [1, 2]

    def sample(values):
        one = estimators.dirichlet(values[0, :2], generator)
        two = estimators.dirichlet(values[1, kept], generator)
        return [one, torch.zeros(3).index_copy(0, torch.tensor(kept), two)]

    gradient = torch.autograd.grad(2.0 * 10.0 * worth(sample(positive)), leaf)[0]
    torch.testing.assert_close(moved(method), joined(gradient), **CLOSE)
    after = method.logits.detach()
    rows = sample(torch.where(after > 0, after + 1.0, after.exp()).clamp(min=1e-6))
    torch.testing.assert_close(method.network.weight.detach(), 2.0 - worth(rows), **CLOSE)
    assert carry_gradients(method) == [True, False]


def test_drnas_samples_lean_to_the_concentration_and_its_mean_is_derived():
    method = tiny_drnas(1, dropped=(1, 2))
    found = method.softmax()
    one, two = 1.3, math.exp(-0.5)
    assert found[0].tolist() == pytest.approx([one / (one + two), two / (one + two)])
    assert found[1].tolist() == pytest.approx([1.2 / 3.1, 1.9 / 3.1, 0.0])


def test_drnas_rests_its_logits_in_the_first_fifth_of_either_half():
    learns = [tiny_drnas(epoch).learns_logits for epoch in range(10)]
    assert learns == [False, True, True, True, True] * 2
    method = tiny_drnas(5)
    method.update(TRAIN, LABEL)
    assert not moved(method).any()


# ENAS

LEGAL = "what the space allows"


class Policy(nn.Module):
    """Draws each option of one decision once; its entropy is a function of the logits, too."""

    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([0.0, 0.0, 1.0]))

    def forward(self, count, generator, legal):
        assert legal == LEGAL
        log_p = F.log_softmax(self.theta, -1)
        entropy = torch.tensor([1.0, 2.0, 4.0]) * (1.0 + self.theta)
        return Drawn(torch.arange(3)[:, None], log_p, entropy)


def tiny_enas(start=math.nan, **fields):
    method = tiny(ENAS(**{"updates": 1, "entropy": 0.1} | fields))
    method.problem.task = SimpleNamespace(train_images=1000)
    method.problem.space.legal = LEGAL
    method.controller, method.baseline = Policy(), torch.tensor(start)
    method.optimizer_c = torch.optim.SGD(method.controller.parameters(), 1.0)
    method._reward = lambda arch: [0.2, 0.9, 0.4][int(arch[0])]
    return method


@pytest.mark.parametrize("updates", [1, 2])
@pytest.mark.parametrize("start", [math.nan, 0.3])
def test_the_controller_follows_the_score_of_reward_and_entropy_over_the_baseline(start, updates):
    method = tiny_enas(start, updates=updates)
    method.end_epoch()
    theta = np.array([0.0, 0.0, 1.0])
    for _ in range(updates):
        reward = np.array([0.2, 0.9, 0.4]) + 0.1 * np.array([1.0, 2.0, 4.0]) * (1.0 + theta)
        mean = reward.mean()
        start = mean if math.isnan(start) else start
        baseline = start - 0.01 * (start - mean)
        p = np.exp(theta) / np.exp(theta).sum()
        theta = theta + ((reward - baseline)[:, None] * (np.eye(3) - p)).mean(axis=0)
    assert float(method.baseline) == pytest.approx(baseline)
    found = method.controller.theta.detach().numpy() - [0.0, 0.0, 1.0]
    np.testing.assert_allclose(found, theta - [0.0, 0.0, 1.0], rtol=1e-4, atol=1e-6)


def test_the_baseline_of_an_epoch_moves_from_where_the_epoch_began():
    method = tiny_enas(0.3, updates=3, entropy=0.0)
    rewards = iter([0.2, 0.9, 0.4] * 2 + [0.0, 0.0, 0.0])
    method._reward = lambda arch: next(rewards)
    method.end_epoch()
    assert float(method.baseline) == pytest.approx(0.3 - 0.01 * 0.3)


@pytest.mark.parametrize(("images", "updates"), [(None, 8), (250, 2), (1, 1), (4000, 8)])
def test_updates_of_the_controller_go_down_with_the_training_images(images, updates):
    method, asked = tiny_enas(updates=8, scale=Reduction(train_images=images)), []
    method._reward = lambda arch: asked.append(arch) or 0.5
    method.end_epoch()
    assert len(asked) == 3 * updates


def test_the_controllers_gradient_is_clipped():
    method = tiny_enas(0.0)
    method._reward = lambda arch: [2000.0, -1000.0, 0.0][int(arch[0])]
    method.end_epoch()
    step = method.controller.theta.detach() - torch.tensor([0.0, 0.0, 1.0])
    assert float(step.norm()) == pytest.approx(5.0, rel=1e-4)


def test_a_reward_is_the_share_of_a_validation_batch():
    method, judged = tiny(ENAS()), []
    method.accuracy = lambda arch, batches: judged.extend(batches) or 40.0
    assert method._reward(np.array([0])) == pytest.approx(0.4)
    assert judged == [(VALID, LABEL)]


def test_enas_teaches_the_weights_by_the_path_that_its_controller_drew():
    method = tiny_enas()
    method.single_path = lambda arch: [torch.eye(2)[0], torch.eye(3)[int(arch[0])]]
    method.update(TRAIN, LABEL)
    assert float(method.network.weight.detach()) == pytest.approx(2.0 - (1.0 + 0.5))


# UNAS

PAIR = torch.tensor([1.0, 3.0])  # two training images, and below two that validate
JUDGED = torch.tensor([10.0, 20.0])
LABELS = torch.zeros(2, dtype=torch.int64)


def tiny_unas(**fields):
    method = tiny(UNAS(**{"epochs": 10, "frozen": 0.0} | fields))
    method._latency, method._gradients = None, []
    method._baseline = torch.full((), torch.nan)
    method._steps = torch.zeros((), dtype=torch.int64)
    method.valid_batch = lambda: (JUDGED, LABELS)
    return method


def gradient_of(scalar, method):
    return joined(torch.autograd.grad(scalar, method.logits)[0])


def score_of(hard):
    pairs = zip(hard, logits(), strict=True)
    return torch.cat([row - F.softmax(each, -1) for row, each in pairs], dim=1)


def test_unas_learns_logits_and_then_weights_from_the_same_relaxed_architectures():
    method = tiny_unas(estimator=Estimator.gumbel, objective=Objective.val)
    method.update(PAIR, LABELS)
    soft = relaxed(noise(), 0.4, 2)
    gradient = (2.0 * JUDGED[:, None] * slope(soft) / 0.4).mean(0)
    torch.testing.assert_close(moved(method), gradient, **CLOSE)
    torch.testing.assert_close(joined(method._gradients[0]), gradient, **CLOSE)
    weight = 2.0 - (PAIR * worth(soft)).mean()
    torch.testing.assert_close(method.network.weight.detach(), weight, **CLOSE)
    assert carry_gradients(method) == [True, False]
    assert int(method._steps) == 1


def test_unas_leaves_the_logits_alone_while_they_are_frozen():
    method = tiny_unas(frozen=0.5)
    method.update(PAIR, LABELS)
    assert not moved(method).any()
    weight = 2.0 - (PAIR * worth(relaxed(noise(), 0.4, 2))).mean()
    torch.testing.assert_close(method.network.weight.detach(), weight, **CLOSE)


def test_unas_has_training_loss_plus_half_the_gap():
    """Of four images: both orders of the losses, and an architecture of either sign."""
    method = tiny_unas(estimator=Estimator.gumbel, objective=Objective.gen)
    learnt, judged = torch.tensor([1.0, 3.0, 1.0, 3.0]), torch.tensor([2.0, 2.0, 2.0, 2.0])
    method.valid_batch = lambda: (judged, torch.zeros(4))
    drawn = method._draw(4)
    found = gradient_of(method.objective_of(learnt, torch.zeros(4), drawn), method)
    soft = [row.detach() for row in drawn.soft]
    sign = torch.sign((judged - learnt) * worth(soft))
    assert len(set(sign.tolist())) == 2
    factor = 2.0 * (learnt + 0.5 * sign * (judged - learnt))
    torch.testing.assert_close(found, (factor[:, None] * slope(soft) / 0.4).mean(0), **CLOSE)


@pytest.mark.parametrize("objective", Objective)
def test_unas_learns_to_keep_branches_apart(objective):
    method = tiny_unas(estimator=Estimator.gumbel, objective=objective)
    method.network.branch_overlap = lambda rows: 7.0 * rows[0][:, 0]
    drawn = method._draw(2)
    found = gradient_of(method.objective_of(PAIR, LABELS, drawn), method)
    soft = [row.detach() for row in drawn.soft]
    overlap = slope(soft, (torch.tensor([7.0, 0.0]), torch.zeros(3)))
    half_gap = 0.5 * torch.sign(worth(soft)) * (JUDGED - PAIR)
    images = {Objective.train: PAIR, Objective.val: JUDGED, Objective.gen: PAIR + half_gap}
    wanted = (2.0 * images[objective][:, None] * slope(soft) + 0.2 * overlap) / 0.4
    torch.testing.assert_close(found, wanted.mean(0), **CLOSE)


def test_unas_takes_rebar_by_default():
    method = tiny_unas(objective=Objective.train)
    found = gradient_of(method.objective_of(PAIR, LABELS, method._draw(2)), method)
    other = tiny_unas()
    loss = lambda rows: 2.0 * PAIR * worth(rows)  # noqa: E731
    torch.testing.assert_close(
        found, gradient_of(estimators.rebar(other._draw(2), loss), other), **CLOSE
    )


def test_the_baseline_of_unas_is_a_moving_mean_that_starts_at_the_first_batch():
    method = tiny_unas(estimator=Estimator.reinforce, objective=Objective.train)
    baseline = None
    for _ in range(2):
        drawn = method._draw(2)
        losses, score = 2.0 * PAIR * worth(drawn.hard), score_of(drawn.hard)
        baseline = losses.mean() if baseline is None else baseline
        found = gradient_of(method.objective_of(PAIR, LABELS, drawn), method)
        torch.testing.assert_close(found, ((losses - baseline)[:, None] * score).mean(0), **CLOSE)
        baseline = 0.1 * baseline + 0.9 * losses.mean()
        torch.testing.assert_close(method._baseline, baseline)
        baseline = method._baseline.fill_(5.0).clone()


def test_softened_options_are_drawn_by_their_probability_and_a_bit_more():
    method = tiny_unas(softening=0.25)
    for row, soft in zip(logits(), method.softened(), strict=True):
        torch.testing.assert_close(
            F.softmax(soft, -1), (F.softmax(row, -1) + 0.25) / (1 + len(row) / 4)
        )


def test_architectures_are_drawn_from_what_is_softened():
    """By hand: of the uniforms ``u``, the option of the largest ``log q - log(-log u)``."""
    drawn = tiny_unas(softening=0.25)._draw(50)
    log_p = torch.zeros(50)
    for at, (row, u) in enumerate(zip(logits(), uniforms(ARITY, 50, noise()), strict=True)):
        log_q = torch.log((F.softmax(row, -1) + 0.25) / (1 + len(row) / 4))
        perturbed = log_q - torch.log(-torch.log(u))
        torch.testing.assert_close(drawn.soft[at].detach(), F.softmax(perturbed / 0.4, -1))
        log_p += log_q[perturbed.argmax(-1)]
    torch.testing.assert_close(drawn.log_p.detach(), log_p)
    assert drawn.log_p.requires_grad


@pytest.mark.parametrize(("arch_epochs", "turns"), [(0.0, [0, 1, 2, 3, 4, 5]), (0.5, [1, 3, 5])])
def test_unas_may_train_weights_for_longer_between_its_updates(arch_epochs, turns):
    """Epochs of four steps: two of them are half an epoch."""
    method, learnt = tiny_unas(arch_epochs=arch_epochs), []
    method.data = SimpleNamespace(steps=4)
    method._learn = lambda x, y, drawn: learnt.append(step)
    for step in range(6):
        method.progress = step / 4
        method.update(PAIR, LABELS)
    assert learnt == turns


def test_the_gap_of_a_batch_has_one_sign():
    """Two pairs, one of either sign; the mean of the gaps is negative."""
    method = tiny_unas(gap=Gap.batch)
    learnt, judged = torch.tensor([1.0, 9.0]), torch.tensor([2.0, 3.0])
    method.losses = lambda x, y, rows: x
    rows = method._draw(2).soft
    found = method._losses((learnt, LABELS), (judged, LABELS), rows)
    torch.testing.assert_close(found, learnt + 0.5 * torch.tensor([-1.0, 6.0]))


def test_the_gap_of_a_batch_teaches_by_its_one_sign():
    """Three pairs, whose gaps have both signs: all are followed by the sign of their mean."""
    method = tiny_unas(estimator=Estimator.gumbel, objective=Objective.gen, gap=Gap.batch)
    learnt, judged = torch.tensor([1.0, 3.0, 1.0]), torch.tensor([2.0, 2.0, 9.0])
    method.valid_batch = lambda: (judged, torch.zeros(3))
    drawn = method._draw(3)
    found = gradient_of(method.objective_of(learnt, torch.zeros(3), drawn), method)
    soft = [row.detach() for row in drawn.soft]
    gap = (judged - learnt) * worth(soft)
    assert len(set(torch.sign(gap).tolist())) == 2
    factor = 2.0 * (learnt + 0.5 * torch.sign(gap.mean()) * (judged - learnt))
    torch.testing.assert_close(found, (factor[:, None] * slope(soft) / 0.4).mean(0), **CLOSE)


@pytest.mark.parametrize("objective", [Objective.val, Objective.gen])
@pytest.mark.parametrize("estimator", Estimator)
def test_fewer_images_that_validate_than_that_train_make_as_many_pairs(estimator, objective):
    """The third training image has no partner: the logits learn from the first two alone."""
    fields = {"estimator": estimator, "objective": objective}
    three, alone = torch.tensor([1.0, 3.0, 8.0]), tiny_unas(**fields)
    method = tiny_unas(**fields)
    drawn = method._draw(3)
    found = gradient_of(method.objective_of(three, torch.zeros(3), drawn), method)
    pairs = alone._draw(3).first(2)
    wanted = gradient_of(alone.objective_of(PAIR, LABELS, pairs), alone)
    torch.testing.assert_close(found, wanted, **CLOSE)


def test_all_images_that_train_teach_where_none_validates():
    """``objective=train`` with three training images, and two that validate."""
    method = tiny_unas(estimator=Estimator.gumbel, objective=Objective.train)
    three = torch.tensor([1.0, 3.0, 8.0])
    drawn = method._draw(3)
    found = gradient_of(method.objective_of(three, torch.zeros(3), drawn), method)
    by_image = 2.0 * three[:, None] * slope([row.detach() for row in drawn.soft]) / 0.4
    torch.testing.assert_close(found, by_image.mean(0), **CLOSE)


@pytest.mark.parametrize(("steps", "share"), [(0, 0.0), (250, 0.25), (5000, 1.0)])
def test_the_latency_term_of_unas_is_relax_of_an_architecture_of_its_own(steps, share):
    fields = {"estimator": Estimator.gumbel, "objective": Objective.train}
    fields |= {"latency_weight": 0.2, "latency_ramp": 1000}
    plain, method = tiny_unas(**fields), tiny_unas(**fields)
    measured = lambda rows: worth(one_hot(rows)) ** 2  # noqa: E731
    predicted = lambda rows: 3.0 * worth(rows)  # noqa: E731
    method._latency = SimpleNamespace(measured=measured, predicted=predicted)
    method._steps.fill_(steps)
    without = gradient_of(plain.objective_of(PAIR, LABELS, plain._draw(2)), plain)
    found = gradient_of(method.objective_of(PAIR, LABELS, method._draw(2)), method)
    term = estimators.relax(plain._draw(1), measured, predicted)
    wanted = without + 0.2 * share * gradient_of(term, plain)
    torch.testing.assert_close(found, wanted, **CLOSE)


# The latency loss itself

ARCHS = np.array([[0, 0], [0, 1], [1, 2], [1, 0], [0, 2], [1, 1]])
MS = np.array([1.0, 2.5, 7.0, 4.0, 3.0, 6.0])


def latency_loss(target_ms):
    known = {tuple(arch): ms for arch, ms in zip(ARCHS, MS, strict=True)}
    latency_ms = lambda archs: np.array([known[tuple(arch)] for arch in archs])  # noqa: E731
    return LatencyLoss(latency_ms, target_ms, ARCHS, SimpleNamespace(decisions=ROWS))


def ridge_weights():
    """Least squares with a row of its own for each weight's square: ridge regression."""
    features = np.concatenate([np.eye(2)[ARCHS[:, 0]], np.eye(3)[ARCHS[:, 1]], np.ones((6, 1))], 1)
    stacked = np.concatenate([features, np.eye(6)])
    return np.linalg.lstsq(stacked, np.append(MS, np.zeros(6)))[0]


def test_the_surrogate_is_the_ridge_regression():
    weights = ridge_weights()
    rows = [torch.tensor([[0.3, 0.7]]), torch.tensor([[0.2, 0.5, 0.3]])]
    wanted = np.array([0.3, 0.7, 0.2, 0.5, 0.3, 1.0]) @ weights
    assert float(latency_loss(0.0).latency(rows)) == pytest.approx(wanted, rel=1e-5)


def test_the_latency_loss_is_what_exceeds_the_target_and_so_is_its_gradient():
    rows = [torch.eye(2)[[0, 1]].requires_grad_(), torch.eye(3)[[0, 2]].requires_grad_()]
    weights = ridge_weights()
    predicted = weights[[0, 1]] + weights[[2, 4]] + weights[5]
    assert predicted[0] < 3.5 < predicted[1]
    loss = latency_loss(3.5)
    found = loss.predicted(rows)
    assert found.tolist() == pytest.approx([0.0, predicted[1] - 3.5], rel=1e-5)
    gradient = torch.cat(torch.autograd.grad(found.sum(), rows), dim=1).numpy()
    np.testing.assert_allclose(gradient, [np.zeros(5), weights[:5]], rtol=1e-5)
    assert loss.measured(rows).tolist() == pytest.approx([0.0, 7.0 - 3.5])
