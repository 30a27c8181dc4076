"""CATCH's meta-training off the policy: what is measured again, and every loss by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import TASK, ToySpace, toy_problem

from nasrun.algorithms import catch_rehearsal
from nasrun.algorithms.catch import CATCH, Context, EncoderInputs
from nasrun.algorithms.catch_networks import Actions, Pairs
from nasrun.algorithms.catch_rehearsal import NEARNESS, Rehearsal, contrast_loss
from nasrun.algorithms.memory import History, Normalisation, normalised
from nasrun.draws import OneHot
from nasrun.errors import ConfigError
from nasrun.spec import Measured, Phase
from nasrun.streams import Streams

SPACE = ToySpace((4, 3, 4, 2))
TASKS = {
    "up": lambda archs: SPACE.index(archs).astype(float),
    "down": lambda archs: -SPACE.index(archs).astype(float),
    "late": lambda archs: SPACE.index(archs[:, ::-1] % SPACE.arity).astype(float),
}
SMALL = {
    "encoder_widths": [8],
    "controller_widths": [8],
    "evaluator_widths": [8],
    "candidates": 3,
    "mutants": 1,
    "strangers": 1,
}
WAYS = {
    "rehearsals": 2,
    "revisits": 0.6,
    "contrast": 0.3,
    "imitation": 0.1,
    "encoder_inputs": EncoderInputs.products,
}
NETWORKS = 10


def problem(task, trials):
    return replace(toy_problem(TASKS[task], trials, SPACE), task=replace(TASK, name=task))


def meta_trained(seeds, epochs=4, **fields):
    """The algorithm, and ``(epochs, NETWORKS, T)`` numbers of what it measured."""
    algorithm, measured = CATCH(**{**SMALL, **WAYS, **fields}), []
    for epoch in range(epochs):
        task = list(TASKS)[epoch % len(TASKS)]
        streams = Streams(seeds, f"meta/{epoch}")
        algorithm.start(problem(task, len(seeds)), streams, Phase.META_TRAIN)
        measured.append([SPACE.index(algorithm.step().archs) for _ in range(NETWORKS)])
    algorithm.end_meta_training()
    return algorithm, np.array(measured)


def test_what_was_measured_on_another_task_is_measured_again_oldest_first():
    _, numbers = meta_trained(range(3))
    for trial in range(3):
        first, second = numbers[0, :, trial], numbers[1, :, trial]
        again = [step for step in range(NETWORKS) if int((step + 1) * 0.6) > int(step * 0.6)]
        assert len(again) == 6
        assert second[again].tolist() == list(dict.fromkeys(first))[:6]


def test_without_revisits_and_rehearsals_a_meta_epoch_is_as_ever():
    plain = {"rehearsals": 0, "revisits": 0.0, "contrast": 0.0, "imitation": 0.0}
    before, numbers = meta_trained(range(2), encoder_inputs=EncoderInputs.plain, **plain)
    assert not before._rehearsal.histories
    weighed, others = meta_trained(
        range(2), encoder_inputs=EncoderInputs.plain, rehearsals=0, revisits=0.0
    )
    assert numbers.tolist() == others.tolist()  # both weights are of rehearsals alone
    for name, array in before.learnt().items():
        np.testing.assert_array_equal(array, weighed.learnt()[name])


def test_nothing_is_learnt_within_a_meta_epoch_that_is_rehearsed():
    algorithm = CATCH(**SMALL, **WAYS)
    algorithm.start(problem("up", 2), Streams(range(2), "meta/0"), Phase.META_TRAIN)
    before = algorithm.learnt()
    for _ in range(NETWORKS):
        algorithm.step()
    assert all((before[name] == array).all() for name, array in algorithm.learnt().items())
    algorithm.end_meta_training()
    changed = {
        name.split(".")[0] for name, a in algorithm.learnt().items() if (a != before[name]).any()
    }
    assert changed == {"encoder", "controller", "evaluator"}


@pytest.mark.parametrize("context", Context)
def test_an_agent_learns_the_same_alone_and_beside_others(context):
    together = meta_trained(range(5), context=context)[0].learnt()
    for agent in (0, 3):
        alone = meta_trained(range(agent, agent + 1), context=context)[0].learnt()
        for name, array in alone.items():
            np.testing.assert_array_equal(array[0], together[name][agent], err_msg=name)


def test_contexts_are_encoded_one_by_one():
    """Two contexts of three pairs at once give what each gives alone; unused pairs are NaN."""
    algorithm, _ = meta_trained(range(2), epochs=1)
    streams = Streams(range(2), "contexts")
    archs = SPACE.at(streams.integers(SPACE.size, 6)).reshape(2, 2, 3, 4)
    rewards = streams.normal(6).reshape(2, 2, 3)
    rewards[0, 1, 2] = np.nan
    encoder = algorithm._catchers[0].encoder
    noise = streams.normal(2 * algorithm.latent).reshape(2, 2, -1)
    z, kl, _ = encoder.draw_each(algorithm.read(archs, rewards), noise)
    for context in range(2):
        pairs = algorithm.read(archs[:, context], rewards[:, context])
        alone, own_kl = encoder.draw(pairs, noise[:, context])
        torch.testing.assert_close(z[:, context], alone)
        torch.testing.assert_close(kl[:, context], own_kl)


def test_products_are_of_rank_and_z_score_with_the_columns():
    algorithm, _ = meta_trained(range(2), epochs=1)
    archs = SPACE.at(np.array([[0, 9, 40], [3, 50, 60]]))
    rewards = np.array([[1.0, 5.0, 2.0], [7.0, np.nan, -1.0]])
    found = algorithm.read(archs, rewards).with_reward.numpy()
    columns = OneHot(SPACE)(archs)
    rank = normalised(rewards, Normalisation.rank)[..., None]
    score = normalised(rewards, Normalisation.zscore)[..., None]
    expected = np.concatenate([columns, rank, columns * rank, score, columns * score], axis=2)
    np.testing.assert_allclose(found[..., : expected.shape[2]], expected, rtol=1e-6)
    assert (found[..., expected.shape[2] :] == 0).all()


def test_the_contrast_is_the_cross_entropy_of_the_nearest_context():
    mean = torch.tensor([[[0.0, 0.0], [0.3, 0.0], [1.0, 0.0], [0.0, 1.0]]], requires_grad=True)
    first, second = mean[0, 0::2].detach().numpy(), mean[0, 1::2].detach().numpy()
    likeness = np.exp(-((first[:, None] - second[None]) ** 2).sum(-1) / NEARNESS)
    forward = np.diag(likeness / likeness.sum(axis=1, keepdims=True))
    backward = np.diag(likeness / likeness.sum(axis=0, keepdims=True))
    expected = -np.log([*forward, *backward]).mean()
    loss = contrast_loss(mean)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    slope = torch.autograd.grad(loss.sum(), mean)[0]
    assert slope[0, 2, 0] > 0  # down the gradient the second task's contexts move together
    assert slope[0, 3, 1] > 0


def test_imitation_is_the_mean_negative_log_probability():
    """A policy without smoothing gives the decisions just these log-probabilities."""
    catcher = CATCH(**{**SMALL, "smoothing": 0.0}).catcher(SPACE, Streams(range(2)), slice(0, 2))
    archs = SPACE.at(np.array([[1, 20, 70], [5, 6, 7]]))
    z = torch.from_numpy(Streams(range(2), "z").normal(10)).float()
    sampled = catcher.controller.sample_networks(
        z, archs.copy(), np.ones(3, bool), np.zeros(archs.shape)
    )[1]
    nothing = np.zeros(archs.shape)
    actions = Actions(
        OneHot(SPACE), 10, archs, nothing[..., 0], nothing, np.array([[True, True, False]] * 2)
    )
    loss = catcher.controller.imitation_loss(actions, z[:, None].expand(-1, 12, -1))
    np.testing.assert_allclose(loss.detach(), -sampled[:, :2].mean(axis=(1, 2)), rtol=1e-5)


def test_a_task_of_failures_alone_teaches_nothing_wrong():
    algorithm = CATCH(**SMALL, **WAYS)
    failing = replace(
        toy_problem(lambda archs: np.full(len(archs), np.nan), 2, SPACE),
        task=replace(TASK, name="fails"),
    )
    for epoch, given in enumerate((failing, problem("up", 2))):
        algorithm.start(given, Streams(range(2), f"meta/{epoch}"), Phase.META_TRAIN)
        for _ in range(NETWORKS):
            algorithm.step()
    algorithm.end_meta_training()
    assert all(np.isfinite(array).all() for array in algorithm.learnt().values())


def test_unmeasured_is_what_other_tasks_have():
    memory = Rehearsal(0.0, 0.0, 0.1, Normalisation.rank)
    for task, numbers in (("up", [3, 4]), ("up", [5, 4]), ("down", [5, 6])):
        archs = SPACE.at(np.array(numbers))
        ones = np.ones(2)
        memory.add(task, replace(Measured.scored(archs, ones.astype(int), ones, ones), reward=ones))
    as_numbers = [
        [int(SPACE.index(np.array([arch]))[0]) for arch in own] for own in memory.unmeasured("down")
    ]
    assert as_numbers == [[3], [4]]
    assert memory.unmeasured("new")[0] == [tuple(SPACE.at(np.array([n]))[0]) for n in (3, 5)]


@pytest.mark.parametrize("field", ["rehearsals", "contrast", "imitation"])
def test_negative_settings_are_refused(field):
    with pytest.raises(ConfigError, match=f"algorithm.{field}"):
        CATCH(**{field: -1})


def test_the_evaluator_predicts_each_pair_by_its_own_context():
    catcher = CATCH(**SMALL).catcher(SPACE, Streams(range(2)), slice(0, 2))
    archs = SPACE.at(np.array([[1, 20, 70], [5, 6, 7]]))
    z = torch.from_numpy(Streams(range(2), "z").normal(30)).float().view(2, 3, 10)
    pairs = Pairs(OneHot(SPACE), 10, archs, np.zeros((2, 3)), np.ones((2, 3), bool))
    _, error = catcher.evaluator.loss(pairs, torch.ones(2, 3), z)
    for pair in range(3):
        alone = catcher.evaluator.predict(archs, z[:, pair])[:, pair]
        np.testing.assert_allclose(error[:, pair], alone, rtol=1e-5)


TRIALS, WEIGHTS = 2, {"contrast": 0.3, "imitation": 0.7, "beta": 0.4}
LONG, SHORT = (30, 20, 17), (20, 9, 6)  # histories: more than a view takes, and fewer


def rehearsal(lengths=LONG, **weights):
    """Histories of random architectures, many of which failed."""
    made = Rehearsal(**{**WEIGHTS, **weights}, normalisation=Normalisation.zscore)
    for task, length in zip(TASKS, lengths, strict=True):
        streams = Streams(range(TRIALS), task)
        history = made.histories[task] = History(TRIALS, 4)
        history.archs = SPACE.at(streams.integers(SPACE.size, length))
        rewards = streams.normal(length)
        history.rewards = np.where(streams.uniform(length) < 0.5, np.nan, rewards)
    return made


def agents(context=Context.encoder):
    """The algorithm as a reader of contexts, and networks whose policy is not smoothed."""
    algorithm = CATCH(**{**SMALL, "smoothing": 0.0}, context=context)
    algorithm.start(problem("up", TRIALS), Streams(range(TRIALS)), Phase.META_TRAIN)
    [catcher] = algorithm._catchers
    with torch.no_grad():  # a new policy is almost uniform, whatever the context
        catcher._nets["controller"].parameters[-2].mul_(100.0)
    return algorithm, catcher


def loss_of(own, algorithm, catcher):
    """``(T,)`` of the first step, which is not taken."""
    losses, catcher.descend = [], lambda loss: losses.append(loss)
    own.steps(1, catcher, algorithm.read, OneHot(SPACE), Streams(range(TRIALS), "rehearsal"))
    return losses[0]


def view_by_hand(history, scores, shortest, streams):
    """Places in a history, trial by trial: 4 to 16 shown, 8 asked, 4 imitated, or all there are.

    What is imitated is drawn without replacement with weights exp(2 score), by Gumbel numbers.
    All views are cut to what the ``shortest`` history has.
    """
    length = len(history)
    order = np.argsort(streams.uniform(length), axis=1)
    most = min(16, length)
    size = 4 + streams.integers(most - 4 + 1)[:, 0]
    found, gumbel = [], streams.gumbel(length)
    for trial in range(TRIALS):
        asked = order[trial, max(length - 8, 0) :][:shortest]
        known = np.flatnonzero(~np.isnan(history.rewards[trial]))
        worth = 2.0 * scores[trial] + gumbel[trial]
        good = sorted(known, key=lambda place, worth=worth: -worth[place])[:4]
        found.append((order[trial, : size[trial]][:shortest], asked, good))
    return found


@pytest.mark.parametrize("lengths", [LONG, SHORT], ids=["long", "short"])
def test_the_loss_of_a_rehearsal_is_the_sum_of_its_four_terms_by_hand(lengths):
    """The evaluator's scores are z-scores here, and those that the encoder reads are ranks."""
    algorithm, catcher = agents()
    made = rehearsal(lengths)
    loss = loss_of(made, algorithm, catcher).detach()
    streams, views = Streams(range(TRIALS), "rehearsal"), []
    for history in made.histories.values():
        scores = normalised(history.rewards, Normalisation.zscore)
        for _ in range(2):
            parts = view_by_hand(history, scores, min(lengths), streams)
            views.append((history, scores, parts))
    noise = streams.normal(6 * 10).reshape(TRIALS, 6, 10)
    failed, fewest = 0, 4
    huber, kl, log_chance = [[], []], [[], []], [[], []]
    means = torch.zeros(TRIALS, 6, 10)
    for number, (history, scores, parts) in enumerate(views):
        for trial, (shown, asked, good) in enumerate(parts):
            both = [trial, trial]  # the networks are those of two trials
            pairs = algorithm.read(history.archs[both][:, shown], history.rewards[both][:, shown])
            means[trial, number] = catcher.encoder.posterior(pairs)[0][trial].detach()
            z, divergence = catcher.encoder.draw(pairs, noise[both, number])
            kl[trial].append(divergence[trial].item())
            for place in asked:
                if np.isnan(history.rewards[trial, place]):
                    failed += 1
                    continue
                predicted = catcher.evaluator.predict(history.archs[both][:, [place]], z)[trial, 0]
                error = abs(predicted - scores[trial, place])
                huber[trial].append(0.5 * error**2 if error <= 1 else error - 0.5)
            archs, given = history.archs[both][:, good], np.ones(len(good), bool)
            policy = catcher.controller.sample_networks(z, archs, given, np.zeros(archs.shape))
            log_chance[trial] += policy[1][trial].flatten().tolist()
            fewest = min(fewest, len(good))
    assert failed > 3
    assert (fewest < 4) == (lengths == SHORT)
    contrast = contrast_loss(means)
    for trial in range(TRIALS):
        terms = np.mean(huber[trial]), np.mean(kl[trial]), -np.mean(log_chance[trial])
        wanted = terms[0] + 0.4 * terms[1] + 0.7 * terms[2] + 0.3 * contrast[trial].item()
        assert loss[trial].item() == pytest.approx(wanted, rel=1e-4)


def test_contexts_without_an_encoder_are_not_told_apart():
    loss, wanted = (
        loss_of(rehearsal(**weights), *agents(Context.prior)) for weights in ({}, {"contrast": 0.0})
    )
    assert torch.equal(loss, wanted)


def in_double_precision(maker):
    """Make pairs or actions with which derivatives by finite differences are exact enough."""

    def made(*args):
        found = maker(*args)
        for key, value in vars(found).items():
            if isinstance(value, torch.Tensor) and value.dtype is torch.float32:
                setattr(found, key, value.double())
        return found

    return made


@pytest.mark.parametrize("name", ["encoder", "controller", "evaluator"])
def test_the_gradient_of_a_rehearsal_is_that_of_its_loss(name, monkeypatch):
    """A part of the loss that is cut off from its weights shows in a finite difference."""
    algorithm, catcher = agents()
    for net in catcher._nets.values():
        net.hold(net.flat.double())
    algorithm.read = in_double_precision(algorithm.read)
    for maker in (Pairs, Actions):
        monkeypatch.setattr(catch_rehearsal, maker.__name__, in_double_precision(maker))
    made, flat = rehearsal(), catcher._nets[name].flat
    loss_of(made, algorithm, catcher).sum().backward()
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        way = torch.randn(flat.shape, generator=generator).double()
        slope, ends = (flat.grad * way).sum().item(), []
        for step in (1e-6, -2e-6):
            with torch.no_grad():
                flat += step * way
            ends.append(loss_of(made, algorithm, catcher).sum().item())
        with torch.no_grad():
            flat += 1e-6 * way
        assert slope == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4)
