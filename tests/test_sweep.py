"""What the command line notes of a sweep, whoever plays it."""

from dataclasses import fields

import pytest
from composed import composed
from omegaconf import OmegaConf
from toys import toy_experiment

from nasrun import sweep
from nasrun.algorithms.random_search import RandomSearch
from nasrun.errors import DataError
from nasrun.pipeline import run
from nasrun.record.recorder import Recorder
from nasrun.record.request import Request
from nasrun.report.schema import DEFAULT, Report, parse_report
from nasrun.sweep import SweepCallback

OURS = ("hydra_plugins.nasrun.SplitSweeper", "nasrun.sweepers.split.SplitSweeper")
THEIRS = "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"


def begun(folder, target, split=1, report=None):
    hydra = {"sweeper": {"_target_": target}, "sweep": {"dir": str(folder)}}
    config = {"hydra": hydra, "sweep": {"split": split}, "report": report}
    SweepCallback().on_multirun_start(OmegaConf.create(config))


@pytest.fixture(autouse=True)
def forgotten():
    yield
    sweep._current.clear()


@pytest.mark.parametrize("folder", ["x" * 300, "${nowhere}"])
def test_a_run_folder_that_cannot_be_is_left_to_hydra_to_refuse(folder):
    SweepCallback().on_run_start(OmegaConf.create({"hydra": {"run": {"dir": folder}}}))


def test_a_plug_in_with_a_sweeper_of_our_name_does_not_split(tmp_path, capsys):
    with pytest.raises(SystemExit) as answer:
        begun(tmp_path, THEIRS, split=2)
    assert answer.value.code == 2
    assert "sweep.split=2 would be ignored" in capsys.readouterr().err


@pytest.mark.parametrize("target", OURS)
def test_our_sweepers_may_split_and_a_refused_sweep_of_theirs_is_not_collected(
    tmp_path, target, capsys
):
    begun(tmp_path, target, split=2)
    sweep.withdraw()
    assert sweep.close() == 0
    assert not capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_what_a_sweeper_of_others_played_before_it_was_refused_is_collected(tmp_path, capsys):
    begun(tmp_path, THEIRS)
    sweep.withdraw()
    assert sweep.close() == 0
    assert "wrote" in capsys.readouterr().out


def reported(folder, monkeypatch, capsys, node, edit=lambda folder: None):
    """Close a sweep of one finished job with this report node: its exit code and what was said."""
    job(folder / "job")
    edit(folder)
    begun(folder, OURS[0], report=node)
    sweep.expect([["seed=0"]])
    code = sweep.close()
    return code, capsys.readouterr()


def job(folder):
    experiment = toy_experiment(RandomSearch(), trials=3)
    asked = Request(("seed=0",), "conf", "composed", "one", 0, 3)
    with Recorder(folder, "one", asked) as recorder:
        run(experiment.opened(), recorder, dict)


def test_every_sweep_ends_with_a_report(tmp_path, monkeypatch, capsys):
    code, said = reported(tmp_path, monkeypatch, capsys, dict(DEFAULT, figures=[]))
    assert code == 0
    assert f"report: {tmp_path}/report.html" in said.out
    names = {path.name for path in tmp_path.iterdir()}
    assert {"report.html", "report.md", "report.tex", "report.csv", "trials.csv"} <= names


def test_a_report_that_is_null_is_none(tmp_path, monkeypatch, capsys):
    code, said = reported(tmp_path, monkeypatch, capsys, None)
    assert code == 0
    assert "report:" not in said.out
    assert not said.err
    assert not (tmp_path / "report.html").exists()


def test_a_report_that_fails_is_one_sentence_and_fails_nothing(tmp_path, monkeypatch, capsys):
    def fall(*_, **__):
        raise DataError("trials are missing")

    monkeypatch.setattr("nasrun.report.experiment.write_report", fall)
    code, said = reported(tmp_path, monkeypatch, capsys, dict(DEFAULT))
    assert code == 0
    assert said.err.startswith(f"nasrun: the results are in {tmp_path}, but no report: ")
    assert said.err.count("\n") == 1
    assert "wrote" in said.out
    assert (tmp_path / "summary.csv").exists()


@pytest.mark.parametrize("key", ["published", "published_ranks"])
def test_figures_to_compare_with_are_looked_for_before_the_first_job(tmp_path, capsys, key):
    with pytest.raises(SystemExit) as ended:
        begun(tmp_path, OURS[0], report={key: "nowhere"})
    assert ended.value.code == 1
    assert f"report.{key}=nowhere is none of " in capsys.readouterr().err


def test_a_slip_of_ours_in_a_report_is_one_sentence_too(tmp_path, monkeypatch, capsys):
    def fall(*_, **__):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("nasrun.report.experiment.write_report", fall)
    code, said = reported(tmp_path, monkeypatch, capsys, dict(DEFAULT))
    assert code == 0
    assert "no report: this should not happen: ZeroDivisionError: oh" in said.err


def test_a_very_long_sweep_is_reported_on_demand(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sweep, "UNASKED", 2)
    _, said = reported(tmp_path, monkeypatch, capsys, dict(DEFAULT))
    assert f"no report of 3 rows unasked: nasrun report {tmp_path} makes it" in said.out
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"name": "../victim/paper"}, "report.name='../victim/paper' must be a plain file name"),
        ({"columns": ["scores"]}, "report.columns"),
        ("yes", "report must be a group of keys and values, or null"),
    ],
)
def test_a_wrong_report_is_refused_before_the_first_job(tmp_path, capsys, node, message):
    with pytest.raises(SystemExit) as answer:
        begun(tmp_path, OURS[0], report=node)
    assert answer.value.code == 2
    assert message in capsys.readouterr().err


def test_the_report_of_the_command_line_is_the_default():
    node = OmegaConf.to_container(composed().report)
    assert set(node) == {field.name for field in fields(Report)}
    assert parse_report(node) == parse_report(DEFAULT)
