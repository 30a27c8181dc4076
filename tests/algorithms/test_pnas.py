"""Progressive search: how many models of which size, by what advice, and what it finds."""

import numpy as np
import pytest
from composed import composed
from omegaconf import OmegaConf
from scipy.stats import spearmanr
from toys import ToySpace, number, toy_problem

from nasrun.algorithms import pnas
from nasrun.algorithms.pnas import PNAS
from nasrun.config import build
from nasrun.errors import ConfigError
from nasrun.spaces.pnas import PNAS as Cells
from nasrun.spec import Inputs, Phase, Predictor, SearchSpace
from nasrun.streams import Streams

SPACE = build(composed("space=pnas").space, SearchSpace, "space")
SMALL = Cells(blocks=3, operations=["skip_connect", "sep_conv_3x3"], combiners=["add"])
WORTH = np.array([0.0, 4.0, 3.0, 1.0, -2.0, 2.0, -1.0, -3.0])  # of the operations, by number


def predictor(name, **settings):
    own = composed(f"predictor={name}").predictor
    node = OmegaConf.create({**OmegaConf.to_container(own, resolve=True), **settings})
    return build(node, Predictor, "predictor")


def additive(space, worth=WORTH):
    """Operations add up, the later state a branch reads the better, and so do blocks."""

    def score(archs):
        cells = space.arrays(archs)
        branches = worth[cells.operations] + 0.5 * cells.sources
        return 50 + (branches.sum(axis=3) * cells.there).sum(axis=(1, 2))

    return score


def started(space, score, *, name="pnas_mlp", beam=8, seed=0, **settings):
    algorithm = PNAS(predictor=predictor(name, **settings), beam=beam)
    streams = Streams([seed])
    algorithm.start(toy_problem(score, 1, space), streams, Phase.SEARCH)
    return algorithm


def measured(algorithm, steps):
    return np.concatenate([algorithm.step().archs for _ in range(steps)])


def test_all_cells_of_one_block_then_the_beam_of_each_size():
    algorithm = started(SPACE, additive(SPACE), beam=8, epochs=1)
    archs = measured(algorithm, 136 + 4 * 8 + 8)
    sizes = SPACE.sizes(archs)
    assert sizes.tolist() == [1] * 136 + [2] * 8 + [3] * 8 + [4] * 8 + [5] * 16
    ones = archs[:136]
    assert {arch.tobytes() for arch in ones} == {arch.tobytes() for arch in SPACE.extended()}
    assert len({SPACE.canonical(arch) for arch in archs}) == len(archs)
    for size in (2, 3, 4, 5):  # each extends one that was measured before
        before = {arch[: 4 * (size - 1)].tobytes() for arch in archs[sizes == size - 1]}
        own = archs[136 + 8 * (size - 2) : 136 + 8 * (size - 1)]
        assert {arch[: 4 * (size - 1)].tobytes() for arch in own} <= before


def test_candidates_are_40800_at_first(monkeypatch):
    seen = []
    monkeypatch.setattr(pnas, "ranked", lambda _, pools: seen.extend(map(len, pools)) or pools)
    algorithm = started(SPACE, additive(SPACE), epochs=1)
    measured(algorithm, 137)
    assert seen == [40_800]


@pytest.mark.slow
def test_1160_models_a_search():
    algorithm = started(SPACE, additive(SPACE), beam=256)
    sizes = SPACE.sizes(measured(algorithm, 1160))
    assert np.bincount(sizes).tolist() == [0, 136, 256, 256, 256, 256]
    assert SPACE.sizes(algorithm.recommend()).tolist() == [5]


def test_extensions_of_many_are_those_of_each():
    twos = SPACE.extended(SPACE.extended()[3])[:3]
    each = np.concatenate([SPACE.extended(arch) for arch in twos])
    np.testing.assert_array_equal(SPACE.extensions(twos), each)
    mixed = np.stack([twos[0], SPACE.extended()[9], twos[1]])
    sizes = SPACE.sizes(SPACE.extensions(mixed))
    assert sizes.tolist() == [2] * 300 + [3] * (2 * 528)


def test_shares_of_blocks_by_hand():
    """Two blocks of states 0 and 1, then 0 and 2; operations 0 and 1, then 1 and 1."""
    arch = np.array([0, 1, 0, 1, 1, 2, 1, 1, 0, 0, 0, 0])
    first, second = [1, 0, 0, 0], [0, 0.5, 0.5, 0]  # states 0 to 3
    assert SMALL.encode(arch, "blocks").tolist() == [*first, *second, 0.5, 0.5, 0, 1]


def test_with_an_oracle_the_best_of_an_additive_landscape_is_found():
    """Among all cells of up to three blocks of two operations, which are listed."""
    score = additive(SMALL)
    everything = SMALL.extensions(SMALL.extensions(SMALL.extended()))
    best = score(everything).max()
    algorithm = started(SMALL, score, name="oracle", beam=4)
    measured(algorithm, 10 + 2 * 4)
    assert score(algorithm.recommend())[0] == best


def test_the_ensemble_ranks_cells_with_one_block_more():
    """Trained on one block alone; and the measured ones are better than random extensions."""
    score = additive(SPACE)
    algorithm = started(SPACE, score, beam=20, epochs=100)
    archs = measured(algorithm, 136 + 20)
    some = SPACE.extensions(SPACE.extended())[::400]
    model = predictor("pnas_mlp", epochs=100).opened(SPACE, Streams([0]))
    ones = archs[None, :136]
    model.fit(Inputs(ones), score(ones[0])[None], np.ones((1, 136), np.bool_))
    [predicted] = model.predict(Inputs(some[None])).mean
    assert spearmanr(predicted, score(some)).statistic > 0.5
    assert score(archs[136:]).mean() > score(some).mean() + 2 * score(some).std()


def test_elsewhere_neighbours_stand_for_extensions():
    space = ToySpace((4, 4, 4, 4))
    algorithm = started(space, lambda archs: number(space, archs), beam=6, epochs=20)
    archs = measured(algorithm, 12)
    assert len(np.unique(archs, axis=0)) == 12
    assert all((np.abs(archs[:6] != arch).sum(axis=1) == 1).any() for arch in archs[6:])


def test_trials_of_one_cohort_grow_when_their_own_cells_are_measured():
    """Of a space of eight, where one has less left than others; and as if each were alone."""
    space = ToySpace((2, 2, 2))
    algorithm, alone = (PNAS(predictor=predictor("oracle"), beam=3) for _ in range(2))
    problem = toy_problem(lambda archs: number(space, archs), 4, space)
    algorithm.start(problem, Streams(range(4)), Phase.SEARCH)
    together = np.stack([algorithm.step().archs for _ in range(12)], axis=1)
    for seed, own in enumerate(together):
        single = toy_problem(lambda archs: number(space, archs), 1, space)
        alone.start(single, Streams([seed]), Phase.SEARCH)
        np.testing.assert_array_equal(measured(alone, 12), own)


def test_a_search_needs_a_predictor():
    with pytest.raises(ConfigError, match="predictor=pnas_mlp"):
        PNAS()
