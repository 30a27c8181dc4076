"""Estimators against exact gradients on a toy that can be enumerated.

Statistical statements: 40,000 draws with a fixed seed; an unbiased estimate lies within 4.5
standard errors of the exact gradient in every one of 6 coordinates (a true estimator fails that
with a probability below 1e-4).
"""

import itertools

import pytest
import torch
from torch.nn import functional as F

from nasrun.nets import estimators
from nasrun.nets.estimators import dirichlet, draw, straight_through, uniforms

ARITY = (2, 4)
DRAWS = 40_000
Z = 4.5
TEMPERATURE = 0.4


def seeded(seed):
    return torch.Generator().manual_seed(seed)


LOGITS = [torch.tensor([0.3, -0.5]), torch.tensor([0.2, 0.9, -0.4, 0.0])]


def smooth(rows):
    """A curved loss with an interaction of the two decisions; (B,) losses."""
    one, two = rows
    return (one @ torch.tensor([1.0, -1.0]) + two @ torch.tensor([0.5, 2.0, -1.0, 3.0])) ** 2


def gentle(rows):
    """A loss with the curvature of a cross-entropy."""
    one, two = rows
    logit = one @ torch.tensor([1.0, -1.0]) + two @ torch.tensor([0.5, 2.0, -1.0, 3.0])
    return F.softplus(logit)


def jumps(rows):
    """A loss without gradient: what it says of relaxed rows is of no use."""
    one, two = rows
    return (3.0 * one.argmax(-1) - 2.0 * two.argmax(-1) + (one.argmax(-1) * two.argmax(-1))).float()


def surrogate(rows):
    """Near ``jumps``, but wrong about the interaction."""
    one, two = rows
    return one @ torch.tensor([0.0, 3.5]) + two @ torch.tensor([0.0, -1.5, -3.5, -5.0])


def exact(loss, logits=LOGITS):
    """The gradient of E[loss] by enumeration, all rows joined."""
    leaves = [row.clone().requires_grad_() for row in logits]
    probabilities = [F.softmax(row, dim=-1) for row in leaves]
    total = torch.zeros(())
    for options in itertools.product(*(range(n) for n in ARITY)):
        rows = [
            F.one_hot(torch.tensor([o]), n).float() for o, n in zip(options, ARITY, strict=True)
        ]
        p = torch.stack([q[o] for q, o in zip(probabilities, options, strict=True)]).prod()
        total = total + p * loss(rows)[0]
    return torch.cat(torch.autograd.grad(total, leaves))


def per_draw(estimate, seed=0, temperature=TEMPERATURE):
    """(DRAWS, 6) gradient estimates, one for each draw alone."""
    leaves = [row.expand(DRAWS, -1).clone().requires_grad_() for row in LOGITS]
    noise = uniforms(ARITY, DRAWS, seeded(seed))
    scalar = estimate(draw(leaves, noise, temperature)) * DRAWS
    return torch.cat(torch.autograd.grad(scalar, leaves), dim=1)


def z_scores(samples, truth):
    return (samples.mean(0) - truth) / (samples.std(0) / len(samples) ** 0.5)


UNBIASED = {
    "reinforce": (lambda drawn: estimators.reinforce(drawn, smooth), smooth),
    "reinforce, baseline": (lambda drawn: estimators.reinforce(drawn, smooth, 3.0), smooth),
    "rebar": (lambda drawn: estimators.rebar(drawn, smooth), smooth),
    "relax": (lambda drawn: estimators.relax(drawn, jumps, surrogate), jumps),
}


@pytest.mark.parametrize("name", UNBIASED)
def test_the_mean_estimate_is_the_exact_gradient(name):
    estimate, loss = UNBIASED[name]
    samples = per_draw(estimate)
    scores = z_scores(samples, exact(loss))
    assert scores.abs().max() < Z, (scores, samples.mean(0), exact(loss))


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_rebar_is_unbiased_at_any_temperature(temperature):
    samples = per_draw(lambda drawn: estimators.rebar(drawn, smooth), 1, temperature)
    assert z_scores(samples, exact(smooth)).abs().max() < Z


# By hand: log p of the options drawn has the gradient "one-hot minus probabilities", and a linear
# loss of relaxed rows s with weights w has s (w - s w) / temperature.

WEIGHTS = [torch.tensor([1.0, -1.0]), torch.tensor([0.5, 2.0, -1.0, 3.0])]


def linear(rows):
    return sum(row @ weights for row, weights in zip(rows, WEIGHTS, strict=True))


def few(estimate, count=5):
    """Value and gradient of an estimate, and the one-hot and relaxed rows that it saw."""
    leaves = [row.clone().requires_grad_() for row in LOGITS]
    noise = uniforms(ARITY, count, seeded(11))
    value = estimate(draw(leaves, noise, TEMPERATURE))
    gradient = torch.cat(torch.autograd.grad(value, leaves))
    pairs = zip(LOGITS, noise, strict=True)
    perturbed = [F.log_softmax(row, -1) - torch.log(-torch.log(u)) for row, u in pairs]
    hard = [F.one_hot(row.argmax(-1), row.shape[-1]).float() for row in perturbed]
    return value, gradient, hard, [F.softmax(row / TEMPERATURE, -1) for row in perturbed]


def score_of(hard):
    """(B, 6) the gradients of log p."""
    pairs = zip(hard, LOGITS, strict=True)
    return torch.cat([rows - F.softmax(logits, -1) for rows, logits in pairs], dim=1)


def test_the_relaxed_loss_has_the_gradient_of_the_softmax():
    value, gradient, _, soft = few(lambda drawn: estimators.gumbel_softmax(drawn, linear))
    pairs = zip(soft, WEIGHTS, strict=True)
    slopes = [s * (w - (s @ w)[:, None]) / TEMPERATURE for s, w in pairs]
    torch.testing.assert_close(value, linear(soft).mean())
    torch.testing.assert_close(gradient, torch.cat(slopes, dim=1).mean(0))


@pytest.mark.parametrize("baseline", [0.0, 3.0])
def test_reinforce_is_the_mean_of_advantage_times_score(baseline):
    _, gradient, hard, _ = few(lambda drawn: estimators.reinforce(drawn, jumps, baseline))
    wanted = (jumps(hard) - baseline)[:, None] * score_of(hard)
    torch.testing.assert_close(gradient, wanted.mean(0))


def test_relax_without_a_gradient_of_the_surrogate_is_the_score_of_what_that_misses():
    def blind(rows):
        return surrogate([row.detach() for row in rows])

    _, gradient, hard, soft = few(lambda drawn: estimators.relax(drawn, jumps, blind))
    wanted = (jumps(hard) - surrogate(soft))[:, None] * score_of(hard)
    torch.testing.assert_close(gradient, wanted.mean(0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("name", "more"), [("reinforce", ()), ("relax", (surrogate,))])
def test_one_hot_rows_are_judged_without_a_graph(name, more):
    """Of a supernet's loss that is most of the memory."""
    scale, judged = torch.ones((), requires_grad=True), []

    def loss(rows):
        judged.append(scale * jumps(rows))
        return judged[-1]

    few(lambda drawn: getattr(estimators, name)(drawn, loss, *more))
    assert [losses.requires_grad for losses in judged] == [False]


def test_the_log_probability_of_a_draw_is_that_of_its_options():
    drawn = draw(LOGITS, uniforms(ARITY, 20, seeded(12)), TEMPERATURE)
    pairs = zip(LOGITS, drawn.hard, strict=True)
    one, two = (F.softmax(row, -1)[hard.argmax(-1)] for row, hard in pairs)
    torch.testing.assert_close(drawn.log_p, (one * two).log())


def test_uniforms_keep_their_distance_from_the_edges():
    drawn = torch.cat(uniforms(ARITY, DRAWS, seeded(13)), dim=1)
    assert drawn.shape == (DRAWS, 6)
    assert (float(drawn.min()), float(drawn.max())) == pytest.approx((0.001, 0.999))


def test_gumbel_softmax_alone_is_biased():
    samples = per_draw(lambda drawn: estimators.gumbel_softmax(drawn, smooth))
    scores = z_scores(samples, exact(smooth))
    assert scores.abs().max() > 10, (scores, samples.mean(0), exact(smooth))


def variance(estimate, temperature=TEMPERATURE):
    return float(per_draw(estimate, temperature=temperature).var(0).sum())


@pytest.mark.parametrize(("loss", "ratio"), [(smooth, 0.8), (gentle, 0.4)])
def test_rebar_varies_less_than_reinforce(loss, ratio):
    """Much less where the loss is as gently curved as a cross-entropy."""
    score = variance(lambda drawn: estimators.reinforce(drawn, loss))
    control = variance(lambda drawn: estimators.rebar(drawn, loss))
    assert control < ratio * score, (control, score)


@pytest.mark.parametrize(("temperature", "ratio"), [(TEMPERATURE, 0.98), (1.0, 0.8)])
def test_rebar_varies_less_than_reinforce_with_the_mean_as_baseline(temperature, ratio):
    mean = float(gentle(draw(LOGITS, uniforms(ARITY, DRAWS, seeded(0)), 1.0).hard).mean())
    score = variance(lambda drawn: estimators.reinforce(drawn, gentle, mean))
    control = variance(lambda drawn: estimators.rebar(drawn, gentle), temperature)
    assert control < ratio * score, (control, score)


def test_relax_varies_less_than_reinforce():
    score = per_draw(lambda drawn: estimators.reinforce(drawn, jumps)).var(0).sum()
    control = per_draw(lambda drawn: estimators.relax(drawn, jumps, surrogate)).var(0).sum()
    assert control < 0.85 * score, (control, score)


def test_a_draw_is_one_thing_seen_three_ways():
    drawn = draw(LOGITS, uniforms(ARITY, 500, seeded(3)), TEMPERATURE)
    for hard, soft, coupled in zip(drawn.hard, drawn.soft, drawn.coupled, strict=True):
        assert (hard.sum(-1) == 1).all()
        assert (hard.argmax(-1) == soft.argmax(-1)).all()
        torch.testing.assert_close(soft, coupled)


def test_the_conditional_relaxation_is_the_relaxation_itself():
    logits = [row.expand(500, -1) for row in LOGITS]
    noise = uniforms(ARITY, 500, seeded(4))
    for row, u in zip(logits, noise, strict=True):
        log_q = F.log_softmax(row, -1)
        perturbed = log_q + estimators.gumbel(u)
        one_hot = F.one_hot(perturbed.argmax(-1), u.shape[-1]).float()
        given = estimators._conditional(log_q, u, one_hot)
        relaxed = F.softmax(perturbed / TEMPERATURE, -1)
        torch.testing.assert_close(
            F.softmax(given / TEMPERATURE, -1), relaxed, atol=1e-5, rtol=1e-4
        )


def test_draws_follow_the_probabilities():
    drawn = draw(LOGITS, uniforms(ARITY, DRAWS, seeded(5)), TEMPERATURE)
    for row, hard in zip(LOGITS, drawn.hard, strict=True):
        p = F.softmax(row, -1)
        error = (hard.mean(0) - p) / (p * (1 - p) / DRAWS).sqrt()
        assert error.abs().max() < Z, (hard.mean(0), p)


def test_straight_through_rows_are_one_hot_with_the_gradient_of_the_relaxation():
    leaves = [row.clone().requires_grad_() for row in LOGITS]
    noise = uniforms(ARITY, 1, seeded(6))
    rows = straight_through(leaves, noise, TEMPERATURE)
    drawn = draw(leaves, noise, TEMPERATURE)
    for leaf, row, soft, hard in zip(leaves, rows, drawn.soft, drawn.hard, strict=True):
        assert row.tolist() == hard.tolist()
        weights = torch.arange(row.shape[1], dtype=torch.float32)
        ours = torch.autograd.grad((row * weights).sum(), leaf)
        theirs = torch.autograd.grad((soft * weights).sum(), leaf)
        torch.testing.assert_close(ours, theirs)


def test_dirichlet_pathwise_gradient_is_that_of_the_score_function():
    """Of E[f(x)], x ~ Dirichlet: pathwise against f times the gradient of the log-density."""
    alpha, weights = torch.tensor([1.4, 0.8, 2.1]), torch.tensor([1.0, -2.0, 0.5])
    leaf = alpha.expand(DRAWS, -1).clone().requires_grad_()
    x = dirichlet(leaf, seeded(7))
    losses = (x @ weights + x[:, 0] * x[:, 2]) ** 2
    pathwise = torch.autograd.grad(losses.sum(), leaf)[0]
    density = torch.distributions.Dirichlet(leaf).log_prob(x.detach())
    centred = losses.detach() - losses.detach().mean()
    score = torch.autograd.grad((density * centred).sum(), leaf)[0]
    gap = pathwise.mean(0) - score.mean(0)
    error = ((pathwise.var(0) + score.var(0)) / DRAWS).sqrt()
    assert (gap / error).abs().max() < Z, (pathwise.mean(0), score.mean(0), error)
    assert pathwise.var(0).sum() < score.var(0).sum()


def test_dirichlet_samples_have_the_right_mean():
    alpha = torch.tensor([0.05, 1.0, 3.0])
    x = dirichlet(alpha.expand(DRAWS, -1), seeded(8))
    torch.testing.assert_close(x.sum(-1), torch.ones(DRAWS))
    assert ((x.mean(0) - alpha / alpha.sum()) / (x.std(0) / DRAWS**0.5)).abs().max() < Z


def test_noise_comes_from_the_generator_alone():
    before = torch.get_rng_state()
    uniforms(ARITY, 3, seeded(9))
    dirichlet(torch.ones(3), seeded(9))
    assert torch.equal(before, torch.get_rng_state())
    one, two = (torch.cat(uniforms(ARITY, 3, seeded(9)), 1) for _ in range(2))
    assert torch.equal(one, two)
