"""Tables of zero-cost scores, on a miniature."""

import gzip
from pathlib import Path

import numpy as np
import pytest

import nasrun.benchmarks as measured
from nasrun.benchmarks.scores import ScoreTable, listed
from nasrun.errors import ConfigError, DataError
from nasrun.nets.zero_cost import PROXIES
from nasrun.spaces.nb201 import NB201

SPACE = NB201()
CELLS = [
    "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|",
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|skip_connect~1|nor_conv_3x3~2|",
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|skip_connect~1|nor_conv_3x3~2|",
]
ARCHS = np.stack([SPACE.parse(text) for text in CELLS])


@pytest.fixture
def path(tmp_path):
    rows = ["arch,jacov,synflow", f"{CELLS[0]},-4.5,1e30", f"{CELLS[1]},,2.0", f"{CELLS[2]},-2.5,3"]
    own = tmp_path / "scores.csv.gz"
    own.write_bytes(gzip.compress("\n".join(rows).encode()))
    return own


def test_scores_are_those_of_the_file_and_missing_ones_lie_below(path):
    table = ScoreTable(path, SPACE)
    assert table.names == ("jacov", "synflow")
    found = table(ARCHS[[2, 0, 1]].reshape(1, 3, -1))
    # -4.5 is the lowest, and the column spreads over 2.
    np.testing.assert_array_equal(found, [[[-2.5, 3.0], [-4.5, 1e30], [-6.5, 2.0]]])
    np.testing.assert_array_equal(ScoreTable(path, SPACE, ["synflow"])(ARCHS)[:, 0], [1e30, 2, 3])
    np.testing.assert_array_equal(listed(path, SPACE), ARCHS)


def test_the_table_that_comes_along_has_2000_cells_and_all_scores():
    table = ScoreTable(
        Path(measured.__file__).parent / "measured" / "nb201_zero_cost.csv.gz", SPACE
    )
    assert table.names == PROXIES
    assert len(np.unique(SPACE.index(table.archs))) == 2000
    assert np.isfinite(table(table.archs)).all()


def test_equal_networks_have_the_same_scores(path):
    twin = "|skip_connect~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|none~1|nor_conv_3x3~2|"
    assert ScoreTable(path, SPACE)(SPACE.parse(twin)[None]).tolist() == [[-2.5, 3.0]]


def test_a_cell_without_scores_is_named_in_one_sentence(path):
    missing = SPACE.parse("|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|")
    with pytest.raises(DataError, match=r"scores of 3 architectures, not of 1 of the 4") as error:
        ScoreTable(path, SPACE)(np.concatenate([ARCHS, missing[None]]))
    assert SPACE.text(missing) in str(error.value)


def test_columns_and_architectures_must_be_there(path, tmp_path):
    with pytest.raises(ConfigError, match="no scores named zen: take some of jacov, synflow"):
        ScoreTable(path, SPACE, ["zen"])
    other = tmp_path / "other.csv"
    other.write_text("arch,jacov\n0-1-2,3.0\n")
    with pytest.raises(ConfigError, match="of another space than space=nb201"):
        ScoreTable(other, SPACE)
    other.write_text(f"cell,jacov\n{CELLS[0]},1\n")
    with pytest.raises(DataError, match="column 'arch'"):
        listed(other, SPACE)
