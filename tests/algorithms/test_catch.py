import numpy as np
import pytest
import torch
from composed import make, nb201_experiment, trace
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import TASK, ToySpace, unknown_latency

from nasrun.algorithms.catch import CATCH, Normalisation, normalised
from nasrun.algorithms.context_networks import Context, Lesson, Networks, Settings
from nasrun.algorithms.slots import Slots
from nasrun.budget import Budget
from nasrun.errors import ConfigError, DataError
from nasrun.hardware.none import NoHardware
from nasrun.spaces.nats_size import NATSSize
from nasrun.spec import Measured, Phase, Problem
from nasrun.streams import Streams

SMALL = {"encoder_widths": [16], "controller_widths": [16], "evaluator_widths": [16]}


def problem(reward, trials, space=None):
    """A task whose reward is a function of the architectures."""

    def measure(archs, epochs):
        value = np.asarray(reward(archs), float)
        return Measured(
            archs, epochs, value, np.ones(len(archs)), np.full(len(archs), np.nan), value
        )

    rewarded = NoHardware().reward
    return Problem(space or ToySpace(), TASK, trials, (12,), measure, unknown_latency, rewarded)


def played(reward, *, steps=15, trials=3, space=None, phase=Phase.SEARCH, algorithm=None, **fields):
    algorithm = algorithm or CATCH(**{**SMALL, **fields})
    algorithm.start(problem(reward, trials, space), Streams(range(trials)), phase)
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
    nets = algorithm._agents[0].networks
    with torch.no_grad():
        bias = nets._nets["controller"].parameters[-1]
        bias.zero_()
        bias[:, :, [0, 4, 8, 12]] = 60.0  # one option of each decision
    for _ in range(27):
        algorithm.step()
    logits = nets.logits(nets.blank(torch.zeros(3, 10), 1))[:, 0]
    assert (logits[:, [0, 4, 8, 12]].min(axis=1) > 50).all()  # collapsed to the last
    assert finite(algorithm)
    different = [len(set(row)) for row in space.index(algorithm._archs).tolist()]
    assert min(different) >= 28, different


def test_a_search_epoch_has_mutants_and_strangers_among_its_candidates():
    space = ToySpace((8, 8, 8, 8))
    fields = {"candidates": 4, "mutants": 200, "strangers": 200}
    algorithm, _ = played(lambda a: a.sum(axis=1), steps=6, space=space, **fields)
    blank, given = algorithm._blank()
    algorithm._give(blank)
    uniforms = algorithm.streams.uniform(404 * 4).reshape(blank.shape)
    found = algorithm._agents[0].propose(np.zeros((3, 10)), uniforms, blank, given)
    archs, log_chance, score = found.archs, found.log_chance, found.score
    assert archs.shape == (3, 404, 4)
    assert score.shape == (3, 404)
    mutants, strangers = archs[:, 4:204], archs[:, 204:]
    assert ((mutants != algorithm.recommend()[:, None]).sum(axis=2) == 1).all()
    options = np.array([[np.bincount(row, minlength=8) for row in rows.T] for rows in strangers])
    assert options.min() > 5, options  # 25 expected, 4.7 standard deviations away
    alone = {tuple(arch): chance for arch, chance in zip(archs[0], log_chance[0], strict=True)}
    for arch, chance in zip(archs[0], log_chance[0], strict=True):
        np.testing.assert_allclose(chance, alone[tuple(arch)], rtol=1e-5)  # the policy's own
    assert np.isfinite(log_chance).all()


def test_every_architecture_of_a_small_space_is_found():
    algorithm, _ = played(lambda archs: archs.sum(axis=1), steps=60, candidates=50)
    numbers = algorithm.problem.space.index(algorithm._archs)
    assert all(len(set(row)) == 24 for row in numbers.tolist())


@given(
    rewards=st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(np.nan)), min_size=1, max_size=12),
    how=st.sampled_from(Normalisation),
)
@settings(deadline=None)
def test_normalised_rewards_keep_their_order(rewards, how):
    score = normalised(np.array([rewards]), how)[0]
    known = ~np.isnan(rewards)
    assert np.isfinite(score).all()
    assert not score[~known].any()
    if score.any():
        assert score[known].mean() == pytest.approx(0, abs=1e-6)
        assert score[known].std() == pytest.approx(1)
        order = np.argsort(np.array(rewards)[known], kind="stable")
        assert (np.diff(score[known][order]) >= -1e-9).all()


def test_ranks_are_blind_to_outliers():
    rewards = np.array([[10.0, 91.0, 90.0, 92.0]])
    further = np.array([[-1e9, 91.0, 90.0, 92.0]])
    assert np.array_equal(*(normalised(r, Normalisation.rank) for r in (rewards, further)))
    assert normalised(np.array([[7.0, 7.0, np.nan]]), Normalisation.rank).tolist() == [[0, 0, 0]]


def networks(trials=2, **fields):
    algorithm = CATCH(**{**SMALL, **fields})
    space = ToySpace()
    chosen = Settings(**{key: getattr(algorithm, key) for key in Settings.__dataclass_fields__})
    return Networks(chosen, Slots(space), {}, Streams(range(trials)), slice(trials)), space


def lesson(space, trials=2, pairs=5, known=None, order=None):
    archs = space.at(Streams(range(trials)).integers(space.size, pairs))
    score = Streams(range(trials), "score").normal(pairs)
    known = np.ones((trials, pairs), bool) if known is None else known
    order = np.arange(pairs) if order is None else order
    return Lesson(Slots(space), 10, archs[:, order], score[:, order], known[:, order], [])


def test_the_context_is_the_product_of_the_pairs_gaussians():
    nets, space = networks()
    taught = lesson(space)
    head = nets._nets["encoder"](taught.pairs).detach().double().numpy()
    mean, variance = head[..., :10], np.log1p(np.exp(head[..., 10:20]))
    precision = (1 / variance).sum(axis=1)
    centre = (mean / variance).sum(axis=1) / precision
    z, kl = nets.context(taught, np.ones((2, 10)))
    np.testing.assert_allclose(z.detach(), centre + precision**-0.5, rtol=1e-4, atol=1e-5)
    wanted = 0.5 * (1 / precision + centre**2 - 1 + np.log(precision)).sum(axis=1)
    np.testing.assert_allclose(kl.detach(), wanted, rtol=1e-4)


def test_the_context_does_not_depend_on_the_order_of_the_pairs():
    nets, space = networks()
    noise = Streams(range(2)).normal(10)
    one, other = (
        nets.context(lesson(space, order=np.array(order)), noise)[0].detach()
        for order in ([0, 1, 2, 3, 4], [3, 1, 4, 0, 2])
    )
    torch.testing.assert_close(one, other)


def test_failed_pairs_leave_no_trace_in_the_context():
    nets, space = networks()
    known = np.array([[True, True, True, True, False]] * 2)
    noise = Streams(range(2)).normal(10)
    without = lesson(space, pairs=5, known=known)
    z = nets.context(without, noise)[0].detach()
    without.pairs[:, 4] = 9.0
    torch.testing.assert_close(nets.context(without, noise)[0].detach(), z)
    nothing = lesson(space, known=np.zeros((2, 5), bool))
    z, kl = nets.context(nothing, noise)
    np.testing.assert_allclose(z.detach(), noise, rtol=1e-6)  # the prior
    assert not kl.detach().any()


def test_both_losses_reach_the_encoder():
    for silent in ("controller", "evaluator"):
        nets, _ = networks(beta=0.0, window=2)
        for parameter in nets._nets[silent].parameters:
            parameter.requires_grad_(False)
        algorithm, _ = played(lambda archs: archs.sum(axis=1), trials=2, steps=8, window=2)
        before = nets.state()
        weight = np.ones((2, 8)) * (silent == "controller")
        nets.update(algorithm._agents[0]._lesson, weight, np.ones((2, 10)))
        after = nets.state()
        assert (before["encoder.0"] != after["encoder.0"]).any()


def test_a_context_without_encoder_has_no_encoder_weights():
    for context in (Context.zero, Context.prior):
        algorithm, _ = played(lambda archs: archs.sum(axis=1), context=context)
        named = {key.split(".")[0] for key in algorithm.learnt()}
        assert named == {"arity", "controller", "evaluator"}


def meta_trained(agents=3):
    algorithm, _ = played(lambda a: a.sum(axis=1), trials=agents, phase=Phase.META_TRAIN, steps=8)
    algorithm.start(
        problem(lambda a: -a.sum(axis=1), agents), Streams(range(agents)), Phase.META_TRAIN
    )
    for _ in range(8):
        algorithm.step()
    return algorithm.learnt()


def test_meta_training_keeps_the_networks_and_forgets_the_history():
    algorithm, _ = played(lambda a: a.sum(axis=1), trials=2, phase=Phase.META_TRAIN, steps=8)
    learnt = algorithm.learnt()
    algorithm.start(problem(lambda a: a[:, 0], 2), Streams(range(2)), Phase.META_TRAIN)
    for key, array in algorithm.learnt().items():
        assert np.array_equal(array, learnt[key])
    assert algorithm._archs.shape[1] == 0
    assert algorithm._greed == algorithm.epsilon


def test_trial_s_adapts_agent_s_mod_agents():
    learnt = meta_trained(agents=3)
    algorithm = CATCH(**SMALL)
    algorithm.load_learnt(learnt)
    algorithm.start(problem(lambda a: a[:, 0], 4), Streams([7, 3, 8, 9]), Phase.SEARCH)
    assert algorithm._greed == algorithm.epsilon_adapted
    for key, array in algorithm.learnt().items():
        assert np.array_equal(array, learnt[key][[1, 0, 2, 0]])


@pytest.mark.parametrize("seeds", [[4], [5, 6], [9, 4, 7]], ids=str)
def test_an_adapted_trial_is_the_same_in_any_cohort(seeds):
    learnt = meta_trained()

    def adapted(seeds):
        algorithm = CATCH(**SMALL)
        algorithm.load_learnt(learnt)
        goal = lambda archs: (archs * [3, 1, -1]).sum(axis=1)  # noqa: E731
        algorithm.start(problem(goal, len(seeds)), Streams(seeds), Phase.SEARCH)
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
def test_fields_that_mean_nothing_are_refused(fields, named):
    with pytest.raises(ConfigError, match=named):
        CATCH(**fields)


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
