import gzip
import json
import re
from functools import cache

import numpy as np
import pytest
from nb101_file import frame, training

from nasrun.benchmarks import nasbench101
from nasrun.benchmarks.nasbench101 import fingerprint
from nasrun.benchmarks.sources import Source, load_table
from nasrun.benchmarks.table import Column
from nasrun.errors import ConfigError, DataError
from nasrun.evaluators.tabular import Tabular
from nasrun.spaces.nb1shot1 import NB1Shot1
from nasrun.spaces.nb101 import NB101
from nasrun.spaces.nb101_notation import NAMES, read_cell
from nasrun.spec import Task
from nasrun.streams import Streams
from nasrun.verbs import perform

SPACE = NB101()
TASK = Task("cifar10", 10, 32, "cifar10-valid", "cifar10", 25_000, 25_000)
# Cells as the file has them: pruned, of two to seven vertices.
CELLS = (
    ([[0, 1], [0, 0]], [-1, -2]),
    (np.eye(3, k=1, dtype=int).tolist(), [-1, 2, -2]),
    ([[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [0] * 4], [-1, 0, 1, -2]),
    (np.eye(7, k=1, dtype=int).tolist(), [-1, 0, 1, 2, 0, 1, -2]),
)
BUDGETS = (4, 12, 36, 108)


def figures(cell, epochs, run):
    """Validation and test accuracy half way and at the end, and seconds; all different."""
    base = 0.5 + 0.01 * cell + 0.001 * epochs + 0.0001 * run
    return (base, base - 0.01), (base + 0.1, base + 0.09), 10.0 * epochs + cell + run


def record(cell, epochs, run, **changes):
    matrix, labels = CELLS[cell]
    half, end, seconds = figures(cell, epochs, run)
    said = {"fingerprint": fingerprint(matrix, labels), "matrix": matrix, "epochs": epochs}
    said |= {"operations": [NAMES[label] for label in labels], "half": half, "end": end}
    return training(**(said | {"seconds": seconds} | changes))


@cache
def content(budgets=BUDGETS):
    kinds = [(cell, epochs, run) for cell in range(4) for epochs in budgets for run in range(3)]
    return b"".join(frame(record(*kind)) for kind in kinds)


@pytest.fixture
def official(tmp_path):
    path = tmp_path / "nasbench_full.tfrecord"
    path.write_bytes(content())
    return path


def archs():
    return np.array([SPACE.parse(json.dumps(cell)) for cell in CELLS])


def test_every_training_is_read(official):
    told = []
    frame = nasbench101.read(official, SPACE, lambda done, total: told.append((done, total)))
    np.testing.assert_array_equal(frame.archs, archs())
    assert told[-1] == (official.stat().st_size,) * 2
    for epochs in BUDGETS:
        for run in range(3):
            for at, place in ((epochs // 2, 0), (epochs, 1)):
                for part, metric in enumerate(("val_score", "test_score")):
                    found = frame.columns[Column(metric, "cifar10", epochs, at, str(run))]
                    wanted = [100 * figures(c, epochs, run)[place][part] for c in range(4)]
                    np.testing.assert_allclose(found, wanted, rtol=1e-6)
        seconds = frame.columns[Column("train_s", "cifar10", epochs, epochs, "mean")]
        np.testing.assert_allclose(seconds, [(10 * epochs + c + 1) / epochs for c in range(4)])
    assert len(frame.columns) == 4 * (2 * 2 * 3 + 1)


def test_the_file_of_the_longest_trainings_alone(tmp_path):
    path = tmp_path / "nasbench_only108.tfrecord"
    path.write_bytes(content((108,)))
    columns = nasbench101.read(path, SPACE).columns
    assert {column.schedule for column in columns} == {108}
    assert {column.epoch for column in columns} == {54, 108}


@pytest.fixture
def tables(official):
    return {
        "own": Source("nasbench101", "nb101", [str(official)]),
        "part": Source("nasbench101", "nb1shot1_1", [str(official)]),
    }


def test_a_search_sees_budgets_halves_and_runs(tables, tmp_path):
    evaluator = Tabular(tables=tables, cache_dir=str(tmp_path / "cache"))
    session = evaluator.opened(SPACE, TASK)
    assert session.fidelities == (4, 12, 36, 54, 108)  # shorter trainings, half way, the end
    streams = Streams(range(4))
    for epochs, schedule, place in ((108, 108, 1), (54, 108, 0), (36, 36, 1)):
        measured = session.evaluate(archs(), epochs=np.full(4, epochs), streams=streams)
        ends = [figures(cell, schedule, 1)[place][0] for cell in range(4)]
        np.testing.assert_allclose(measured.score, 100 * np.array(ends), rtol=1e-5)
    short = Tabular(tables=tables, cache_dir=str(tmp_path / "cache"), reward="val@12", run="2")
    session = short.opened(SPACE, TASK)
    assert session.fidelities == (4, 6, 12)
    measured = session.evaluate(archs(), epochs=np.full(4, 12), streams=streams)
    wanted = [100 * figures(cell, 12, 2)[1][0] for cell in range(4)]
    np.testing.assert_allclose(measured.score, wanted, rtol=1e-5)
    scored = session.score(archs(), TASK)
    ends = [100 * figures(cell, 108, 1)[1][1] for cell in range(4)]
    np.testing.assert_allclose(scored.test_score, ends, rtol=1e-5)


def test_isomorphic_encodings_have_the_same_row(tables, tmp_path):
    table = load_table(tables, ["own"], SPACE, tmp_path / "cache")
    again = load_table(tables, ["own"], SPACE, tmp_path / "cache")  # from the cache
    chain = archs()[3:].repeat(2, axis=0)
    chain[0, [0, 5]] = [0, 0]  # no path at all: 0-1 is gone
    shifted = SPACE.parse("0001000" + "0000000" * 2 + "0000001" + "0000000" * 3 + " input,"
                          "conv1x1-bn-relu,conv3x3-bn-relu,maxpool3x3,conv3x3-bn-relu,"
                          "conv3x3-bn-relu,output")  # fmt: skip
    for own in (table, again):
        rows = own.row(np.stack([*archs(), *chain, shifted]))
        assert len(set(rows[:4].tolist())) == 4
        assert rows[4:].tolist() == [-1, rows[3], rows[1]]
        column = Column("val_score", "cifar10", 108, 108, "0")
        wanted = [100 * figures(cell, 108, 0)[1][0] for cell in range(4)]
        np.testing.assert_allclose(own[column][rows[:4]], wanted, rtol=1e-6)


def test_a_converted_file_serves_the_space_and_its_parts(official, tmp_path, capsys):
    out = tmp_path / "nb101.safetensors"
    assert perform(["convert", str(official), str(out)]) == 0
    assert "68 columns" in capsys.readouterr().out  # 48 of runs, 16 of their means, 4 of seconds
    tables = {
        "own": Source("converted", "nb101", [str(out)]),
        "part": Source("nasbench101", "nb1shot1_1", [str(out)]),
    }
    part = NB1Shot1()
    column = Column("val_score", "cifar10", 108, 108, "mean")
    wanted = [100 * figures(cell, 108, 1)[1][0] for cell in range(4)]
    table = load_table(tables, ["own"], SPACE, tmp_path)
    np.testing.assert_allclose(table[column][table.row(archs())], wanted, rtol=1e-6)
    table = load_table(tables, ["part"], part, tmp_path)
    # The third cell is the only one in it: vertex 2 reads the input and vertex 1, the output both
    # of them, and the other two are loose ends.
    matrix = np.zeros((6, 6), int)
    matrix[[0, 0, 1, 0, 1, 0, 1, 1, 2], [1, 2, 2, 3, 3, 4, 4, 5, 5]] = 1
    arch = part.parse(json.dumps([matrix.tolist(), [-1, 0, 1, 2, 2, -2]]))
    assert len(table) == 1
    stranger = part.at(np.array(0))
    assert table.row(np.stack([arch, stranger])).tolist() == [0, -1]
    assert table[column][0] == pytest.approx(wanted[2], rel=1e-6)
    direct = load_table(
        {"part": Source("nasbench101", part.name, [str(official)])}, [], part, tmp_path
    )
    np.testing.assert_array_equal(direct[column], table[column])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{}", "record 1 is no training of NAS-Bench-101"),
        (b"[" * 10_000, "nested too deeply"),
        (b'["a", 4, "0100", "input,output", ""]', "a cell 'a' after 4 epochs"),
        (record(0, 4, 0).replace(b" 4,", b' "4",'), "after '4' epochs"),
        (record(0, 4, 0, operations=["input", "conv7x7"]), "expected output at character"),
        (record(1, 4, 0, fingerprint=32 * "0"), "0{32} is not the fingerprint of its cell"),
        (re.sub(rb'[^"]*"]$', b'!!"]', record(0, 4, 0)), "record 1 is no training"),
        (json.dumps([32 * "a", 4, "0100", "input,output", ""]).encode(), "judged 0 times"),
    ],
)
def test_other_content_is_refused(tmp_path, data, words):
    path = tmp_path / "nasbench_full.tfrecord"
    path.write_bytes(frame(data))
    with pytest.raises(DataError, match=words) as caught:
        nasbench101.read(path, SPACE)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 600


def test_lines_of_base64_may_be_broken(tmp_path):
    """As by Python's own ``base64.encodebytes``."""
    whole = json.loads(record(0, 4, 0))
    broken = whole[4][:76] + "\n" + whole[4][76:] + "\n"
    path = tmp_path / "nasbench_full.tfrecord"
    frames = []
    for text in (whole[4], broken):
        path.write_bytes(frame(json.dumps([*whole[:4], text]).encode()))
        frames.append(nasbench101.read(path, SPACE))
    for column, figures in frames[0].columns.items():
        np.testing.assert_array_equal(figures, frames[1].columns[column])


def test_too_many_or_no_trainings_are_refused(tmp_path):
    path = tmp_path / "nasbench_full.tfrecord"
    path.write_bytes(b"".join(frame(record(0, 4, run)) for run in range(4)))
    with pytest.raises(DataError, match="was trained more than 3 times"):
        nasbench101.read(path, SPACE)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="expected trainings of NAS-Bench-101, found none"):
        nasbench101.read(path, SPACE)
    path.write_bytes(content()[:-7])
    with pytest.raises(DataError, match="ends in the middle of a record"):
        nasbench101.read(path, SPACE)


def test_one_cell_under_two_fingerprints_is_refused(tmp_path):
    other = record(3, 4, 0, fingerprint=32 * "0")
    path = tmp_path / "nasbench_full.tfrecord"
    path.write_bytes(frame(record(0, 4, 0)) + frame(record(3, 4, 0)) + frame(other))
    with pytest.raises(DataError, match="two that are the same"):
        nasbench101.read(path, SPACE)


def test_who_lacks_the_file_is_told_where_it_is(tmp_path):
    tables = {"nasbench101": Source("nasbench101", "nb101", ["nasbench_full.tfrecord"])}
    for names in ([], ["nasbench101"]):
        with pytest.raises(ConfigError, match=r"google-research/nasbench .* nasrun convert FILE"):
            load_table(tables, names, SPACE, tmp_path)


def test_the_fingerprint_of_an_unpruned_cell_is_that_of_what_is_left():
    matrix = [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert fingerprint(matrix, [-1, 2, 0, -2]) == fingerprint(*CELLS[1])


@pytest.mark.data
def test_published_fingerprints(data_dir):
    """All 2,532 of up to five vertices; every tenth of 4,310 and 500 larger ones."""
    import pandas as pd

    folder = data_dir / "nb101"
    graphs = json.loads(gzip.decompress((folder / "generated_graphs_5V9E.json.gz").read_bytes()))
    assert all(fingerprint(*cell) == said for said, cell in graphs.items())
    assert len(graphs) == 2532
    for file, bits in (
        ("ec_nas_7v_4310.csv.gz", "adjacency_row_major"),
        ("naslib_nb101_500.csv.gz", "adjacency_row_major_7x7"),
    ):
        table = pd.read_csv(folder / file, dtype=str).iloc[::10]
        texts = table[bits] + " " + table["operations"]
        assert [fingerprint(*read_cell(text)) for text in texts] == table["module_hash"].tolist()


@pytest.mark.slow
def test_keys_merge_what_fingerprints_merge():
    """On 100,000 random cells: as many keys as fingerprints as pairs of both."""
    cells = SPACE.sample(Streams(range(100_000)))
    keys = SPACE.canonical_keys(cells).tolist()
    adjacency, operations = SPACE.matrices(cells)
    labels = np.pad(operations, ((0, 0), (1, 1)))
    labels[:, 0], labels[:, -1] = -1, -2
    said = [
        fingerprint(a, own)
        for a, own in zip(adjacency.astype(int).tolist(), labels.tolist(), strict=True)
    ]
    assert len(set(keys)) == len(set(said)) == len(set(zip(keys, said, strict=True))) > 10_000
