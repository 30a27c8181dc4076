"""CATCH's networks and every term of their joint loss, by hand."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from toys import ToySpace

from nasrun.algorithms.catch import CATCH, Context
from nasrun.algorithms.catch_networks import Actions, Pairs, clipped_surrogate, huber, kl_to_prior
from nasrun.algorithms.memory import FLOOR, Replay
from nasrun.draws import OneHot
from nasrun.streams import Streams

SMALL = {"encoder_widths": [16], "controller_widths": [16], "evaluator_widths": [16]}
SPACE = ToySpace()
LATENT, TRIALS = 10, 2
NOTHING = np.zeros((TRIALS, 5))  # importance weights of a batch without any pair
ALL = np.ones((TRIALS, 5))
NAMES = ("encoder", "controller", "evaluator")


class Ascending(ToySpace):
    """No option is below the one before it."""

    def legal(self, prefix):
        options = np.arange(len(self.decisions[prefix.shape[1]]))
        return options >= (prefix[:, -1:] if prefix.shape[1] else np.zeros((len(prefix), 1)))


def agent(space=SPACE, **fields):
    made = CATCH(**{**SMALL, **fields}).catcher(space, Streams(range(TRIALS)), slice(0, TRIALS))
    made.begin(Replay(TRIALS, 0.6, 0.4, 5e-4, 1.0))
    for _ in range(5):
        made.memory.add(np.ones(TRIALS, bool))
    return made


def history(known=None, order=None, space=SPACE):
    """``(T, 5, L)`` architectures with normalised rewards."""
    archs = space.at(Streams(range(TRIALS)).integers(space.size, 5))
    score = Streams(range(TRIALS), "score").normal(5)
    known = np.ones((TRIALS, 5), bool) if known is None else known
    order = np.arange(5) if order is None else np.array(order)
    return Pairs(OneHot(space), LATENT, archs[:, order], score[:, order], known[:, order])


def noise():
    return Streams(range(TRIALS), "noise").normal(LATENT)


def policy(made, archs, z):
    """``(T, W, L)`` log-probabilities of ``archs (T, W, L)``."""
    given, uniforms = np.ones(archs.shape[1], bool), np.zeros(archs.shape)
    return made.controller.sample_networks(z, archs.copy(), given, uniforms)[1]


def decisions(made, archs, advantage, log_ratio=0.0, counts=None, z=None, space=SPACE):
    """The lesson of ``archs (T, W, L)`` whose probabilities have changed by ``exp(log_ratio)``."""
    z = torch.zeros(TRIALS, LATENT) if z is None else z
    counts = np.ones(archs.shape[:2], bool) if counts is None else counts
    old = policy(made, archs, z) - log_ratio
    return Actions(OneHot(space), LATENT, archs, np.asarray(advantage), old, counts)


def gradients(made, loss):
    """Norms of the gradient, of each trial, by network."""
    flats = [made._nets[name].flat for name in NAMES]
    found = torch.autograd.grad(loss.sum(), flats, allow_unused=True)
    norms = dict.fromkeys(NAMES, torch.zeros(TRIALS))
    for name, gradient in zip(NAMES, found, strict=True):
        if gradient is not None:
            parts = [part.flatten(1) for part in made._nets[name].parts_of(gradient)]
            norms[name] = torch.cat(parts, dim=1).norm(dim=1)
    return norms


@pytest.mark.parametrize(
    ("ratio", "advantage", "gain", "slope"),
    [
        # what pays is made likelier up to 1 + clip, and without a limit where it had become rarer
        (0.5, 2.0, 1.0, 2.0), (0.9, 2.0, 1.8, 2.0), (1.1, 2.0, 2.2, 2.0), (1.5, 2.0, 2.4, 0.0),
        # what does not pay is made rarer down to 1 - clip
        (0.5, -2.0, -1.6, 0.0), (0.9, -2.0, -1.8, -2.0), (1.1, -2.0, -2.2, -2.0),
        (1.5, -2.0, -3.0, -2.0),
    ],
)  # fmt: skip
def test_the_clipped_surrogate_and_its_gradient_by_hand(ratio, advantage, gain, slope):
    x = torch.tensor([ratio], dtype=torch.double, requires_grad=True)
    found = clipped_surrogate(x, torch.tensor([advantage], dtype=torch.double), 0.2)
    assert found.item() == pytest.approx(gain)
    assert torch.autograd.grad(found.sum(), x)[0].item() == pytest.approx(slope)


def test_the_kl_divergence_and_its_gradient_by_hand():
    """KL(N(m, v) || N(0, 1)) = (v + m^2 - 1 - ln v) / 2, its gradient (m, (1 - 1 / v) / 2)."""
    mean = torch.tensor([[0.0, 2.0, -1.0]], dtype=torch.double, requires_grad=True)
    variance = torch.tensor([[1.0, 1.0, 0.25]], dtype=torch.double, requires_grad=True)
    kl = kl_to_prior(mean, variance)
    assert kl.item() == pytest.approx(0.0 + 2.0 + 0.5 * (0.25 + 1 - 1 - np.log(0.25)))
    prior = torch.distributions.Normal(torch.zeros(3), torch.ones(3))
    own = torch.distributions.Normal(mean, variance.sqrt())
    assert kl.item() == pytest.approx(torch.distributions.kl_divergence(own, prior).sum().item())
    d_mean, d_variance = torch.autograd.grad(kl.sum(), (mean, variance))
    assert d_mean.tolist() == [[0.0, 2.0, -1.0]]
    assert d_variance.tolist() == [[0.0, 0.0, -1.5]]


def test_hubers_loss_and_its_gradient_by_hand():
    error = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0], requires_grad=True)
    loss = huber(error)
    assert loss.tolist() == [2.5, 0.5, 0.125, 0.0, 0.125, 0.5, 2.5]
    slope = torch.autograd.grad(loss.sum(), error)[0]
    assert slope.tolist() == [-1.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.0]


def test_the_evaluators_loss_is_the_weighted_mean_over_the_batch():
    made, pairs = agent(), history()
    z = torch.from_numpy(noise()).float()
    archs = SPACE.at(Streams(range(TRIALS)).integers(SPACE.size, 5))
    error = made.evaluator.predict(archs, z) - pairs.reward.numpy()
    weight = np.array([[1.0, 0.5, 0.0, 0.25, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0]])
    size = np.abs(error)
    by_hand = weight * np.where(size <= 1, 0.5 * error**2, size - 0.5)
    loss, found = made.evaluator.loss(pairs, torch.from_numpy(weight).float(), z)
    np.testing.assert_allclose(found, error, rtol=1e-5)
    np.testing.assert_allclose(loss.detach(), by_hand.sum(axis=1) / [3, 1], rtol=1e-5)
    nothing, _ = made.evaluator.loss(pairs, torch.zeros(TRIALS, 5), z)
    assert nothing.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("space", [ToySpace((2, 3, 4)), Ascending((2, 3, 4))], ids=type)
def test_the_controllers_loss_by_hand(space):
    made = agent(space, clip=0.2, entropy=0.3, smoothing=0.1)
    logits = np.linspace(-1.0, 1.0, 9)
    with torch.no_grad():
        for parameter in made._nets["controller"].parameters:
            parameter.zero_()
        made._nets["controller"].parameters[-1][:, 0, :9] = torch.from_numpy(logits)
    archs = np.array([[[0, 1, 2], [1, 2, 3]], [[1, 1, 1], [0, 0, 0]]])
    advantage = np.array([[1.5, -0.5], [-1.0, 2.0]])
    log_ratio = np.array([0.5, -0.5, 0.1])  # beyond either bound, and between them
    counts = np.array([[True, True], [False, True]])
    lesson = decisions(made, archs, advantage, log_ratio, counts, space=space)
    expected = np.zeros(TRIALS)
    for trial, step in np.argwhere(counts):
        for place, first in enumerate((0, 2, 5)):
            arity, arch = (2, 3, 4)[place], archs[trial, step]
            legal = space.legal(arch[None, :place])[0]
            chance = np.exp(logits[first : first + arity]) * legal
            chance /= chance.sum()
            entropy = -sum(c * np.log(c) for c in chance if c > 0)
            ratio, gained = np.exp(log_ratio[place]), advantage[trial, step]
            gain = min(ratio * gained, np.clip(ratio, 0.8, 1.2) * gained)
            expected[trial] -= (gain + 0.3 * entropy) / (3 * counts[trial].sum())
            smooth = 0.9 * chance[arch[place]] + 0.1 / legal.sum()
            old = lesson.log_chance[trial, 3 * step + place].item()
            assert old == pytest.approx(np.log(smooth) - log_ratio[place], rel=1e-5)
    found = made.controller.loss(lesson, torch.zeros(TRIALS, LATENT))
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-5)


def test_the_joint_loss_is_the_sum_of_its_three_terms():
    made, pairs = agent(beta=0.7), history()
    archs = SPACE.at(Streams(range(TRIALS)).integers(SPACE.size, 5))
    lesson = decisions(made, archs, pairs.reward.numpy(), log_ratio=0.3)
    weight = np.array([[1.0, 0.5, 0.0, 0.25, 0.0]] * 2)
    z, kl = made.encoder.draw(pairs, noise())
    expected = made.evaluator.loss(pairs, torch.from_numpy(weight).float(), z)[0]
    expected = expected + made.controller.loss(lesson, z) + 0.7 * kl
    loss, _ = made.loss(pairs, lesson, weight, noise())
    torch.testing.assert_close(loss, expected)


TERMS = {
    "evaluator": ({"beta": 0.0}, False, ALL, {"encoder", "evaluator"}),
    "policy": ({"beta": 0.0}, True, NOTHING, {"encoder", "controller"}),
    "entropy": ({"beta": 0.0, "entropy": 1.0}, True, NOTHING, {"encoder", "controller"}),
    "kl": ({"beta": 0.1}, False, NOTHING, {"encoder"}),
    "none": ({"beta": 0.0}, False, NOTHING, set()),
}


@pytest.mark.parametrize("term", TERMS)
def test_each_term_reaches_its_own_networks(term):
    fields, with_policy, weight, reached = TERMS[term]
    made, pairs = agent(**{"entropy": 0.0, **fields}), history()
    archs = SPACE.at(Streams(range(TRIALS)).integers(SPACE.size, 5))
    advantage = pairs.reward.numpy() * (term != "entropy")
    lesson = decisions(made, archs, advantage) if with_policy else None
    loss, _ = made.loss(pairs, lesson, weight, noise())
    norms = gradients(made, loss)
    assert {name for name, norm in norms.items() if (norm > 1e-8).all()} == reached
    assert {name for name, norm in norms.items() if (norm > 0).any()} == reached


def in_double_precision(made, *lessons):
    """Make derivatives by finite differences exact enough to be compared."""
    for net in made._nets.values():
        net.hold(net.flat.double())
        net.reuse_gradient()
    for lesson in lessons:
        for name, value in vars(lesson).items():
            if isinstance(value, torch.Tensor) and value.dtype is torch.float32:
                setattr(lesson, name, value.double())


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_that_of_the_loss(name):
    """A part of the loss that is cut off from its weights shows in a finite difference."""
    made, pairs = agent(beta=0.5, entropy=0.2, clip=0.2), history()
    archs = SPACE.at(Streams(range(TRIALS)).integers(SPACE.size, 5))
    z = made.encoder.draw(pairs, noise())[0].detach()
    log_ratio = Streams(range(TRIALS), "ratio").normal(15).reshape(TRIALS, 5, 3) * 0.2
    lesson = decisions(made, archs, pairs.reward.numpy(), log_ratio, z=z)
    in_double_precision(made, pairs, lesson)
    flat = made._nets[name].flat
    made.loss(pairs, lesson, ALL, noise())[0].sum().backward()
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        way = torch.randn(flat.shape, generator=generator).double()
        slope = (flat.grad * way).sum().item()
        ends = []
        for step in (1e-6, -2e-6):
            with torch.no_grad():
                flat += step * way
                ends.append(made.loss(pairs, lesson, ALL, noise())[0].sum().item())
        with torch.no_grad():
            flat += 1e-6 * way
        assert slope == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-3, abs=1e-6)


def steps(count):
    return [(np.zeros((TRIALS, 5)), noise())] * count


def silent(made):
    """A memory from which nothing is drawn: the evaluator has no loss."""
    made.memory.draw = lambda gumbel: np.zeros(gumbel.shape)
    return made


def test_the_policys_loss_alone_raises_the_probability_of_what_pays():
    made, pairs = silent(agent(beta=0.0, entropy=0.0, controller_rate=1e-2)), history()
    archs = np.array([[[0, 1, 2], [1, 2, 3]], [[1, 0, 0], [0, 2, 1]]])
    z = made.encoder.draw(pairs, noise())[0].detach()
    before = policy(made, archs, z).sum(axis=2)
    made.optimise(pairs, decisions(made, archs, [[1.0, -1.0]] * 2, z=z), steps(50))
    z = made.encoder.draw(pairs, noise())[0].detach()
    change = policy(made, archs, z).sum(axis=2) - before
    assert (change[:, 0] > 0.4).all(), change
    assert (change[:, 1] < -0.4).all(), change


def test_the_entropy_alone_evens_the_policy_out():
    made, pairs = silent(agent(beta=0.0, entropy=0.1, controller_rate=1e-2)), history()
    with torch.no_grad():
        made._nets["controller"].parameters[-1][:, 0, 0] = 2.0  # the first option of the first
    archs = np.array([[[0, 1, 2]], [[0, 0, 0]]])
    z = torch.zeros(TRIALS, LATENT)
    lesson = decisions(made, archs, [[0.0], [0.0]])
    assert (np.exp(policy(made, archs, z))[..., 0] > 0.8).all()
    made.optimise(pairs, lesson, steps(400))
    chance = np.exp(policy(made, archs, made.encoder.draw(pairs, noise())[0].detach()))
    np.testing.assert_allclose(chance[..., 0], 0.5, atol=0.1)


def test_the_evaluators_loss_alone_learns_to_rank():
    made = agent(beta=0.0)
    archs = SPACE.at(np.arange(24))[None].repeat(TRIALS, axis=0)
    worth = Streams(range(TRIALS), "worth").normal(9)
    score = np.stack([OneHot(SPACE)(archs[t]) @ worth[t] for t in range(TRIALS)])
    pairs = Pairs(OneHot(SPACE), LATENT, archs, score, np.ones(score.shape, bool))
    made.begin(Replay(TRIALS, 0.6, 0.4, 5e-4, 1.0))
    for _ in range(24):
        made.memory.add(np.ones(TRIALS, bool))
    made.optimise(pairs, None, [(np.zeros((TRIALS, 24)), noise())] * 300)
    predicted = made.evaluator.predict(archs, made.encoder.draw(pairs, noise())[0].detach())
    rho = [spearmanr(*row).statistic for row in zip(predicted, score, strict=True)]
    assert min(rho) > 0.95, rho


def test_the_kl_alone_draws_the_context_to_the_prior():
    made, pairs = silent(agent(beta=1.0, encoder_rate=1e-2)), history()
    before = made.encoder.draw(pairs, noise())[1].detach()
    made.optimise(pairs, None, steps(100))
    assert (made.encoder.draw(pairs, noise())[1] < 0.2 * before).all()


def test_a_step_has_the_size_of_each_networks_learning_rate():
    """Adam's first step moves a weight by its rate, wherever its gradient is far above epsilon."""
    rates = {"encoder_rate": 1e-3, "controller_rate": 3e-3, "evaluator_rate": 9e-3}
    made, pairs = agent(max_gradient=1e3, entropy=0.0, **rates), history()
    archs = SPACE.at(Streams(range(TRIALS)).integers(SPACE.size, 5))
    before = made.state()
    made.optimise(pairs, decisions(made, archs, 100 * pairs.reward.numpy()), steps(1))
    for key, weights in made.state().items():
        rate = rates[f"{key.split('.')[0]}_rate"]
        change = np.abs(weights - before[key]).max(axis=(1, 2))
        assert (change > 0.9 * rate).all(), key
        assert (change < 1.01 * rate).all(), key


def test_gradients_are_bounded_before_the_step():
    """With a norm far below Adam's epsilon, hardly anything moves."""
    made, pairs = agent(max_gradient=1e-9), history()
    archs = SPACE.at(Streams(range(TRIALS)).integers(SPACE.size, 5))
    before = made.state()
    made.optimise(pairs, decisions(made, archs, pairs.reward.numpy()), steps(1))
    for key, weights in made.state().items():
        assert np.abs(weights - before[key]).max() < 1e-6, key


def test_what_is_drawn_gets_the_priority_of_its_new_error():
    made, pairs = agent(), history()
    archs = SPACE.at(Streams(range(TRIALS)).integers(SPACE.size, 5))
    z = made.encoder.draw(pairs, noise())[0].detach()
    error = np.abs(made.evaluator.predict(archs, z) - pairs.reward.numpy())
    made.optimise(pairs, None, steps(1))
    np.testing.assert_allclose(made.memory._priority, np.minimum(error + FLOOR, 1.0), rtol=1e-5)


def test_candidates_are_drawn_and_predicted_given_the_same_context():
    made, pairs = agent(), history()
    with torch.no_grad():  # a new policy is almost uniform, whatever the context
        made._nets["controller"].parameters[-2].mul_(100.0)
    made.optimise(pairs, None, [])
    drawn, given = np.zeros((TRIALS, 4, 3), np.int64), np.array([False, False, False, True])
    uniforms = Streams(range(TRIALS), "drawn").uniform(12).reshape(drawn.shape)
    archs, log_chance, score = made.propose(drawn.copy(), given, noise(), uniforms)
    z = made.encoder.draw(pairs, noise())[0].detach()
    sampled = made.controller.sample_networks(z, drawn.copy(), given, uniforms)
    np.testing.assert_array_equal(archs, sampled[0])
    np.testing.assert_allclose(log_chance, sampled[1])
    np.testing.assert_allclose(score, made.evaluator.predict(archs, z))
    np.testing.assert_allclose(made.log_chance(archs[:, 0], noise()), log_chance[:, 0], rtol=1e-5)


def test_the_context_is_the_product_of_the_pairs_gaussians():
    made, pairs = agent(), history()
    head = made._nets["encoder"](pairs.with_reward).detach().double().numpy()
    mean, variance = head[..., :10], np.log1p(np.exp(head[..., 10:20]))
    precision = (1 / variance).sum(axis=1)
    centre = (mean / variance).sum(axis=1) / precision
    z, kl = made.encoder.draw(pairs, np.ones((TRIALS, LATENT)))
    np.testing.assert_allclose(z.detach(), centre + precision**-0.5, rtol=1e-4, atol=1e-5)
    wanted = 0.5 * (1 / precision + centre**2 - 1 + np.log(precision)).sum(axis=1)
    np.testing.assert_allclose(kl.detach(), wanted, rtol=1e-4)


def test_the_context_does_not_depend_on_the_order_of_the_pairs():
    made = agent()
    orders = ([0, 1, 2, 3, 4], [3, 1, 4, 0, 2])
    one, other = (made.encoder.draw(history(order=order), noise())[0] for order in orders)
    torch.testing.assert_close(one, other)


def test_failed_pairs_leave_no_trace_in_the_context():
    made = agent()
    pairs = history(known=np.array([[True, True, True, True, False]] * TRIALS))
    z = made.encoder.draw(pairs, noise())[0].detach()
    pairs.with_reward[:, 4] = 9.0
    torch.testing.assert_close(made.encoder.draw(pairs, noise())[0].detach(), z)
    nothing = history(known=np.zeros((TRIALS, 5), bool))
    z, kl = made.encoder.draw(nothing, noise())
    np.testing.assert_allclose(z.detach(), noise(), rtol=1e-6)  # the prior
    assert not kl.detach().any()


@pytest.mark.parametrize(("context", "scale"), [("zero", 0.0), ("prior", 1.0)])
def test_without_an_encoder_z_is_noise_or_nothing(context, scale):
    z, kl = agent(context=Context[context]).encoder.draw(history(), noise())
    np.testing.assert_allclose(z, scale * noise(), rtol=1e-6)
    assert not kl.any()


@pytest.mark.parametrize("space", [SPACE, Ascending()], ids=["independent", "dependent"])
def test_before_the_first_step_every_decision_is_as_likely_as_when_it_was_drawn(space):
    """PPO's ratio is 1 then: the loss of advantages of 1 is -1, whatever the clipping."""
    made = agent(space, entropy=0.0)
    z = torch.from_numpy(noise()).float()
    drawn = np.zeros((TRIALS, 4, len(space.decisions)), np.int64)
    uniforms = Streams(range(TRIALS), "drawn").uniform(drawn[0].size).reshape(drawn.shape)
    archs, log_chance = made.controller.sample_networks(z, drawn, np.zeros(4, bool), uniforms)
    counts = np.ones(archs.shape[:2], bool)
    advantage = np.ones(archs.shape[:2])
    actions = Actions(OneHot(space), LATENT, archs, advantage, log_chance, counts)
    loss = made.controller.loss(actions, z)
    np.testing.assert_allclose(loss.detach().numpy(), -1.0, atol=1e-5)
