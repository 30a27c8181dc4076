import numpy as np
import pytest
from scipy import stats
from toy_spaces import Layers

from nasrun.streams import Streams

SPACE = Layers()
LEVEL = 1e-4  # of the chi-square tests: with these fixed seeds they either always pass or never
TRIALS = 20_000


def archs(text, n=1):
    return np.repeat(SPACE.parse(text)[None], n, axis=0)


def frequencies(found):
    texts, counts = np.unique([SPACE.text(arch) for arch in found], return_counts=True)
    return dict(zip(texts.tolist(), counts.tolist(), strict=True))


def assert_drawn(found, chances):
    counts = frequencies(found)
    assert set(counts) == set(chances)
    expected = [chances[text] * len(found) for text in counts]
    test = stats.chisquare(list(counts.values()), expected)
    assert test.pvalue > LEVEL, counts


def test_samples_are_uniform_over_decisions_in_their_order():
    """No b after b and no a after c: by hand for one and two layers, one third of the depths each.

    So the two networks bb and ca do not exist, and after b and c there are two options each.
    """
    found = SPACE.sample(Streams(range(TRIALS)))
    short = found[found[:, 0] < 2]
    ninth, sixth = 1 / 9 / 3, 1 / 6 / 3
    chances = {"a.": 1 / 9, "b.": 1 / 9, "c.": 1 / 9, "aa.": ninth, "ab.": ninth, "ac.": ninth,
               "ba.": sixth, "bc.": sixth, "cb.": sixth, "cc.": sixth}  # fmt: skip
    assert_drawn(short, {text: 1.5 * chance for text, chance in chances.items()})


def test_a_mutation_picks_a_live_decision_and_then_another_legal_option():
    """Of ab both depth and kinds are live; the third layer is not there.

    Depth (1/3): one layer, or three, of which the third was no choice and is drawn. First layer
    (1/3): b, after which b is illegal and drawn among a and c, or c, after which b stays. Second
    layer (1/3): a or c.
    """
    found = SPACE.mutate(archs("ab.", TRIALS), Streams(range(TRIALS)))
    chances = {"a.": 1 / 6, "aba.": 1 / 12, "abc.": 1 / 12, "ba.": 1 / 12, "bc.": 1 / 12,
               "cb.": 1 / 6, "aa.": 1 / 6, "ac.": 1 / 6}  # fmt: skip
    assert_drawn(found, chances)


def test_a_mutant_has_one_encoding():
    """Decisions that a mutation ends are 0 again."""
    found = SPACE.mutate(archs("ccc.", 300), Streams(range(300)))
    shortened = found[found[:, 0] == 0]
    assert len(shortened)
    np.testing.assert_array_equal(shortened, archs("c.", len(shortened)))


def test_neighbours_get_the_first_legal_option_where_theirs_is_none():
    texts = [SPACE.text(arch) for arch in SPACE.neighbours(SPACE.parse("ab."))]
    assert texts == ["a.", "aba.", "ba.", "cb.", "aa.", "ac."]
    # After c an a is illegal, so that the new layer is a b.
    assert "cb." in [SPACE.text(arch) for arch in SPACE.neighbours(SPACE.parse("c."))]


def test_a_child_of_two_is_repaired_from_left_to_right():
    """Of aa and cb. First and second layer a or c and a or b: ca is illegal, its a drawn anew."""
    n = TRIALS
    found = SPACE.crossover(archs("aa.", n), archs("cb.", n), Streams(range(n)))
    chances = {"aa.": 1 / 4, "ab.": 1 / 4, "cb.": 1 / 4 + 1 / 8, "cc.": 1 / 8}
    assert_drawn(found, chances)


def test_a_child_takes_layers_from_the_parent_that_has_them():
    """Of a and bab: where the deeper one's depth meets the other's missing layer, it is drawn."""
    n = TRIALS
    found = SPACE.crossover(archs("a.", n), archs("bab.", n), Streams(range(n)))
    deep = found[found[:, 0] == 2]
    after_a = {"a": 1 / 2 + 1 / 6, "b": 1 / 6, "c": 1 / 6}
    second = {
        **{"a" + kind: chance / 2 for kind, chance in after_a.items()},
        **{"ba": (1 / 2 + 1 / 4) / 2, "bc": 1 / 4 / 2},
    }
    for start, chance in second.items():
        share = np.mean([SPACE.text(arch).startswith(start) for arch in deep])
        error = np.sqrt(chance * (1 - chance) / len(deep))
        assert abs(share - chance) < 4 * error, start


@pytest.mark.parametrize("text", ["ab.", "c.", "cbc."])
def test_live_decisions_have_more_than_one_option(text):
    arch = SPACE.parse(text)
    np.testing.assert_array_equal(SPACE.live(arch[None])[0], np.arange(4) <= len(text) - 1)


def test_what_does_not_follow_does_not_exist():
    tried = np.array([[1, 0, 1, 0], [1, 1, 1, 0], [1, 2, 0, 0], [0, 0, 1, 0], [3, 0, 0, 0]])
    assert SPACE.exists(tried).tolist() == [True, False, False, False, False]
    everything = SPACE.at(np.arange(SPACE.size))
    assert SPACE.exists(everything).sum() == 3 + 7 + 16


class Single(Layers):
    """A space of one architecture."""

    def legal(self, prefix):
        return np.tile([True, False, False], (len(prefix), 1))


def test_a_space_of_one_architecture_stays_there():
    space = Single()
    only = space.sample(Streams(range(3)))
    np.testing.assert_array_equal(only, np.zeros((3, 4)))
    np.testing.assert_array_equal(space.mutate(only, Streams(range(3))), only)
    assert space.neighbours(only[0]).shape == (0, 4)
