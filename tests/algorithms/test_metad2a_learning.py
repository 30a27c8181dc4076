from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import ToySpace

from nasrun.algorithms.metad2a_generator import Generator, Writer, best_of_each, kl_divergence
from nasrun.algorithms.metad2a_graphs import Cells, Chain, graphs_of
from nasrun.algorithms.metad2a_learning import SIZES, Sets, cycle, require_sizes
from nasrun.algorithms.metad2a_predictor import Predictor, Ranker, squared_error
from nasrun.errors import ConfigError, DataError
from nasrun.nets.graph_networks import GraphDecoder
from nasrun.nets.set_encoders import Outline, SetEncoding
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Records

SPACE = ToySpace((3, 3, 2))
PAIR = torch.tensor([[0, 1]])


def records(**changes):
    """Two kinds of data sets, each with an architecture that is best on it and the others apart."""
    draws = np.random.default_rng(0)
    pictures = draws.normal(size=(4, 5, 6)) + np.array([2, 2, -2, -2])[:, None, None]
    archs = SPACE.at(np.arange(18))
    datasets = [(0, 1), (2, 3), (1, 0), (3, 2)]
    dataset = np.repeat(np.arange(4), len(archs))
    best = np.array([[0, 2, 1], [2, 0, 0]])[dataset % 2]
    archs = np.tile(archs, (4, 1))
    made = {
        "archs": archs,
        "score": (archs == best).sum(1) - 1.5,
        "dataset": dataset,
        "datasets": datasets,
        "features": pictures.astype(np.float32),
        "held_out": dataset >= 2,
    }
    return Records(**{**made, **changes})


def features_of(own):
    return torch.from_numpy(records().features[list(records().datasets[own])])


def test_the_divergence_by_hand():
    mean, log_variance = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, np.log(4.0)]])
    by_hand = 0.5 * (1 + 1 - 0 - 1) + 0.5 * (4 + 4 - np.log(4.0) - 1)
    assert float(kl_divergence(mean, log_variance)) == pytest.approx(by_hand)
    assert float(kl_divergence(torch.zeros(1, 3), torch.zeros(1, 3))) == 0.0


def test_the_squared_error_by_hand():
    error = squared_error(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0]))
    assert float(error) == pytest.approx((1 + 4) / 2)


def test_noise_is_scaled_by_the_standard_deviation():
    """With a recorded decoder that hands back its code."""
    seen = []

    class Recording(GraphDecoder):
        def loss(self, code, adjacency, types):
            seen.append(code)
            return code.sum(-1), code.sum(-1)

    mean, log_variance = torch.zeros(1, 2000), torch.full((1, 2000), 2 * np.log(3.0))
    recipe = Generator(noise=0.5)
    with torch.random.fork_rng(devices=[]):
        decoder = Recording(4, 3, 4, 2000)
    nothing = torch.zeros(1, 3, 3), torch.zeros(1, 3)
    recipe.terms(decoder, mean, log_variance, nothing, torch.Generator().manual_seed(0))
    assert float(seen[0].std()) == pytest.approx(0.5 * 3.0, rel=0.1)


@pytest.mark.parametrize("learner", [Generator, Predictor])
def test_a_training_that_diverges_is_refused(learner):
    """Its scores are NaN, by which candidates would stay in the order in which they came."""
    recipe = learner(epochs=3, rate=1e20, hidden=8, width=8)
    with pytest.raises(ConfigError, match=r"not finite after epoch \d at rate=1e\+20"):
        recipe.learn(records(), SPACE)


def test_the_best_record_of_each_data_set():
    made = records(
        archs=SPACE.at(np.arange(5)),
        score=np.array([1.0, 3.0, 2.0, 5.0, 4.0]),
        dataset=np.array([0, 0, 2, 1, 2]),
        held_out=np.array([False, False, False, False, True]),
    )
    kept, held_out = best_of_each(made)
    assert kept.tolist() == [1, 3]
    assert held_out.tolist() == [4]


def test_the_rate_rises_and_falls():
    shares = [cycle(step, 100) for step in range(100)]
    assert shares[0] == pytest.approx(0.1)
    assert max(shares) == shares[9] == pytest.approx(0.98, abs=0.01)
    assert shares[50] == pytest.approx(0.5)
    assert shares[99] < 0.001
    assert [cycle(step, 1) for step in range(1)] == [1.0]


@pytest.fixture(scope="module")
def generator():
    recipe = Generator(hidden=12, width=8, epochs=45, rate=2e-2, batch=2)
    return recipe, recipe.learn(records(), SPACE)


def test_the_generator_learns_what_is_best_on_which_data_set(generator):
    recipe, learnt = generator
    writer = Writer(recipe, SPACE, learnt.arrays)
    uniform = torch.Generator().manual_seed(0)
    for own, best in ((0, [0, 2, 1]), (1, [2, 0, 0])):
        codes = writer.codes(features_of(own), PAIR).expand(50, -1)
        archs, valid = writer.write(codes, lambda n: torch.rand(50, n, generator=uniform), 1.0)
        assert valid.mean() > 0.9
        assert (archs[valid] == best).all(1).mean() > 0.8


def test_what_the_generator_keeps(generator):
    _, learnt = generator
    assert learnt.arrays["pairs"].tolist() == [[0, 2, 1], [2, 0, 0]]
    assert learnt.arrays[SIZES].tolist() == [6, 5, 5, 5]
    assert [row[0] for row in learnt.rows] == list(range(1, 46))
    first, last = learnt.rows[0], learnt.rows[-1]
    assert last[1] < 0.2 * first[1]
    assert last[4] is not None  # the data sets of the same classes, held out


def graded():
    """Higher options are better everywhere, and one kind of data sets is easier than the other."""
    made = records()
    return replace(made, score=made.archs[:, :2].sum(1) - 2.0 + (made.dataset % 2) * 3.0)


@pytest.fixture(scope="module")
def predictor():
    recipe = Predictor(hidden=12, width=8, epochs=20, rate=1e-2, batch=12)
    return recipe, recipe.learn(graded(), SPACE)


def predicted(predictor, own):
    recipe, learnt = predictor
    ranker = Ranker(recipe, SPACE, learnt.arrays)
    return ranker.score(graded().archs[graded().dataset == own], features_of(own), PAIR)


def test_the_predictor_ranks_within_a_data_set(predictor):
    for own in (0, 1):
        score = graded().score[graded().dataset == own]
        assert np.corrcoef(predicted(predictor, own), score)[0, 1] > 0.9


def test_the_predictor_tells_data_sets_apart(predictor):
    assert predicted(predictor, 1).mean() > predicted(predictor, 0).mean() + 1.5


def test_the_last_epoch_is_kept(predictor):
    last = predictor[1].rows[-1][2]
    both = np.concatenate([predicted(predictor, own) for own in (2, 3)])
    r = np.corrcoef(both, graded().score[graded().held_out])[0, 1]
    assert r == pytest.approx(last, abs=1e-4)


@pytest.mark.parametrize("direct", [True, False])
def test_the_linear_path_adds_to_the_score_what_the_outline_says(direct):
    network = Predictor(hidden=12, width=8, direct=direct).network(6, graphs_of(SPACE)).eval()
    graph = torch.ones(1, 8)
    code, level = network.dataset(features_of(0), PAIR)
    assert level.tolist() == [0.0]  # at first
    before = network(graph, (code, level))
    if direct:
        network.direct.weight.data[:] = torch.arange(8.0)
        network.direct.bias.data[:] = 0.5
    _, level = network.dataset(features_of(0), PAIR)
    wanted = 0.5 + Outline(6)(features_of(0), PAIR) @ torch.arange(8.0) if direct else 0.0
    torch.testing.assert_close(network(graph, (code, level)) - before, torch.zeros(1) + wanted)


def test_scores_are_means_over_draws(predictor):
    recipe, learnt = predictor
    ranker, archs = Ranker(recipe, SPACE, learnt.arrays), SPACE.at(np.arange(4))
    both = torch.cat([features_of(0), features_of(1)])
    one, two = (ranker.score(archs, features_of(own), PAIR) for own in (0, 1))
    together = ranker.score(archs, both, torch.tensor([[0, 1], [2, 3]]))
    np.testing.assert_allclose(together, (one + two) / 2, atol=1e-6)


def test_the_same_seed_teaches_the_same():
    recipe = Generator(hidden=4, width=4, epochs=2, pictures=2)
    one, two = (recipe.learn(records(), SPACE).arrays for _ in range(2))
    other = Generator(hidden=4, width=4, epochs=2, pictures=2, seed=1).learn(records(), SPACE)
    assert all(np.array_equal(one[key], two[key]) for key in one)
    assert not all(np.array_equal(one[key], other.arrays[key]) for key in one)


def test_data_sets_of_other_sizes_are_learnt_from_together():
    made = records(datasets=[(0, 1), (2, 3, 1), (1, 0), (3, 2)])
    sizes = [
        len(batch)
        for batch in Sets(made, 5).batches(np.arange(36), 10, torch.Generator().manual_seed(0))
    ]
    assert sorted(sizes) == [8, 8, 10, 10]


def test_pictures_are_drawn_anew():
    sets, draws = Sets(records(), 2), torch.Generator().manual_seed(0)
    one, classes = sets.of(np.array([0, 40]), draws)
    two, _ = sets.of(np.array([0, 40]), draws)
    assert one.shape == (2, 2, 6)  # rows 0 and 40 share their classes, encoded once
    assert classes.tolist() == [[0, 1], [1, 0]]
    assert not torch.equal(one, two)
    held = records().features[0].tolist()
    assert all(picture in held for picture in one[0].tolist())


@pytest.mark.parametrize(
    ("sizes", "what"),
    [((9, 5, 5), "9 features of a picture, but this search has 6"), ((6, 4, 5), "4 types")],
)
def test_networks_of_other_features_or_spaces_are_refused(sizes, what):
    with pytest.raises(DataError, match=what):
        require_sizes({SIZES: np.array([*sizes, 1])}, (6, 5, 5), "the generator")


@pytest.mark.parametrize("recipe", [Generator, Predictor])
def test_fields_out_of_range_are_refused(recipe):
    with pytest.raises(ConfigError, match=r"algorithm\.(generator|predictor)\.epochs"):
        recipe(epochs=0)


def test_heads_share_a_width():
    with pytest.raises(ConfigError, match=r"generator\.width must be a multiple of 4, got 6"):
        Generator(width=6)


def test_the_graphs_of_nas_bench_201_are_the_authors():
    graphs = graphs_of(NB201())
    assert isinstance(graphs, Cells)
    chain = [[at, at + 1] for at in range(7)]
    edges = sorted([*chain, [1, 3], [1, 5], [2, 6], [3, 6]])
    archs = NB201().at(np.arange(0, 15_625, 97))
    dag = graphs.dag(archs)
    assert np.argwhere(dag.adjacency[0]).tolist() == edges
    assert (dag.adjacency == dag.adjacency[0]).all()
    again, valid = graphs.archs(dag)
    assert valid.all()
    assert (again == archs).all()


@pytest.mark.parametrize("space", [NB201(), SPACE], ids=["nb201", "toy"])
def test_a_graph_with_a_wrong_edge_or_vertex_is_no_architecture(space):
    graphs, archs = graphs_of(space), space.at(np.arange(3))
    dag = graphs.dag(archs)
    dag.adjacency[0, 0, -1] = True
    dag.operations[1, 1] = 1  # the end, in the middle
    assert graphs.archs(dag)[1].tolist() == [False, False, True]


def test_other_spaces_are_chains_of_decisions():
    graphs = graphs_of(SPACE)
    assert isinstance(graphs, Chain)
    dag = graphs.dag(np.array([[2, 0, 1]]))
    assert dag.operations.tolist() == [[0, 4, 2, 3, 1]]
    assert np.argwhere(dag.adjacency[0]).tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]
    dag.operations[0, 3] = 4  # an option that the last decision does not have
    assert not graphs.archs(dag)[1].any()


def test_no_data_set_tells_a_generator_nothing():
    recipe = Generator(hidden=4, width=4, epochs=1, encoding=SetEncoding.none)
    writer = Writer(recipe, SPACE, recipe.learn(records(), SPACE).arrays)
    codes = [writer.codes(features_of(own), PAIR) for own in (0, 1)]
    assert torch.equal(*codes)
