import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import ToySpace

from nasrun.benchmarks import synthetic
from nasrun.benchmarks.merge import with_means
from nasrun.benchmarks.source import Source
from nasrun.benchmarks.table import Column
from nasrun.errors import ConfigError
from nasrun.spaces.nb201 import NB201

LAST = Column("val_score", "cifar100", 200, 200, "mean")


def columns(space=None, **kwargs):
    source = Source("synthetic", "x", **kwargs)
    return with_means(synthetic.read(source, space or NB201()).columns)


@pytest.fixture(scope="module")
def table():
    return columns()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 9))
def test_every_space_gets_figures_in_range(arity, seed):
    space = ToySpace(tuple(arity))
    for column, figures in columns(space, seed=seed, schedules=[2, 30]).items():
        assert figures.shape == (space.size,)
        assert np.isfinite(figures).all()
        assert (figures >= 0).all()
        if column.metric.endswith("pct"):
            assert (figures <= 100).all()


def test_the_same_seed_gives_the_same_table(table):
    again, other = columns(), columns(seed=1)
    assert table.keys() == again.keys() == other.keys()
    np.testing.assert_array_equal(table[LAST], again[LAST])
    assert not np.array_equal(table[LAST], other[LAST])


def test_it_has_the_structure_of_a_real_table(table):
    """Floors are far below what the fixed seed gives, and far above what noise would."""

    def agreement(a, b):
        return np.corrcoef(a, b)[0, 1]

    runs = [table[LAST._replace(run=run)] for run in ("777", "888")]
    short = table[LAST._replace(schedule=12, epoch=12)]
    first = table[LAST._replace(schedule=12, epoch=1)]
    other = table[LAST._replace(dataset="ImageNet16-120")]
    seconds = table[LAST._replace(metric="train_s")]
    assert agreement(*runs) > 0.95
    assert agreement(table[LAST], short) > 0.7
    assert agreement(table[LAST], first) < agreement(table[LAST], short)
    assert agreement(table[LAST], other) > 0.7
    assert 0.2 < agreement(table[LAST], np.log(seconds)) < 0.9
    assert short.mean() < table[LAST].mean()


def test_neighbours_resemble_each_other(table):
    """A search must have a slope to climb: far less spread among neighbours than at large."""
    space, accuracy = NB201(), table[LAST].astype(float)
    rows = np.random.default_rng(0).integers(space.size, size=50)
    near = [accuracy[space.index(space.neighbours(space.at(row)))].std() for row in rows]
    assert np.mean(near) < 0.8 * accuracy.std()


def test_what_cannot_be_made_is_refused():
    with pytest.raises(ConfigError, match="would need 1048576 rows"):
        columns(ToySpace((4,) * 10))
    with pytest.raises(ConfigError, match="schedules must be positive"):
        columns(schedules=[0])
    with pytest.raises(ConfigError, match="schedules must be positive"):
        columns(schedules=[])
