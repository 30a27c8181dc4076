from dataclasses import replace

import miniature
import numpy as np
import pytest
from toys import ToySpace

from nasrun.benchmarks import nats_bench
from nasrun.benchmarks.curves import Curve
from nasrun.benchmarks.merge import Merge
from nasrun.benchmarks.plausible import require_plausible
from nasrun.benchmarks.records import Collector
from nasrun.benchmarks.source import Source
from nasrun.benchmarks.sources import convert, load_table
from nasrun.benchmarks.store import open_table, write_table
from nasrun.benchmarks.table import Column, Frame, Table
from nasrun.benchmarks.trainings import TrainedEpoch, TrainingLog
from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.evaluators.tabular import MissingRun, Tabular
from nasrun.experiment import problem_of
from nasrun.hardware.none import NoDevice
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Task
from nasrun.streams import Streams

SPACE = ToySpace((2, 3))
LOSS = Curve("train_loss", "toy", 4, "1")
BLOCK = np.arange(24, dtype=np.float32).reshape(6, 4)
SCORE = Column("val_score", "toy", 4, 4, "mean")


def table(curves=None, columns=None):
    own = {SCORE: np.arange(6, dtype=np.float32), **(columns or {})}
    return Table(
        SPACE, None, own, {}, ["first"], curves={LOSS: BLOCK} if curves is None else curves
    )


def test_names_are_read_back_and_test_figures_have_none():
    assert Curve.parse(str(LOSS)) == LOSS
    for wrong in ("curve/test_score/toy/4/1", "curve/train_loss/toy/4", "train_loss/toy/4/1"):
        with pytest.raises(ConfigError, match="expected a name such as curve/"):
            Curve.parse(wrong)


def test_a_curve_is_that_of_its_row_and_a_mean_that_of_the_runs_there_are():
    other = BLOCK + 10
    other[2, 1:] = np.nan
    both = table({LOSS: BLOCK, LOSS._replace(run="2"): other})
    rows = np.array([2, -1, 0])
    np.testing.assert_array_equal(both.curve(LOSS, rows)[[0, 2]], BLOCK[[2, 0]])
    mean = both.curve(LOSS._replace(run="mean"), rows)
    np.testing.assert_array_equal(mean[0], [13, 9, 10, 11])
    np.testing.assert_array_equal(mean[2], BLOCK[0] + 5)
    assert np.isnan(mean[1]).all()
    assert both.curves("toy", 4) == ("train_loss",)
    for missing in (LOSS._replace(run="3"), LOSS._replace(metric="val_loss")):
        with pytest.raises(KeyError):
            both.curve(missing, rows)


def test_columns_by_epoch_are_a_curve_too_and_a_last_figure_alone_is_none():
    early = SCORE._replace(epoch=2)
    found = table(columns={early: np.full(6, 7, np.float32)})
    assert found.curves("toy", 4) == ("val_score", "train_loss")
    curve = found.curve(Curve("val_score", "toy", 4, "mean"), np.array([3, -1]))
    np.testing.assert_array_equal(curve, [[np.nan, 7, np.nan, 3], [np.nan] * 4])
    assert table().curves("toy", 4) == ("train_loss",)


def test_they_come_back_from_disk_mapped_and_checked(tmp_path):
    path = tmp_path / "t.safetensors"
    listed = SPACE.at(np.array([5, 1, 3]))  # int16 beside the blocks, so that offsets matter
    whole = Table(SPACE, listed, {SCORE: np.float32([1, 2, 3])}, {}, curves={LOSS: BLOCK[:3]})
    write_table(path, whole, SPACE)
    back = open_table(path, SPACE)
    assert isinstance(back.blocks[LOSS], np.memmap)
    assert (len(back.blocks), list(back.blocks)) == (1, [LOSS])
    np.testing.assert_array_equal(back.curve(LOSS, back.row(listed[[1, 0]])), BLOCK[[1, 0]])
    with pytest.raises(KeyError):
        back.blocks[LOSS._replace(run="9")]

    data = bytearray(path.read_bytes())
    at = data.find(BLOCK[:3].tobytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="curve/train_loss/toy/4/1 is damaged; delete the file"):
        open_table(path, SPACE).curve(LOSS, np.array([0]))


def test_blocks_of_another_length_are_refused(tmp_path):
    path = tmp_path / "t"
    write_table(path, table({LOSS: BLOCK[:, :3]}), SPACE)
    with pytest.raises(DataError, match=r"not a table of nasrun .*expected 6 x 4 float32"):
        open_table(path, SPACE)


def test_sources_fill_each_others_gaps_and_disagreements_are_said():
    texts = [SPACE.text(arch) for arch in SPACE.at(np.arange(6))]
    first = BLOCK.copy()
    first[0] = np.nan
    theirs = BLOCK.copy()
    theirs[2, 3] += 1
    merge = Merge(SPACE)
    merge.add("A", Frame(texts[:3], {}, {LOSS: first[:3]}))
    merge.add("B", Frame(texts[::-1], {}, {LOSS: theirs[::-1]}))
    rows = Table(SPACE, merge.archs, merge.columns(), {}, curves=merge.curves)
    found = rows.curve(LOSS, rows.row(SPACE.at(np.arange(6))))
    np.testing.assert_array_equal(found, BLOCK)  # A wins where both have a figure
    [conflict] = merge.conflicts
    assert "A and B disagree on curve/train_loss/toy/4/1 for 1 of 8 shared figures" in conflict
    assert f"for {texts[2]}" in conflict


def test_a_score_out_of_range_is_refused_and_an_infinite_loss_is_not():
    wild = BLOCK.copy()
    wild[1, 2] = np.inf
    require_plausible("A", Frame(list("abcdef"), {}, {LOSS: wild}), {})
    with pytest.raises(DataError, match=r"curve/val_score/toy/4/1 of b is inf, expected 0 to 100"):
        require_plausible(
            "A", Frame(list("abcdef"), {}, {LOSS._replace(metric="val_score"): wild}), {}
        )


def test_nasbench201s_official_file_has_curves_of_what_a_search_may_see():
    collector = Collector(9)
    content = miniature.official()
    for number, info in content["arch2infos"].items():
        for length in info.values():
            collector.add(length, f"arch {number}")
    curves = collector.frame().curves
    found = {(curve.dataset, curve.schedule, curve.metric) for curve in curves}
    assert ("cifar10-valid", 200, "val_score") in found
    assert ("cifar10", 200, "train_loss") in found
    assert ("cifar10", 200, "val_loss") not in found  # all its images are trained on
    assert ("cifar10-valid", 12, "val_score") not in found  # which are columns
    run = content["arch2infos"][1]["full"]["all_results"]["cifar10-valid", 777]
    expected = [run["eval_acc1es"][f"x-valid@{epoch}"] for epoch in range(200)]
    block = curves[Curve("val_score", "cifar10-valid", 200, "777")]
    np.testing.assert_array_equal(block[1], np.float32(expected))
    expected = [run["train_losses"][epoch] for epoch in range(200)]
    np.testing.assert_array_equal(
        curves[Curve("train_loss", "cifar10-valid", 200, "777")][1], np.float32(expected)
    )


@pytest.mark.data
def test_genuine_records_have_them_but_no_test_curve(data_dir):
    folder = data_dir / "nb201" / "nats_official_layout" / "NATS-tss-v1_0-3ffb9-simple"
    frame = nats_bench.read(folder)
    long = {(curve.dataset, curve.metric) for curve in frame.curves if curve.schedule == 200}
    alone = {(name, "train_loss") for name in ("cifar10", "cifar100", "ImageNet16-120")}
    assert long == alone | {("cifar10-valid", m) for m in ("val_score", "val_loss", "train_loss")}
    for curve, block in frame.curves.items():
        known = ~np.isnan(block).all(axis=1)
        assert not np.isnan(block[known]).any(), curve
        if curve[:3] == ("val_score", "cifar10-valid", 200):
            last = frame.columns[Column("val_score", "cifar10-valid", 200, 200, curve.run)]
            np.testing.assert_allclose(block[known, -1], last[known], atol=1e-5)


@pytest.fixture
def session(tmp_path):
    """Our own trainings of two cells: seed 777 twice, seed 888 once, two epochs."""
    cells = [NB201().text(NB201().at(np.array(number))) for number in (77, 78)]
    rows = [
        TrainedEpoch(
            f"{number}{seed}", "toy", 2, 16, 1000, 100, "0f", "search", "nb201", cell, "8", "1",
            "r1", 2, seed, "cpu", epoch, 10.0 * number + epoch + seed, "accuracy_pct", 10.0,
            50.0 + epoch, np.nan, 4.0, 0.5, "",
        )
        for number, cell in enumerate(cells)
        for seed in (777, 888)[: 2 - number]
        for epoch in (1, 2)
    ]  # fmt: skip
    TrainingLog(tmp_path / "trainings.csv").add(rows)
    source = Source("trainings", "nb201", [str(tmp_path / "trainings.csv")])

    def opened(**settings):
        task = Task("toy", 2, 16, "a", "b", 100, 1000)
        own = {"tables": {"t": source}, "cache_dir": str(tmp_path / "cache"), **settings}
        return Tabular(**own).opened(NB201(), task)

    return opened


ASKED = NB201().at(np.array([77, 78, 79]))


def test_a_session_gives_them_up_to_the_epochs_that_were_trained(session):
    own = session()
    assert own.curves == ("val_score", "train_score", "train_loss")
    found = own.curve(ASKED, epochs=np.array([2, 1, 2]), figure="train_loss")
    np.testing.assert_array_equal(found, [[833.5, 834.5], [788, np.nan], [np.nan] * 2])
    scores = own.curve(ASKED, epochs=np.array([1, 1, 1]))
    np.testing.assert_array_equal(scores, [[51], [51], [np.nan]])
    assert own.curve(ASKED[:0], epochs=np.zeros(0, int)).shape == (0, 0)
    with pytest.raises(UnsupportedError, match="curves of val_loss, and the evaluator has only of"):
        own.curve(ASKED, epochs=np.array([1, 1, 1]), figure="val_loss")


def test_they_are_those_of_the_run_that_the_reward_comes_from(session):
    epochs = np.array([2, 2, 2])
    one = session(run="888").curve(ASKED, epochs=epochs, figure="train_loss")
    np.testing.assert_array_equal(one[:2], [[889, 890], [788, 789]])  # the mean stands in
    with pytest.raises(ConfigError, match=r"evaluator\.missing_run=mean"):
        session(run="888", missing_run=MissingRun.error)
    with pytest.raises(ConfigError, match=r"set evaluator\.run=mean"):
        session(run="random").curve(ASKED, epochs=epochs, figure="train_loss")


def test_a_problem_hands_them_on(session):
    problem = problem_of(
        NB201(), Task("toy", 2, 16, "a", "b", 100, 1000), session(), NoDevice(), Streams([0])
    )
    assert problem.curves == ("val_score", "train_score", "train_loss")
    np.testing.assert_array_equal(problem.curve(ASKED[:1], 2), [[51, 52]])
    bare = replace(problem, read_curve=None, curves=())
    with pytest.raises(UnsupportedError, match="has none at all: use a table"):
        bare.curve(ASKED[:1], 2)


def test_conversion_and_the_cache_keep_them(tmp_path):
    folder = miniature.nats_folder(tmp_path / "NATS-tss-v1_0-simple", miniature.official())
    out = tmp_path / "nb201.safetensors"
    convert(Source("nats_bench", "nb201", [str(folder)]), out, NB201())
    tables = {"converted": Source("converted", "nb201", [str(out)])}
    kept = load_table(tables, [], NB201(), tmp_path)
    assert kept.curves("cifar10", 200) == ("train_loss",)
    assert kept.curves("cifar10-valid", 12) == ("val_score", "val_loss", "train_loss")
    original = nats_bench.read(folder)
    for curve, block in original.curves.items():
        np.testing.assert_array_equal(kept.blocks[curve], block)
