import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from toys import ToySpace

from nasrun.draws import draw, pick, softmax

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
