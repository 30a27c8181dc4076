import json
import zipfile

import numpy as np
import pytest
from scipy.stats import kendalltau

from nasrun.benchmarks import nb_nlp
from nasrun.benchmarks.curves import Curve
from nasrun.benchmarks.table import Column
from nasrun.errors import DataError

CELLS = [
    '{"f": {"op": "linear", "input": ["x", "h_prev_0"]}, "h_new_0": {"op": "activation_tanh", '
    '"input": ["f"]}}',
    '{"h_new_0": {"op": "linear", "input": ["x", "h_prev_0"]}}',
]


def log(cell=0, epochs=3, **changes):
    losses = [2.0 - 0.5 * epoch for epoch in range(epochs)]
    own = {
        "data": "data/wikitext-2", "epochs": 3, "recepie": CELLS[cell], "status": "OK",
        "wall_times": [10.0, 20.0, 30.0][:epochs], "train_losses": losses,
        "val_losses": [1 + loss for loss in losses], "test_losses": [3 + loss for loss in losses],
    }  # fmt: skip
    return {**own, **changes}


def written(path, *logs):
    with zipfile.ZipFile(path, "w") as archive:
        for number, content in enumerate(logs):
            text = content if isinstance(content, str) else json.dumps(content)
            archive.writestr(f"logs/log_{number}.json", text)
    return path


def test_curves_and_perplexities_are_read_run_by_run(tmp_path):
    frame = nb_nlp.read(written(tmp_path / "logs.zip", log(), log(1, epochs=2), log()))
    assert [json.loads(text) for text in frame.archs] == [json.loads(cell) for cell in CELLS]
    train = frame.curves[Curve("train_loss", "wikitext-2", 3, "1")]
    np.testing.assert_array_equal(train, [[2, 1.5, 1], [2, 1.5, np.nan]])
    second = frame.curves[Curve("val_loss", "wikitext-2", 3, "2")]
    np.testing.assert_array_equal(second, [[3, 2.5, 2], [np.nan] * 3])
    last = frame.columns[Column("val_score", "wikitext-2", 3, 3, "1")]
    np.testing.assert_allclose(last, [np.exp(2), np.nan])
    early = frame.columns[Column("val_score", "wikitext-2", 3, 2, "1")]
    np.testing.assert_allclose(early, [np.exp(2.5)] * 2)
    test = frame.columns[Column("test_score", "wikitext-2", 3, 3, "1")]
    np.testing.assert_allclose(test, [np.exp(4), np.nan])
    seconds = frame.columns[Column("train_s", "wikitext-2", 3, 3, "1")]
    np.testing.assert_allclose(seconds, [20, 15])
    assert not any(curve.metric.startswith("test") for curve in frame.curves)


def test_a_folder_will_do_and_a_loss_that_is_no_number_is_missing(tmp_path):
    broken = log(status="loss is nan!", train_losses=[2.0, float("nan")])
    (tmp_path / "a.json").write_text(json.dumps(broken))
    frame = nb_nlp.read(tmp_path)
    train = frame.curves[Curve("train_loss", "wikitext-2", 3, "1")]
    np.testing.assert_array_equal(train, [[2, np.nan, np.nan]])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1, 2", "log_0.json is no log of NAS-Bench-NLP"),
        ({"recepie": "{}"}, "KeyError: 'epochs'"),
        (log(val_losses=[1.0] * 4), "val_losses has 4 figures for 3 epochs"),
        (log(recepie="x"), "is no log of NAS-Bench-NLP"),
    ],
)
def test_other_logs_are_refused(tmp_path, content, words):
    with pytest.raises(DataError, match=words):
        nb_nlp.read(written(tmp_path / "logs.zip", content))


def test_other_files_are_refused(tmp_path):
    path = written(tmp_path / "logs.zip", log())
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="not a zip of logs"):
        nb_nlp.read(path)
    with pytest.raises(DataError, match="expected JSON logs of NAS-Bench-NLP, found none"):
        nb_nlp.read(written(tmp_path / "empty.zip"))


@pytest.mark.data
def test_genuine_curves_predict_as_measured(data_dir):
    """345 runs; validation loss at epoch 5, 10, 20 against the best: Kendall .766, .832, .908."""
    frame = nb_nlp.read(data_dir / "nb_nlp" / "nas_bench_nlp_wikitext2_logs.zip")
    runs = [c.run for c in frame.curves if c.metric == "val_loss"]
    blocks = [frame.curves[Curve("val_loss", "wikitext-2", 50, run)] for run in sorted(runs)]
    curves = np.concatenate(blocks)
    curves = curves[~np.isnan(curves[:, 0])]
    assert len(curves) == 343  # two were not a number in the first epoch
    full = curves[~np.isnan(curves).any(axis=1)]
    assert len(full) == 341
    assert full.min() == pytest.approx(4.5676, abs=5e-5)
    for epoch, expected in ((5, 0.766), (10, 0.832), (20, 0.908)):
        found = kendalltau(full[:, epoch - 1], full.min(axis=1)).statistic
        assert found == pytest.approx(expected, abs=6e-4)
