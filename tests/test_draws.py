import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from toy_spaces import Graphs
from toys import ToySpace

from nasrun.draws import draw, pick, probabilities_of, redrawn, softmax
from nasrun.streams import Streams

SPACE = ToySpace((2, 3, 4))


class Descending(ToySpace):
    """Each option forbids the higher ones after it."""

    def legal(self, prefix):
        options = np.arange(len(self.decisions[prefix.shape[1]]))
        if not prefix.shape[1]:
            return np.ones((len(prefix), len(options)), bool)
        return options <= prefix[:, -1:]


def test_draws_have_the_policys_frequencies():
    generator = np.random.default_rng(0)
    logits = np.array([[[0.0, 1.0, 9.0, 9.0], [1.0, 0.0, -1.0, 9.0], [0.5, -0.5, 0.0, 1.0]]])
    n = 40_000
    archs, probabilities = draw(SPACE, np.repeat(logits, n, axis=0), generator.random((n, 3)))
    for place, options in enumerate((2, 3, 4)):
        expected = np.exp(logits[0, place, :options]) / np.exp(logits[0, place, :options]).sum()
        np.testing.assert_allclose(probabilities[0, place, :options], expected)
        assert (probabilities[:, place, options:] == 0).all()
        found = np.bincount(archs[:, place], minlength=options) / n
        assert np.abs(found - expected).max() < 4.0 * 0.5 / np.sqrt(n)  # 4 standard errors


def test_illegal_options_have_no_probability_and_are_never_drawn():
    generator = np.random.default_rng(1)
    space = Descending((3, 3, 3))
    archs, probabilities = draw(
        space, generator.normal(size=(500, 3, 3)), generator.random((500, 3))
    )
    assert (np.diff(archs, axis=1) <= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1.0)
    rows = np.arange(500)
    assert all((probabilities[rows, place, archs[:, place]] > 0).all() for place in range(3))


def test_probabilities_on_the_way_to_an_architecture_are_those_of_its_draw():
    generator, space = np.random.default_rng(1), Descending((3, 3, 3))
    logits = generator.normal(size=(50, 3, 3))
    archs, probabilities = draw(space, logits, generator.random((50, 3)))
    np.testing.assert_array_equal(probabilities_of(space, logits, archs), probabilities)


def test_far_logits_do_not_overflow():
    np.testing.assert_array_equal(softmax(np.array([[-2000.0, 2000.0]])), [[0.0, 1.0]])


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=6).filter(lambda weights: sum(weights) > 1e-9),
    st.floats(0, 1, exclude_max=True),
)
def test_only_options_with_probability_are_picked(weights, uniform):
    chances = np.array([weights]) / sum(weights)
    option = pick(chances, np.array([uniform]))[0]
    assert chances[0, option] > 0


def test_the_largest_uniform_picks_the_last_legal_option():
    last = np.nextafter(1.0, 0.0)
    assert pick(np.array([[0.1, 0.2, 0.7 + 1e-16, 0.0]]), np.array([last]))[0] == 2


def test_what_does_not_exist_is_drawn_again_from_the_trials_own_stream():
    space, seeds = Graphs(4, most=3), range(200)
    logits = np.zeros((200, 8, 3))
    logits[:, :6, 1] = 1.0  # many edges, so that most draws have too many
    first = draw(space, logits, Streams(seeds).uniform(8))[0]
    kept = space.exists(first)
    assert 10 < kept.sum() < 100
    streams = Streams(seeds)
    archs, probabilities = redrawn(space, logits, streams)
    assert space.exists(archs).all()
    np.testing.assert_array_equal(archs[kept], first[kept])
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1.0)
    later = streams.uniform()
    for seed in seeds[:20]:
        own = Streams([seed])
        np.testing.assert_array_equal(redrawn(space, logits[:1], own)[0][0], archs[seed])
        assert own.uniform() == later[seed]


def test_drawing_again_ends():
    """A policy that gives nothing that exists is left with what it gave."""
    logits = np.full((2, 8, 3), -1000.0)
    logits[..., 0] = 0.0  # no edge at all
    archs, _ = redrawn(Graphs(4), logits, Streams(range(2)))
    assert not Graphs(4).exists(archs).any()
