import importlib
import json
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture(scope="module")
def benchmark():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield importlib.import_module("benchmark")


SMALL = ["--trials", "3", "--evaluations", "4", "--repeats", "1"]


def test_a_line_is_measured_and_printed(benchmark, capsys, monkeypatch, cache_dir):
    monkeypatch.setenv("NASRUN_CACHE", str(cache_dir))
    assert benchmark.main(["--only", "rea", "--json", *SMALL]) == 0
    (line,) = json.loads(capsys.readouterr().out)["lines"]
    assert line["what"] == "rea, 3 trials x 4 evaluations at once"
    assert line["measured"] > 0
    assert line["target"] is None  # targets are for the official size


def test_each_table_at_hand_is_searched(benchmark, capsys, monkeypatch, cache_dir):
    monkeypatch.setenv("NASRUN_CACHE", str(cache_dir))
    monkeypatch.delenv("NASRUN_DATA", raising=False)
    two = [[f"space={space}", "task=cifar10"] for space in ("nats_size", "nb201")]
    assert all(point in benchmark.searches.points() for point in two)
    monkeypatch.setattr(benchmark.searches, "points", lambda: two)
    assert benchmark.main(["--only", "tables", "--json", *SMALL]) == 0
    (line,) = json.loads(capsys.readouterr().out)["lines"]  # of what comes with pip
    assert line["what"] == "rea, 3 trials x 4 evaluations, space=nb201 task=cifar10"


def test_the_table_shows_every_line(benchmark, capsys, monkeypatch, cache_dir):
    monkeypatch.setenv("NASRUN_CACHE", str(cache_dir))
    monkeypatch.setattr(benchmark.searches, "COHORTS", (1, 2))
    assert benchmark.main(["--only", "cohorts", *SMALL]) == 0
    assert capsys.readouterr().out.count("at once") == 2


def test_catch_is_compared_with_one_trial_at_a_time(benchmark, capsys, monkeypatch, cache_dir):
    monkeypatch.setenv("NASRUN_CACHE", str(cache_dir))
    made = benchmark.searches.experiment
    small = ["meta.agents=2", "meta.epochs=1", "meta.networks=4"]
    monkeypatch.setattr(
        benchmark.searches, "experiment", lambda overrides: made([*overrides, *small])
    )
    assert benchmark.main(["--only", "catch,catch_meta", "--json", *SMALL]) == 0
    at_once, ratio, meta = json.loads(capsys.readouterr().out)["lines"]
    assert at_once["what"] == "catch, 3 trials x 4 evaluations at once"
    assert ratio["unit"] == "times"
    assert ratio["measured"] > 0
    assert meta["what"] == "catch, meta-training 1 x 4 of 2 agents"


def test_batches_are_compared_with_pictures_one_by_one(benchmark, capsys, monkeypatch):
    monkeypatch.setattr(benchmark.data, "PICTURES", 500)
    assert benchmark.main(["--only", "batches", "--json", "--repeats", "1"]) == 0
    rate, ratio = json.loads(capsys.readouterr().out)["lines"]
    assert rate["unit"] == "a second"
    assert rate["measured"] > 0
    assert ratio["measured"] > 0


def test_the_report_is_measured_as_the_script_makes_it(benchmark, capsys):
    assert benchmark.main(["--only", "report", "--json", *SMALL]) == 0
    (line,) = json.loads(capsys.readouterr().out)["lines"]
    assert line["what"].startswith("report of 72 trial rows")
    assert line["measured"] > 0


def test_an_unknown_line_is_refused_by_name(benchmark, capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["--only", "speed"])
    assert "speed is none of rea, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("measured", "target", "more", "verdict"),
    [(1.0, 2.0, False, "ok"), (3.0, 2.0, False, "FAIL"), (3.0, 2.0, True, "ok"),
     (1.0, 2.0, True, "FAIL"), (1.0, None, False, "")],
)  # fmt: skip
def test_a_missed_target_is_called_a_failure(benchmark, measured, target, more, verdict):
    assert benchmark.Line("x", measured, "s", target, more).verdict == verdict


@pytest.mark.slow
def test_a_job_of_a_sweep_is_compared_with_an_empty_one(benchmark, capsys, monkeypatch, cache_dir):
    monkeypatch.setenv("NASRUN_CACHE", str(cache_dir))
    monkeypatch.setattr(benchmark.commands, "JOBS", 2)
    assert benchmark.main(["--only", "sweep", "--json", "--repeats", "1"]) == 0
    empty, own, difference, done = json.loads(capsys.readouterr().out)["lines"]
    assert difference["measured"] == pytest.approx(own["measured"] - empty["measured"])
    assert difference["target"] == 0.2
    assert done["what"] == "a sweep of 3 jobs that are done, started again"
