"""The predictor benchmark: figures by hand, trials that are split and resumed, curves, logs."""

import gzip
from types import SimpleNamespace

import numpy as np
import pytest
from composed import nb201_experiment
from matplotlib.colors import to_hex

from nasrun.errors import ConfigError, DataError
from nasrun.files import read_csv
from nasrun.predictors.blr import BayesianLinear
from nasrun.predictors.lcsvr import LCSVR
from nasrun.predictors.learning_curves import CurveReading, Figure, Reading
from nasrun.predictors.oracle import Oracle
from nasrun.record.collect import collect
from nasrun.record.recorder import Recorder
from nasrun.record.request import Request
from nasrun.streams import Streams
from nasrun.studies.agreement import COLUMNS, Agreement, agreement, means
from nasrun.studies.best_predictor import colours, winners
from nasrun.studies.curve_logs import read_logs
from nasrun.studies.play import play_study
from nasrun.studies.predictors import PredictorBenchmark, _Logs, _Table

MEASURED = ("fit_s", "query_s")


@pytest.fixture(scope="module")
def opened(cache_dir):
    return nb201_experiment("cifar100", cache_dir).opened()


def rows(opened, seeds, predictor=None, **settings):
    study = PredictorBenchmark(predictor=predictor, **{"test": 25, "train": [8, 30]} | settings)
    texts = [dict(zip(COLUMNS, map(str, row), strict=True)) for row in study.rows(opened, seeds)]
    return [Agreement.of(text) for text in texts]


def test_agreement_by_hand():
    truth = np.array([10.0, 30.0, 20.0, 40.0])
    found = agreement(np.array([1.04, 1.01, 3.0, 4.0]), truth)
    # Of six pairs four agree; rounded to 0.1, the first two are tied.
    assert found["kendall"] == pytest.approx((4 - 2) / 6)
    assert found["spearman"] == pytest.approx(1 - 6 * (1 + 4 + 1) / 60)
    assert found["kendall_1dec"] == pytest.approx((4 - 1) / np.sqrt(5 * 6))
    assert np.isnan([found["precision_10"], found["precision_20"]]).all()  # all are among 10 of 4
    assert agreement(np.ones(4), truth)["kendall"] == 0.0
    # Of 25 the predicted best are 8 to 17, or 3 to 22.
    truth, predicted = -np.arange(25.0), -np.abs(np.arange(25.0) - 12.4)
    found = agreement(predicted, truth)
    assert (found["precision_10"], found["precision_20"]) == (2 / 10, 17 / 20)
    assert np.isnan(agreement(predicted[:20], truth[:20])["precision_20"])
    assert agreement(predicted[:21], truth[:21])["precision_20"] == 19 / 20


def test_sizes_that_there_are_too_few_trainings_for_are_named(opened, tmp_path, caplog):
    space, path = opened.experiment.space, tmp_path / "cells.csv"
    path.write_text("\n".join(["arch", *map(space.text, space.at(np.arange(0, 15_000, 400)))]))
    found = rows(opened, [0], BayesianLinear(), cells=str(path), train=[8, 13, 14, 30])
    assert [row.train for row in found] == [8, 13]
    assert "study.train=14,30 is left out: beside study.test=25 there are 13" in caplog.text


def test_the_oracle_guesses_and_a_regression(opened):
    by = {name: rows(opened, range(3), own) for name, own in (
        ("random", None), ("oracle", Oracle()), ("bayes_lin_reg", BayesianLinear())
    )}  # fmt: skip
    # Rows may be of one network, whose figures are equal.
    assert all(row.kendall > 0.99 for row in by["oracle"])
    assert [row.train for row in by["random"]] == [0, 0, 0]
    assert abs(np.mean([row.kendall for row in by["random"]])) < 0.3
    small, large = (
        np.mean([row.kendall for row in by["bayes_lin_reg"] if row.train == size])
        for size in (8, 30)
    )
    assert large > small
    first, second = by["bayes_lin_reg"][:2]
    assert second.training_s > first.training_s > 0
    assert first.partial_s == first.partial == 0.0


def test_what_smaller_sizes_learn_from_is_the_beginning_of_what_larger_ones_do(opened):
    both = rows(opened, range(2), BayesianLinear(), train=[9, 20])
    alone = rows(opened, range(2), BayesianLinear(), train=[20])
    assert [row.kendall for row in both if row.train == 20] == [row.kendall for row in alone]


def test_cells_of_a_file_are_drawn_once_at_most(opened, tmp_path):
    space, path = opened.experiment.space, tmp_path / "cells.csv"
    archs = space.at(np.arange(0, 15_000, 400))
    path.write_text("\n".join(["arch", *map(space.text, archs)]))
    study = PredictorBenchmark(cells=str(path), test=25)
    asked, known = _Table(study, opened).drawn(Streams([0, 1]), 25, 30)
    assert asked.archs.shape[1] == 25
    assert known.archs.shape[1] == len(archs) - 25  # fewer than asked for
    for trial in range(2):
        both = np.concatenate([asked.archs[trial], known.archs[trial]])
        assert sorted(space.index(both)) == sorted(space.index(archs))
    with pytest.raises(DataError, match=r"lists 38 architectures.*lower study.test=40"):
        _Table(study, opened).drawn(Streams([0, 1]), 40, 30)


def test_an_interrupted_job_ends_with_the_rows_of_an_unbroken_one(opened, tmp_path):
    study = PredictorBenchmark(predictor=BayesianLinear(), test=10, train=[8], at_once=2)
    wanted = SimpleNamespace(experiment=SimpleNamespace(
        **{**vars(opened.experiment), "seeds": range(4)}
    ), measuring=opened.measuring, images={}, pool=None, meta_label="none")  # fmt: skip
    found = {}
    for name, begun in (("whole", False), ("broken", True)):
        with Recorder(tmp_path / name, "key", rows=study.file) as recorder:
            if begun:
                recorder.keep_rows(0, study.columns, study.rows(opened, range(1)))
                assert recorder.finished() == {0}
            play_study(study, wanted, recorder, dict)
        found[name] = read_csv(tmp_path / name / study.file, COLUMNS)
    for one, other in zip(found["whole"], found["broken"], strict=True):
        assert {key: one[key] for key in COLUMNS if key not in MEASURED} == {
            key: other[key] for key in COLUMNS if key not in MEASURED
        }
    names = {path.name for path in (tmp_path / "whole").iterdir()}
    assert names >= {"predictors.csv", "predictors_means.csv", "predictors_best.svg", "report.html"}
    assert "unfinished" not in names


def job(folder, seed, cells):
    request = Request((f"seed={seed}",), "conf", "composed", "data", seed, 1)
    with Recorder(folder, f"key {seed}", request, rows="agreement.csv") as recorder:
        recorder.keep_rows(seed, ("predictor", "seed", "kendall"), cells)
        recorder.join_rows([seed])
        recorder.conclude({}, 1.0)


def test_a_sweep_joins_the_rows_of_its_jobs(tmp_path):
    job(tmp_path / "a", 10, [("rf", 10, 0.5), ("gp", 10, float("nan"))])
    job(tmp_path / "b", 9, [("rf", 9, 0.25)])
    assert collect(tmp_path).rows == 3
    joined = [list(row.values()) for row in read_csv(tmp_path / "agreement.csv")]
    assert joined == [["gp", "10", ""], ["rf", "9", "0.25"], ["rf", "10", "0.5"]]
    with Recorder(tmp_path / "a", "key 10", None, rows="agreement.csv") as recorder:
        assert recorder.complete
    job(tmp_path / "c", 9, [("rf", 9, 0.25)])
    with pytest.raises(DataError, match="two jobs hold predictor rf, seed 9"):
        collect(tmp_path)


def test_a_job_whose_rows_lack_a_trial_is_not_complete(tmp_path):
    job(tmp_path, 4, [("rf", 4, 0.5)])
    (tmp_path / "agreement.csv").write_text("predictor,seed,kendall\n")
    request = Request(("seed=4",), "conf", "composed", "data", 4, 1)
    with Recorder(tmp_path, "key 4", request, rows="agreement.csv") as recorder:
        assert not recorder.complete


def test_means_and_their_error():
    cells = dict.fromkeys(COLUMNS, "0") | {"space": "s", "task": "t", "predictor": "p"}
    own = [Agreement.of(cells | {"kendall": text, "training_s": ""}) for text in ("0.2", "0.4")]
    (mean,) = means(own)
    assert (mean.n, mean.values["kendall"]) == (2, pytest.approx(0.3))
    assert mean.error == pytest.approx(0.1)
    assert np.isnan(mean.times_s[0])
    with pytest.raises(DataError, match="cannot be read"):
        Agreement.of(cells | {"kendall": "much"})


def test_the_best_within_each_pair_of_times():
    begin, ask = np.array([1.0, 10.0]), np.array([1.0, 5.0])
    best, tau = winners([(1.0, 5.0), (10.0, 1.0), (1.0, 1.0)], [0.7, 0.9, 0.1], begin, ask)
    assert best.tolist() == [[2, 1], [0, 1]]
    assert tau.tolist() == [[0.1, 0.9], [0.7, 0.9]]
    best, _ = winners([(10.0, 5.0)], [0.5], begin, ask)
    assert best.tolist() == [[-1, -1], [-1, 0]]


@pytest.mark.parametrize("count", [3, 30])
def test_no_two_predictors_have_one_colour(count):
    found = colours([f"p{at}" for at in range(count)])
    assert len({to_hex(own) for own in found.values()}) == count


class Gappy:
    """The session with training losses that order cells as their scores do, and gaps in some."""

    curves = ("train_loss",)

    def __init__(self, session, lacking, gap=slice(-1, None)):
        self._session, self._lacking, self._gap = session, lacking, gap

    def __getattr__(self, name):
        return getattr(self._session, name)

    def curve(self, archs, *, epochs, figure):
        assert figure == "train_loss"
        full = np.full(len(archs), self.fidelities[-1])
        score = self.evaluate(archs, epochs=full, streams=Streams(range(len(archs)))).score
        loss = np.repeat((100.0 - score)[:, None], epochs.max(initial=0), axis=1)
        loss[self._lacking(archs), self._gap] = np.nan
        return loss


@pytest.mark.parametrize("learns", [False, True])
def test_curves_with_gaps_do_not_count_as_figures_of_zero(opened, learns):
    gappy = Gappy(opened.measuring, lambda archs: archs[:, 0] == 0)
    there = SimpleNamespace(experiment=opened.experiment, measuring=gappy)
    sotl_e = CurveReading(figure=Figure.train_loss)
    own = LCSVR(figure=Figure.train_loss, c=10.0, gamma=0.01) if learns else sotl_e
    found = rows(there, range(2), own, epochs=[3], train=[30])
    assert all(5 < row.tested < 25 for row in found)
    assert all(row.kendall > 0.99 for row in found)


def test_a_table_whose_curves_all_have_gaps_is_refused(opened):
    gappy = Gappy(opened.measuring, lambda archs: np.ones(len(archs), bool))
    there = SimpleNamespace(experiment=opened.experiment, measuring=gappy)
    with pytest.raises(DataError, match="train_loss after epoch 3, found 0: raise"):
        rows(there, range(2), CurveReading(figure=Figure.train_loss), epochs=[3])


def test_a_gap_before_the_last_epoch_matters_to_sums_alone(opened):
    gappy = Gappy(opened.measuring, lambda archs: np.ones(len(archs), bool), slice(1))
    there = SimpleNamespace(experiment=opened.experiment, measuring=gappy)
    found = rows(there, range(2), CurveReading(figure=Figure.train_loss), epochs=[3])
    assert all(row.tested == 25 and row.kendall > 0.99 for row in found)
    summed = CurveReading(figure=Figure.train_loss, reading=Reading.sum)
    with pytest.raises(DataError, match="train_loss after every epoch up to 3, found 0: raise"):
        rows(there, range(2), summed, epochs=[3])


def columns_file(tmp_path, count=40, epochs=6):
    steady = np.linspace(0.1, 0.9, count)[:, None] * (1 - 0.5 / np.arange(1, epochs + 1))
    lines = [",".join(f"acc_{at + 1}" for at in range(epochs))]
    lines += [",".join(f"{cell:.6f}" for cell in row) for row in steady]
    lines += ["0.5" + "," * (epochs - 1)]  # cut off
    path = tmp_path / "steady.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_logs_are_read_by_epochs_that_were_paid_for(opened, tmp_path):
    path = columns_file(tmp_path)
    logs = read_logs(path)
    assert logs.val_score.shape == (40, 6)
    assert logs.final[-1] == pytest.approx(90 * (1 - 0.5 / 6), abs=1e-3)
    settings = {"logs": str(path), "epochs": [2, 4, 99], "test": 20}
    found = rows(opened, range(2), CurveReading(), **settings)
    assert [(row.seed, row.epochs) for row in found] == [(0, 2), (0, 4), (1, 2), (1, 4)]
    assert all(row.kendall == pytest.approx(1.0) for row in found)
    assert [row.partial for row in found[:2]] == [pytest.approx(2 / 6), pytest.approx(4 / 6)]
    assert found[0].task == "steady"
    with pytest.raises(ConfigError, match="has not: take a predictor of learning curves"):
        rows(opened, range(2), BayesianLinear(), **settings)


def test_trainings_of_several_tasks_want_one(tmp_path):
    path = tmp_path / "trainings.csv"
    head = "training,task,epoch,epochs,loss,val_score"
    lines = [f"{name},{task},{epoch},2,{2 - epoch / 4},{50 + epoch}" for name, task in
             (("a", "one"), ("b", "one"), ("c", "two")) for epoch in (1, 2)]  # fmt: skip
    path.write_text("\n".join([head, *lines, "d,one,1,2,1.0,50"]) + "\n")
    with pytest.raises(ConfigError, match=r"2 tasks: choose one of them with study\.log_task"):
        read_logs(path)
    own = read_logs(path, "one")
    assert own.val_score.tolist() == [[51, 52], [51, 52]]
    assert own.train_loss.tolist() == [[-1.75, -1.5]] * 2


def test_architectures_of_trainings_are_read_with_their_curves(opened, tmp_path):
    path, space = tmp_path / "trainings.csv", opened.experiment.space
    archs = space.sample(Streams(range(12)))
    lines = ["training,task,arch,epoch,epochs,loss,val_score"]
    lines += [
        f"{name},one,{space.text(arch)},{epoch},3,1.0,{arch.sum() + epoch}"
        for name, arch in enumerate(archs)
        for epoch in (1, 2, 3)
    ]
    path.write_text("\n".join(lines) + "\n")
    source = _Logs(PredictorBenchmark(predictor=BayesianLinear(), logs=str(path)), opened)
    asked, known = source.drawn(Streams([4]), 5, 7)
    for drawn in (asked, known):
        np.testing.assert_array_equal(drawn.score, drawn.archs.sum(axis=2) + 3.0)
    assert len({space.text(arch) for arch in [*asked.archs[0], *known.archs[0]]}) == 12
    np.testing.assert_array_equal(source.inputs(asked, BayesianLinear(), 0).archs, asked.archs)
    settings = {"logs": str(path), "test": 5, "train": [7]}
    [found] = rows(opened, range(1), BayesianLinear(), **settings)
    assert (found.train, found.epochs) == (7, 0)


def test_trainings_of_another_space_have_curves_alone(opened, tmp_path):
    path = tmp_path / "trainings.csv"
    lines = ["training,task,arch,epoch,epochs,loss,val_score"]
    lines += [f"{at},one,nor|mal,{e},3,{3 - e}.{at},{at + e}" for at in range(9) for e in (1, 2, 3)]
    path.write_text("\n".join(lines) + "\n")
    settings = {"logs": str(path), "test": 5, "train": [4], "epochs": [2]}
    [found] = rows(opened, range(1), CurveReading(), **settings)
    assert (found.train, found.epochs, found.tested) == (0, 2, 5)
    with pytest.raises(ConfigError, match=r"has others \(.*set space to theirs, or take a pred"):
        rows(opened, range(1), BayesianLinear(), **settings)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="expected a column for every epoch"):
        read_logs(tmp_path / "other.csv")


@pytest.mark.data
@pytest.mark.parametrize(
    ("reading", "wanted"),
    [(Reading.sum, [0.688, 0.747, 0.795]), (Reading.last, [0.741, 0.804, 0.850])],
)
def test_sums_of_training_losses_on_nas_bench_nlp(opened, data_dir, reading, wanted):
    """As measured on all 341 whole trainings, at 5, 10 and 20 of 50 epochs."""
    path = data_dir / "nb_nlp" / "nas_bench_nlp_wikitext2_logs.zip"
    own = CurveReading(figure=Figure.train_loss, reading=reading)
    found = rows(opened, range(1), own, logs=str(path), epochs=[5, 10, 20], test=341)
    assert [row.tested for row in found] == [341] * 3
    np.testing.assert_allclose([row.kendall for row in found], wanted, atol=0.001)
