"""Where tasks truly differ, CATCH's encoder has to tell them apart and to find more for it."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from toys import ToySpace, toy_problem

from nasrun.algorithms.catch import CATCH, Context
from nasrun.algorithms.catch_networks import Pairs
from nasrun.algorithms.memory import normalised
from nasrun.draws import OneHot
from nasrun.spec import Phase
from nasrun.streams import Streams

SPACE = ToySpace((4, 4, 4))
ONE_HOT = OneHot(SPACE)
AGENTS, META_EPOCHS, NETWORKS = 10, 150, 10
TARGETS, EVALUATIONS = 8, 6
HISTORY = 8  # measured pairs that the encoder reads to tell the family
HISTORIES = 20  # per family
OWN = 0.3  # spread of what is a task's own, where its family's is 1
LEVEL = 0.01
SETTING = {
    "encoder_widths": [32],
    "controller_widths": [32],
    "evaluator_widths": [32],
    # Only one task is learnt at a time: where the evaluator follows it faster than the encoder
    # learns to tell it, nothing is left for z to explain.
    "encoder_rate": 1e-3,
    "evaluator_rate": 5e-4,
}


def rewards(family, number):
    """``(size,)`` of a task: its family's preferences or their opposite, and some of its own."""
    shared = np.random.default_rng(7).normal(size=ONE_HOT.width)
    own = np.random.default_rng([11, number]).normal(size=ONE_HOT.width)
    sign = 1.0 if family == 0 else -1.0
    value = ONE_HOT(SPACE.at(np.arange(SPACE.size))) @ (sign * shared + OWN * own)
    return (value - value.mean()) / value.std()


def problem(reward):
    return toy_problem(lambda archs: reward[SPACE.index(archs)], AGENTS, SPACE)


@dataclass(frozen=True)
class Trained:
    """A way to make the context: what came out of it, agent by agent."""

    algorithm: CATCH
    regret: np.ndarray  # mean over the targets, in standard deviations of a task's rewards


def trained(context):
    """Meta-train on tasks of two families in random order, then search new tasks of both."""
    algorithm = CATCH(context=context, **SETTING)
    families = np.random.default_rng(3).integers(2, size=META_EPOCHS)
    for epoch, family in enumerate(families):
        streams = Streams(range(AGENTS), f"meta/{epoch}")
        algorithm.start(problem(rewards(family, epoch)), streams, Phase.META_TRAIN)
        for _ in range(NETWORKS):
            algorithm.step()
    regret = [searched(algorithm.learnt(), context, target) for target in range(TARGETS)]
    return Trained(algorithm, np.mean(regret, axis=0))


def searched(learnt, context, target):
    """``(AGENTS,)`` how much better the best architecture is than the best one measured."""
    algorithm = CATCH(context=context, **SETTING)
    algorithm.load_learnt(learnt)
    reward = rewards(target % 2, META_EPOCHS + target)
    algorithm.start(problem(reward), Streams(range(AGENTS), f"target/{target}"), Phase.SEARCH)
    found = [algorithm.step().reward for _ in range(EVALUATIONS)]
    return reward.max() - np.max(found, axis=0)


@pytest.fixture(scope="module")
def by_context():
    return {context: trained(context) for context in Context}


def posterior_means(algorithm, family):
    """``(HISTORIES, AGENTS, latent)`` of histories of random architectures on new tasks."""
    means = []
    for history in range(HISTORIES):
        streams = Streams(range(AGENTS), f"probe/{family}/{history}")
        archs = SPACE.at(streams.integers(SPACE.size, HISTORY))
        reward = rewards(family, META_EPOCHS + TARGETS + history)[SPACE.index(archs)]
        score = normalised(reward, algorithm.normalisation)
        pairs = Pairs(ONE_HOT, algorithm.latent, archs, score, np.ones(score.shape, bool))
        with torch.no_grad():
            z, _ = algorithm._catchers[0].encoder.draw(pairs, np.zeros((AGENTS, algorithm.latent)))
        means.append(z.numpy())
    return np.array(means)


@pytest.mark.slow
@pytest.mark.parametrize("other", [Context.zero, Context.prior])
def test_the_encoder_finds_more_where_tasks_differ(other, by_context):
    """One-sided Wilcoxon test of the regrets, paired by agent (10 of them), at 1%."""
    from scipy.stats import wilcoxon

    regret = {context.name: trained.regret for context, trained in by_context.items()}
    gain = regret[other.name] - regret["encoder"]
    p = wilcoxon(gain, alternative="greater").pvalue
    assert p < LEVEL, (p, {name: (r.mean(), r.round(2).tolist()) for name, r in regret.items()})


@pytest.mark.slow
def test_the_context_tells_the_families_apart(by_context):
    """A new history is nearer to the mean context of its own family, in 9 of 10 cases."""
    algorithm = by_context[Context.encoder].algorithm
    means = np.stack([posterior_means(algorithm, family) for family in (0, 1)])
    centre, held_out = means[:, ::2].mean(axis=1), means[:, 1::2]
    distance = np.square(held_out[:, None] - centre[None, :, None]).sum(axis=-1)
    right = distance.argmin(axis=1) == np.arange(2)[:, None, None]
    share = right.mean(axis=(0, 1))  # of each agent
    assert share.mean() > 0.9, share
