import numpy as np
import pytest
from toy_spaces import TASK, Bits

from nasrun.errors import UnsupportedError
from nasrun.spec import CountableSpace, Scale
from nasrun.streams import Streams


def test_zero_is_the_minimal_genome():
    space = Bits()
    assert space.text(np.array([0])) == "0."
    np.testing.assert_array_equal(space.parse("0."), [0])
    assert space.exists(np.array([[0], [1], [-1]])).tolist() == [True, False, False]


def test_a_genome_keeps_the_number_that_it_got_first():
    space = Bits()
    archs = np.array([space.parse(text) for text in ("11.", "01.", "11.", "0.")])
    np.testing.assert_array_equal(archs, [[1], [2], [1], [0]])
    assert [space.text(arch) for arch in archs] == ["11.", "01.", "11.", "0."]


def test_texts_do_not_depend_on_who_came_first():
    """Numbers do; what they stand for does not."""
    fresh, used = Bits(), Bits()
    used.sample(Streams(range(50, 90)))
    drawn = [space.sample(Streams(range(20))) for space in (fresh, used)]
    assert (drawn[0] != drawn[1]).any()
    texts = [
        [space.text(arch) for arch in space.mutate(archs, Streams(range(20)))]
        for space, archs in zip((fresh, used), drawn, strict=True)
    ]
    assert texts[0] == texts[1]
    assert len(set(texts[0])) > 5


def test_genomes_grow():
    space, archs = Bits(), np.zeros((4, 1), np.int64)
    streams = Streams(range(4))
    for _ in range(100):
        archs = space.mutate(archs, streams)
    assert min(len(space.text(arch)) for arch in archs) > 5


def test_a_child_of_two_genomes():
    space = Bits()
    a, b = (np.repeat(space.parse(text)[None], 50, axis=0) for text in ("000.", "11111."))
    found = {space.text(child) for child in space.crossover(a, b, Streams(range(50)))}
    assert found == {"01111.", "00111.", "00011."}


def test_what_a_genome_cannot_give_is_refused():
    space, archs = Bits(), np.zeros((1, 1), np.int64)
    assert not isinstance(space, CountableSpace)
    for ask in (
        lambda: space.arity,
        lambda: space.legal(archs[:, :0]),
        lambda: space.neighbours(archs[0]),
        lambda: space.encode(archs),
        lambda: space.require_encoding(None),
    ):
        with pytest.raises(UnsupportedError, match="space=toy_bits has genomes of any length"):
            ask()
    with pytest.raises(UnsupportedError, match="space=toy_bits has no supernet"):
        space.supernet(TASK, Scale())
