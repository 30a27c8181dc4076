import numpy as np
import pytest
from space_records import assert_official_footprint, task_of

from nasrun.errors import ConfigError
from nasrun.spaces.nats_size import NATSSize

SPACE = NATSSize()


def test_size_and_order_are_the_official_ones():
    assert SPACE.size == 32_768
    texts = [SPACE.text(arch) for arch in SPACE.at(np.array([0, 1, 11, 284, 32_767]))]
    assert texts == [
        "8:8:8:8:8", "8:8:8:8:16", "8:8:8:16:32", "8:8:40:32:40", "64:64:64:64:64",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("8:16:12:8:8", 6, "expected one of 8, 16, 24"),
        ("8:16", 5, "expected ':' and 5 numbers in all"),
        ("8:8:8:8:8:8", 10, "the string should end here"),
        ("8:8:8:8:8:", 10, "the string should end here"),
        ("8:8::8:8", 5, "expected one of"),
        ("08:8:8:8:8", 1, "expected one of"),
    ],
)
def test_bad_texts_show_where(text, place, why):
    with pytest.raises(ConfigError) as caught:
        SPACE.parse(text)
    assert why in str(caught.value)
    assert f"at character {place}: {text[: place - 1]!r} >>> " in str(caught.value)


def test_every_network_has_35_neighbours():
    assert SPACE.neighbours(SPACE.at(np.array(5))).shape == (35, 5)


def test_wider_is_heavier():
    narrow, wide = SPACE.at(np.array([0, SPACE.size - 1]))
    for figure in SPACE.footprint(np.stack([narrow, wide]), task_of("cifar10")):
        assert figure[0] < figure[1]


@pytest.mark.data
@pytest.mark.parametrize("index", ["000000", "000011", "000284"])
def test_footprint_equals_the_official_records(data_dir, index):
    folder = data_dir / "nb201" / "nats_anchor_records"
    assert_official_footprint(SPACE, folder / f"sss-v1_0-50262-{index}.pbz2")


def test_the_cell_is_the_same_for_all():
    edges = [SPACE.graph(arch) for arch in SPACE.at(np.array([0, 99]))]
    assert edges[0] == edges[1]
    assert ("0", "3", "skip_connect") in edges[0]
    assert len(edges[0]) == 6
