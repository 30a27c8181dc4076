import numpy as np
import pytest
import torch
from composed import make, nb201_experiment, trace
from toys import Rewarding, ToySpace, toy_problem

from nasrun.algorithms.catch import CATCH, Context
from nasrun.algorithms.catch_agent import CATCHer
from nasrun.algorithms.memory import Normalisation
from nasrun.budget import Budget
from nasrun.errors import ConfigError, DataError
from nasrun.spaces.nats_size import NATSSize
from nasrun.spec import Phase
from nasrun.streams import Streams

SMALL = {"encoder_widths": [16], "controller_widths": [16], "evaluator_widths": [16]}


def played(reward, *, steps=15, trials=3, space=None, phase=Phase.SEARCH, algorithm=None, **fields):
    algorithm = algorithm or CATCH(**{**SMALL, **fields})
    algorithm.start(toy_problem(reward, trials, space), Streams(range(trials)), phase)
    archs = [algorithm.step().archs for _ in range(steps)]
    return algorithm, np.array(archs)


def finite(algorithm):
    return all(np.isfinite(array).all() for array in algorithm.learnt().values())


REWARDS = {
    "constant": lambda archs: np.full(len(archs), 5.0),
    "huge": lambda archs: 1e30 * archs.sum(axis=1),
    "all failed": lambda archs: np.full(len(archs), np.nan),
    "some failed": lambda archs: np.where(archs[:, 0] == 0, np.nan, archs.sum(axis=1)),
    "all but one alike": lambda archs: 1.0 * (archs.sum(axis=1) == 0),
}


@pytest.mark.parametrize("context", Context)
@pytest.mark.parametrize("how", Normalisation)
@pytest.mark.parametrize("reward", REWARDS.values(), ids=REWARDS)
def test_weights_stay_finite(reward, how, context):
    algorithm, _ = played(reward, normalisation=how, context=context, initial=1)
    assert finite(algorithm)


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_an_infinite_reward_is_refused_with_the_architecture(bad):
    with pytest.raises(DataError, match=r"the reward of \d{3} is -?inf: rewards must be finite"):
        played(lambda archs: np.where(archs[:, 0] == 1, bad, 1.0))


@pytest.mark.parametrize("arity", [(1,), (1, 1), (2,)], ids=str)
def test_a_tiny_space_is_searched_without_harm(arity):
    algorithm, archs = played(lambda a: a.sum(axis=1), space=ToySpace(arity))
    assert finite(algorithm)
    assert (archs < np.array(arity)).all()


def test_a_collapsed_policy_does_not_repeat_itself():
    space = ToySpace((4, 4, 4, 4))
    algorithm, _ = played(lambda a: a.sum(axis=1), steps=3, space=space, smoothing=0.02)
    controller = algorithm._catchers[0].controller
    with torch.no_grad():
        bias = controller._net.parameters[-1]
        bias.zero_()
        bias[:, :, [0, 4, 8, 12]] = 60.0  # one option of each decision
    for _ in range(27):
        algorithm.step()
    first = np.zeros((3, 1, 4), int)  # the smoothed policy's own chance, to the last
    _, log_chance = controller.sample_networks(torch.zeros(3, 10), first, np.ones(1, bool), first)
    np.testing.assert_allclose(np.exp(log_chance), 1 - 0.02 * 3 / 4, rtol=1e-6)
    assert finite(algorithm)
    different = [len(set(row)) for row in space.index(algorithm._history.archs).tolist()]
    assert min(different) >= 28, different


def test_exploration_decays_to_its_floor_from_the_first_proposal_on():
    fields = {"initial": 3, "epsilon": 0.8, "epsilon_decay": 0.5, "epsilon_floor": 0.15}
    algorithm, _ = played(lambda a: a.sum(axis=1), steps=3, **fields)
    found = [algorithm._epsilon]
    for _ in range(4):
        algorithm.step()
        found.append(algorithm._epsilon)
    assert found == pytest.approx([0.8, 0.4, 0.2, 0.15, 0.15])


def test_the_networks_learn_from_the_last_initial_measurement_on(monkeypatch):
    lessons = []

    def optimise(catcher, pairs, actions, noise):
        counted = None if actions is None else actions.taken.shape[1] // 3
        lessons.append((pairs.networks.shape[1], counted, len(noise)))
        learn(catcher, pairs, actions, noise)

    learn = CATCHer.optimise
    monkeypatch.setattr(CATCHer, "optimise", optimise)
    played(lambda a: a.sum(axis=1), steps=7, initial=4, updates=2, window=2)
    assert lessons == [(4, None, 2), (5, 1, 2), (6, 2, 2), (7, 2, 2)]


def test_a_search_epoch_has_mutants_and_strangers_among_its_candidates():
    space = ToySpace((8, 8, 8, 8))
    fields = {"candidates": 4, "mutants": 200, "strangers": 200}
    algorithm, _ = played(lambda a: a.sum(axis=1), steps=6, space=space, **fields)
    blank, given = algorithm._blank()
    algorithm._give(blank)
    uniforms = algorithm.streams.uniform(404 * 4).reshape(blank.shape)
    noise = np.zeros((3, 10))
    archs, log_chance, score = algorithm._catchers[0].propose(blank, given, noise, uniforms)
    assert archs.shape == (3, 404, 4)
    assert score.shape == (3, 404)
    mutants, strangers = archs[:, 4:204], archs[:, 204:]
    best = algorithm.recommend()[:, None]
    assert ((mutants != best).sum(axis=2) == 1).all()
    assert ((strangers[:, :1] != best).sum(axis=2) > 1).any()  # not a mutant too many
    options = np.array([[np.bincount(row, minlength=8) for row in rows.T] for rows in strangers])
    assert options.min() > 5, options  # 25 expected, 4.7 standard deviations away
    alone = {tuple(arch): chance for arch, chance in zip(archs[0], log_chance[0], strict=True)}
    for arch, chance in zip(archs[0], log_chance[0], strict=True):
        np.testing.assert_allclose(chance, alone[tuple(arch)], rtol=1e-5)  # the policy's own
    assert np.isfinite(log_chance).all()


def test_every_architecture_of_a_small_space_is_found():
    algorithm, _ = played(lambda archs: archs.sum(axis=1), steps=60, candidates=50)
    numbers = algorithm.problem.space.index(algorithm._history.archs)
    assert all(len(set(row)) == 24 for row in numbers.tolist())


def test_the_policy_learns_what_was_measured_with_its_own_probability(monkeypatch):
    """As under ``meta=recorded``: trial 0 is answered with another architecture, trial 1 is not."""
    space, other, lessons = ToySpace((3, 3, 3)), np.array([2, 2, 2]), []
    algorithm = CATCH(**SMALL)

    class Answering(Rewarding):
        def evaluate(self, archs, *, epochs, streams, parents=None):
            archs = archs.copy()
            archs[0] = other
            return super().evaluate(archs, epochs=epochs, streams=streams)

    def optimise(catcher, pairs, actions, noise):
        if actions is not None:  # the networks are still those that proposed
            z = catcher.encoder.draw(catcher._pairs, algorithm._noise)[0].detach()
            archs = np.stack([other, algorithm._asked.archs[1]])[:, None]
            given = np.ones(1, bool), np.zeros((2, 1, 3))
            _, own = catcher.controller.sample_networks(z, archs.copy(), *given)
            lessons.append((archs[:, 0], own[:, 0], actions))
        learn(catcher, pairs, actions, noise)

    learn = CATCHer.optimise
    monkeypatch.setattr(CATCHer, "optimise", optimise)
    made = toy_problem(Answering(lambda archs: archs[:, 0]), 2, space)
    algorithm.start(made, Streams(range(2)), Phase.SEARCH)
    for _ in range(9):
        algorithm.step()
    assert len(lessons) == 6
    for archs, log_chance, actions in lessons:
        assert (actions.column[:, -3:, 0].numpy() == archs + np.array([0, 3, 6])).all()
        np.testing.assert_allclose(actions.log_chance[:, -3:], log_chance, rtol=1e-5)
        assert (actions.weight > 0).all()
    np.testing.assert_array_equal(algorithm._history.archs[0], np.tile(other, (9, 1)))


def test_a_failed_measurement_is_no_lesson_of_the_policy(monkeypatch):
    lessons, learn = [], CATCHer.optimise

    def optimise(catcher, pairs, actions, noise):
        lessons.append(actions)
        learn(catcher, pairs, actions, noise)

    monkeypatch.setattr(CATCHer, "optimise", optimise)
    algorithm, _ = played(REWARDS["some failed"], steps=11, space=ToySpace((3, 3, 3)))
    failed = np.isnan(algorithm._history.rewards[:, -8:])
    assert failed.any()
    taught = lessons[-1].weight.numpy().reshape(3, 8, 3) > 0
    np.testing.assert_array_equal(taught, np.repeat(~failed[:, :, None], 3, axis=2))


def test_a_context_without_encoder_has_no_encoder_weights():
    for context in (Context.zero, Context.prior):
        algorithm, _ = played(lambda archs: archs.sum(axis=1), context=context)
        named = {key.split(".")[0] for key in algorithm.learnt()}
        assert named == {"arity", "controller", "evaluator"}


def meta_trained(agents=3):
    algorithm, _ = played(lambda a: a.sum(axis=1), trials=agents, phase=Phase.META_TRAIN, steps=8)
    algorithm.start(
        toy_problem(lambda a: -a.sum(axis=1), agents), Streams(range(agents)), Phase.META_TRAIN
    )
    for _ in range(8):
        algorithm.step()
    return algorithm.learnt()


def test_meta_training_keeps_the_networks_and_forgets_the_history():
    algorithm, _ = played(lambda a: a.sum(axis=1), trials=2, phase=Phase.META_TRAIN, steps=8)
    learnt = algorithm.learnt()
    algorithm.start(toy_problem(lambda a: a[:, 0], 2), Streams(range(2)), Phase.META_TRAIN)
    for key, array in algorithm.learnt().items():
        assert np.array_equal(array, learnt[key])
    assert len(algorithm._history) == 0
    assert algorithm._epsilon == algorithm.epsilon


def test_trial_s_adapts_agent_s_mod_agents():
    learnt = meta_trained(agents=3)
    algorithm = CATCH(**SMALL)
    algorithm.load_learnt(learnt)
    algorithm.start(toy_problem(lambda a: a[:, 0], 4), Streams([7, 3, 8, 9]), Phase.SEARCH)
    assert algorithm._epsilon == algorithm.epsilon_adapted
    for key, array in algorithm.learnt().items():
        assert np.array_equal(array, learnt[key][[1, 0, 2, 0]])


@pytest.mark.parametrize("seeds", [[4], [5, 6], [9, 4, 7]], ids=str)
def test_an_adapted_trial_is_the_same_in_any_cohort(seeds):
    learnt = meta_trained()

    def adapted(seeds):
        algorithm = CATCH(**SMALL)
        algorithm.load_learnt(learnt)
        goal = lambda archs: (archs * [3, 1, -1]).sum(axis=1)  # noqa: E731
        algorithm.start(toy_problem(goal, len(seeds)), Streams(seeds), Phase.SEARCH)
        return np.array([algorithm.step().archs for _ in range(20)])

    everything = adapted(list(range(4, 10)))
    assert np.array_equal(adapted(seeds), everything[:, [seed - 4 for seed in seeds]])


def test_agents_of_another_space_are_refused():
    for fields, arity in ((SMALL, (2, 3, 5)), (SMALL, (9, 9, 9)), ({}, (2, 3, 4))):
        algorithm = CATCH(**fields)
        algorithm.load_learnt(meta_trained())
        with pytest.raises(DataError, match="another space or to other widths"):
            played(lambda a: a.sum(axis=1), algorithm=algorithm, space=ToySpace(arity))


def test_it_searches_the_size_space():
    space = NATSSize()
    algorithm, archs = played(lambda a: a.sum(axis=1), space=space, steps=60, trials=10)
    assert finite(algorithm)
    late, early = archs[-10:].sum(axis=2).mean(), archs[:10].sum(axis=2).mean()
    assert late > early + 2, (late, early)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"latent": 0}, "latent"),
        ({"candidates": 0}, "candidates"),
        ({"encoder_widths": [64, 0]}, "widths"),
        ({"clip": 0.0}, "clip"),
        ({"encoder_rate": -1.0}, "encoder_rate"),
        ({"smoothing": 1.5}, "smoothing"),
        ({"entropy": -0.1}, "entropy"),
        ({"mutants": -1}, "mutants"),
        ({"strangers": -1}, "strangers"),
    ],
)
def test_fields_out_of_range_are_refused(fields, named):
    with pytest.raises(ConfigError, match=named):
        CATCH(**fields)


@pytest.mark.slow
def test_from_scratch_it_is_not_below_reinforce(cache_dir):
    """One-sided Welch test of the found validation accuracy at 5%, 60 trials each."""
    from scipy.stats import ttest_ind

    experiment = nb201_experiment("cifar100", cache_dir)
    found = {
        name: trace(
            experiment, algorithm=make(name), seeds=range(60), budget=Budget(evaluations=50)
        ).outcome.reward
        for name in ("catch_sfs", "reinforce")
    }
    p = ttest_ind(
        found["catch_sfs"], found["reinforce"], equal_var=False, alternative="less"
    ).pvalue
    means = {name: reward.mean() for name, reward in found.items()}
    assert p > 0.05, (p, means)
