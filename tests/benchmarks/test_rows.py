import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_spaces import TASK, Bits, Graphs
from toys import ToySpace

from nasrun.benchmarks.rows import ArchRows, coverage, figures_at, unique_archs
from nasrun.benchmarks.sources import Source, load_table
from nasrun.benchmarks.store import open_table, write_table
from nasrun.benchmarks.table import Column, Table
from nasrun.errors import DataError
from nasrun.evaluators.tabular import Tabular
from nasrun.spaces.nb101 import NB101
from nasrun.spaces.nb201 import NB201
from nasrun.streams import Streams

SPACE = Graphs(4)
NB101_LIKE = Graphs(vertices=7, most=9)  # 2**21 * 3**5 = 509,607,936 encodings
VALID = Column("val_score", "toy", 12, 12, "mean")


def archs(*texts, space=SPACE):
    return np.array([space.parse(text) for text in texts])


def test_a_listed_encoding_has_its_own_row():
    """Also where a network is listed twice: encodings were trained one by one."""
    rows = ArchRows(SPACE, archs("110011:ba", "001000:aa", "110011:ab"))
    assert rows.of(archs("110011:ab", "110011:ba", "001000:aa")).tolist() == [2, 0, 1]
    assert len(rows) == 3
    np.testing.assert_array_equal(rows.at(1), SPACE.parse("001000:aa"))


def test_another_encoding_of_a_listed_network_has_the_first_row_of_it():
    rows = ArchRows(SPACE, archs("001000:aa", "100010:ab", "100010:ac"))
    others = archs("001000:bc", "100010:aa", "010001:ca", "110011:aa")
    assert rows.exact(others).tolist() == [-1] * 4
    assert rows.of(others).tolist() == [0, 1, 1, -1]
    only_one = ArchRows(SPACE, archs("001000:aa", "110011:ba"))
    assert only_one.of(archs("110011:ab")).tolist() == [1]


def test_what_is_not_listed_or_does_not_exist_has_no_row():
    rows = ArchRows(SPACE, archs("001000:aa"))
    unconnected = np.zeros((1, 8), np.int64)
    assert rows.of(np.concatenate([archs("110011:ab"), unconnected])).tolist() == [-1, -1]
    assert rows.of(archs("110011:ab")).tolist() == [-1]  # asked again
    assert ArchRows(SPACE, np.empty((0, 8), np.int64)).of(archs("001000:aa")).tolist() == [-1]


def test_the_whole_space_is_found_by_number():
    space = NB201()
    rows = ArchRows(space, None)
    assert len(rows) == 15_625
    numbers = np.array([0, 77, 15_624])
    np.testing.assert_array_equal(rows.of(space.at(numbers)), numbers)
    np.testing.assert_array_equal(rows.at(77), space.at(np.array(77)))


@given(data=st.data())
def test_a_space_too_large_for_64_bits(data):
    space = ToySpace((8,) * 25)
    listed = np.unique(space.sample(Streams(range(6))), axis=0)
    order = data.draw(st.permutations(range(len(listed))))
    rows = ArchRows(space, listed[order])
    np.testing.assert_array_equal(rows.of(listed[order]), np.arange(len(listed)))
    strangers = (listed + 1) % 8
    wanted = [-1] * len(listed)
    assert rows.of(strangers).tolist() == wanted


def test_genomes_are_found_by_their_texts():
    space = Bits()
    listed = archs("01.", "111.", space=space)
    space.sample(Streams(range(30)))
    rows = ArchRows(space, listed)
    assert rows.of(archs("111.", "0101010.", "01.", space=space)).tolist() == [1, -1, 0]


LONG = ToySpace((8,) * 25)  # more encodings than 64 bits can count


@pytest.mark.parametrize("make", [Bits, lambda: LONG], ids=["genomes", "too large for 64 bits"])
def test_a_table_without_numbers_of_its_encodings_is_built_and_read_again(make, tmp_path):
    """Also where a process has met its genomes in another order than the one that built it."""
    space = make()
    listed = [space.text(arch) for arch in np.unique(space.sample(Streams(range(9))), axis=0)]
    figures = {text: float(number) for number, text in enumerate(listed)}
    lines = "".join(f'"{text}",{figure}\n' for text, figure in figures.items())
    file = tmp_path / "table.csv"
    file.write_text(f"arch,acc\n{lines}")
    tables = {"own": Source("csv", space.name, paths=[str(file)], columns={"acc": str(VALID)})}
    for wanted in (listed, listed[::-1]):
        own = make()
        asked = archs(*wanted, space=own)
        table = load_table(tables, ["own"], own, tmp_path)
        found = figures_at(table[VALID], table.row(asked)).tolist()
        assert found == [figures[text] for text in wanted]
        assert table.row(np.empty((0, asked.shape[1]), np.int64)).tolist() == []


def test_figures_of_rows():
    figures = np.array([1.5, 2.5], np.float32)
    np.testing.assert_array_equal(figures_at(figures, np.array([1, -1, 0])), [2.5, np.nan, 1.5])
    np.testing.assert_array_equal(figures_at(figures[:0], np.array([-1])), [np.nan])


def test_different_architectures():
    found, inverse = unique_archs(archs("001000:aa", "110011:ab", "001000:aa"))
    np.testing.assert_array_equal(found, archs("001000:aa", "110011:ab"))
    assert inverse.tolist() == [0, 1, 0]


# A table of three of half a billion encodings.

CHAIN = "100000100001000010001:" + "a" * 5
DIRECT, OTHER = "000001" + "0" * 15 + ":aaaaa", "100001" + "0" * 4 + "1" + "0" * 10 + ":bcaaa"


def nb101_table(tmp_path, text):
    file = tmp_path / "table.csv"
    file.write_text(text)
    source = Source(
        "csv",
        NB101_LIKE.name,
        paths=[str(file)],
        columns={
            "acc": str(VALID),
            "test": "test_score/toy/12of12/mean",
            "s": "train_s/toy/12of12/mean",
        },
    )
    return {"own": source}


LINES = f"arch,acc,test,s\n{CHAIN},90.5,90,7\n{DIRECT},70.25,70,5\n{OTHER},80,79,6\n"


def test_three_rows_of_half_a_billion_encodings_take_no_room(tmp_path):
    """A column over the whole space would be 2 GB."""
    assert NB101_LIKE.size == 2**21 * 3**5
    tracemalloc.start()
    table = load_table(nb101_table(tmp_path, LINES), ["own"], NB101_LIKE, tmp_path / "cache")
    asked = archs(OTHER, CHAIN, DIRECT, space=NB101_LIKE)
    rows = table.row(asked)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20e6
    assert len(table) == 3
    np.testing.assert_allclose(figures_at(table[VALID], rows), [80, 90.5, 70.25])
    # A vertex on no way to the output makes no other network.
    dangling = archs("1" + DIRECT[1:], space=NB101_LIKE)
    np.testing.assert_allclose(figures_at(table[VALID], table.row(dangling)), [70.25])


def test_a_search_over_them_measures_what_is_listed(tmp_path):
    """And the others are failed measurements, not crashes."""
    evaluator = Tabular(
        sources=["own"],
        tables=nb101_table(tmp_path, LINES),
        cache_dir=str(tmp_path / "cache"),
        reward="val@12",
    )
    session = evaluator.opened(NB101_LIKE, TASK)
    asked = np.concatenate([archs(CHAIN, space=NB101_LIKE), NB101_LIKE.sample(Streams(range(20)))])
    measured = session.evaluate(asked, epochs=np.full(21, 12), streams=Streams(range(21)))
    assert measured.score[0] == pytest.approx(90.5)
    known = {NB101_LIKE.canonical(arch) for arch in archs(CHAIN, DIRECT, OTHER, space=NB101_LIKE)}
    listed = np.array([NB101_LIKE.canonical(arch) in known for arch in asked])
    assert 0 < listed.sum() < 21
    np.testing.assert_array_equal(np.isnan(measured.score), ~listed)


def test_an_encoding_that_is_no_architecture_is_refused(tmp_path):
    nothing = "0" * 21 + ":aaaaa"
    tables = nb101_table(tmp_path, LINES + f"{nothing},1,1,1\n")
    with pytest.raises(DataError, match=r"tables\.own: not a graph architecture"):
        load_table(tables, ["own"], NB101_LIKE, tmp_path / "cache")


# Spaces that number their networks.


def nb101_archs(count):
    return NB101().sample(Streams(range(count)))


@pytest.fixture
def own_files(tmp_path):
    """Two tables of cells in the file: one encoding of each network, or some of them twice."""

    def written(listed):
        columns = {VALID: np.arange(len(listed), dtype=np.float32)}
        write_table(tmp_path / "t", Table(NB101(), listed, columns, {}), NB101())
        return open_table(tmp_path / "t", NB101())

    return written


def test_cells_are_found_by_the_keys_of_their_networks(own_files):
    archs = nb101_archs(300)
    keys, first = np.unique(NB101().canonical_keys(archs), return_index=True)
    listed = archs[np.sort(first)]
    table = own_files(listed)
    found = table[VALID][table.row(archs)]
    same = NB101().canonical_keys(listed)
    np.testing.assert_array_equal(same[found.astype(int)], NB101().canonical_keys(archs))
    np.testing.assert_array_equal(table.archs[table.row(listed)], listed)
    np.testing.assert_array_equal(table.rows.at(3), table.archs[3])
    assert len(keys) < len(archs)  # others are found as isomorphic ones
    half = ArchRows(NB101(), listed[::2])
    missing = half.of(listed[1::2])
    assert (missing == -1).all()
    assert half.of(np.zeros((1, 26), np.int64)).tolist() == [-1]  # no cell
    assert half.of(np.full((1, 26), 9)).tolist() == [-1]


def test_an_encoding_that_is_listed_beside_an_isomorphic_one_has_its_own_row(own_files):
    archs = nb101_archs(300)
    listed = np.unique(archs, axis=0)
    table = own_files(listed)
    np.testing.assert_array_equal(table[VALID][table.row(listed)], np.arange(len(listed)))
    moved = listed.copy()
    moved[:, 21:] = np.where(NB101().dag(listed).operations[:, 1:-1] < 0, 2, listed[:, 21:])
    rows = table.row(moved)  # other operations on unused vertices
    keys = NB101().canonical_keys(listed)
    np.testing.assert_array_equal(keys[table[VALID][rows].astype(int)], keys)


def test_a_table_whose_keys_were_computed_otherwise_is_refused(tmp_path, monkeypatch):
    listed = np.unique(nb101_archs(20), axis=0)
    table = Table(NB101(), listed, {VALID: np.zeros(len(listed), np.float32)}, {})
    with monkeypatch.context() as patched:
        patched.setattr(NB101, "canonical_keys", lambda self, archs: archs.sum(axis=1))
        write_table(tmp_path / "t", table, NB101())
    with pytest.raises(DataError, match="its networks have other keys"):
        open_table(tmp_path / "t", NB101())


def test_coverage_counts_networks_where_their_number_is_known():
    assert coverage(NB101(), 423_624) is None
    assert coverage(NB101(), 42_362) == "42,362 of 423,624 architectures (10 %)"
