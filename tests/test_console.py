import io
from dataclasses import replace

import pytest
from rich.console import Console
from rich.table import Table
from toys import ToyEvaluator, toy_experiment

from nasrun.algorithms.random_search import RandomSearch
from nasrun.console import plain, show_run, show_sweep
from nasrun.files import read_csv
from nasrun.pipeline import run
from nasrun.record.collect import collect
from nasrun.record.recorder import Recorder
from nasrun.record.summary import write_summary
from nasrun.spec import metric_named


class OtherClock(ToyEvaluator):
    """The toy evaluator under another protocol."""

    @property
    def protocol(self):
        return replace(super().protocol, clock="another")


def test_a_sweep_over_protocols_shows_a_line_for_each(tmp_path, capsys):
    for name, evaluator, trials in (("a", ToyEvaluator(), 3), ("b", OtherClock(), 4)):
        experiment = replace(toy_experiment(RandomSearch(), trials=trials), evaluator=evaluator)
        with Recorder(tmp_path / name, name) as recorder:
            run(experiment.opened(), recorder, dict)
    show_sweep(tmp_path, collect(tmp_path), [])
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "random" in line]
    assert sorted(line[2] for line in lines) == ["3", "4"], lines


def test_a_sweep_over_a_parameter_shows_it_whole_after_the_name(tmp_path, capsys, monkeypatch):
    for size in (5, 7):
        folder = tmp_path / str(size)
        with Recorder(folder, str(size)) as recorder:
            run(toy_experiment(RandomSearch(), trials=2).opened(), recorder, dict)
        (folder / ".hydra").mkdir()
        (folder / ".hydra" / "overrides.yaml").write_text(f"- algorithm.size={size}\n")
    collected = collect(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    show_sweep(tmp_path, collected, [])
    shown = capsys.readouterr().out
    assert "random[size=5]" in shown
    assert "random[size=7]" in shown
    monkeypatch.setenv("COLUMNS", "60")
    show_sweep(tmp_path, collected, [])
    assert "…" not in capsys.readouterr().out


class InItsMetric(ToyEvaluator):
    """The toy evaluator, whose final figures are in its own metric."""

    def final_metric(self, task):
        return self.metric


def play(folder, evaluator, algorithm=None, trials=4):
    experiment = toy_experiment(algorithm or RandomSearch(), trials=trials)
    with Recorder(folder, "one") as recorder:
        run(replace(experiment, evaluator=evaluator).opened(), recorder, dict)


def shown_lines(capsys):
    return [line.strip("│┃ ") for line in capsys.readouterr().out.splitlines()]


def test_a_run_is_shown_in_its_metric(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    play(tmp_path, InItsMetric(metric=metric_named("ssim")))
    show_run(tmp_path)
    lines = shown_lines(capsys)
    (spread,) = [line for line in lines if line.startswith("validation SSIM")]
    assert len(spread.split()[3].partition(".")[2]) == 4
    assert any(line.startswith("test SSIM") for line in lines)
    assert not [line for line in lines if "accuracy" in line or "failed" in line]


def test_of_errors_the_lowest_is_the_best_found(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    play(tmp_path, InItsMetric(metric=metric_named("error_pct")))
    show_run(tmp_path)
    (best,) = [line for line in shown_lines(capsys) if line.startswith("best found")]
    assert best.startswith("best found, validation error (%)")
    found = [float(row["val_score"]) for row in read_csv(tmp_path / "trials.csv")]
    assert min(found) < max(found)
    assert float(best.split()[-1]) == min(found)


@pytest.mark.parametrize("fails_below", [0, 6, 16])
def test_failed_measurements_are_shown_where_there_are_some(
    tmp_path, capsys, monkeypatch, fails_below
):
    monkeypatch.setenv("COLUMNS", "200")
    play(tmp_path / "job", ToyEvaluator(fails_below=fails_below))
    rows = read_csv(tmp_path / "job" / "trials.csv")
    share = sum(int(row["failed"]) for row in rows) / sum(int(row["evaluations"]) for row in rows)
    show_run(tmp_path / "job")
    one = shown_lines(capsys)
    show_sweep(tmp_path, collect(tmp_path), [])
    many = shown_lines(capsys)
    said = [line.split()[-1] for line in one if line.startswith("failed measurements")]
    assert said == ([f"{100 * share:.1f}"] if share else [])
    (row,) = [line.split() for line in many if line.startswith("random ")]
    shown = next(line for line in many if line.startswith("algorithm ")).endswith("%")
    assert shown == (share > 0)
    assert not share or row[-1] == f"{100 * share:.1f}"
    sentence = f"{share:.0%} of the measurements of random on toy failed"
    assert [any(sentence in line for line in lines) for lines in (one, many)] == [share > 0.5] * 2


def test_tasks_with_metrics_of_their_own_are_named_with_them(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("ssim", "error_pct"):
        play(tmp_path / name, InItsMetric(metric=metric_named(name)), RandomSearch(name=name))
    show_sweep(tmp_path, collect(tmp_path), [])
    lines = shown_lines(capsys)
    assert any("test score" in line for line in lines)
    assert any("toy, SSIM" in line for line in lines)
    assert any("toy, error (%)" in line for line in lines)


def test_the_hypervolume_of_fronts_is_shown_where_there_are_some(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    play(tmp_path, ToyEvaluator(), trials=2)
    trials = read_csv(tmp_path / "trials.csv")
    write_summary(tmp_path / "summary.csv", trials, [{**row, "hypervolume": "7"} for row in trials])
    show_run(tmp_path)
    (shown,) = [line for line in shown_lines(capsys) if line.startswith("hypervolume")]
    assert "7.00 ± 0.00" in shown


def test_names_are_no_markup_and_move_no_cursor():
    """A name in a table that somebody sends may hold anything."""
    shown = io.StringIO()
    table = Table(title=plain("rea[b=5][/x] \x1b[31mred\x9b2J\r"))
    table.add_column("a wide column for the title to stand in")
    Console(file=shown, width=80).print(table)
    assert "rea[b=5][/x] �[31mred�2J�" in shown.getvalue()
    assert "\x1b" not in shown.getvalue()
