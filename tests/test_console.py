from dataclasses import replace

from toys import ToyEvaluator, toy_experiment

from nasrun.algorithms.random_search import RandomSearch
from nasrun.console import show_sweep
from nasrun.pipeline import run
from nasrun.record.collect import collect
from nasrun.record.recorder import Recorder


class OtherClock(ToyEvaluator):
    """The toy evaluator under another protocol."""

    @property
    def protocol(self):
        return {**super().protocol, "clock": "another"}


def test_a_sweep_over_protocols_shows_a_line_for_each(tmp_path, capsys):
    for name, evaluator, trials in (("a", ToyEvaluator(), 3), ("b", OtherClock(), 4)):
        experiment = replace(toy_experiment(RandomSearch(), trials=trials), evaluator=evaluator)
        evaluator.start(experiment.space, experiment.task)
        with Recorder(tmp_path / name, name) as recorder:
            run(experiment, recorder, dict)
    show_sweep(tmp_path, collect(tmp_path), [])
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "random" in line]
    assert sorted(line[5] for line in lines) == ["3", "4"], lines


def test_a_sweep_over_a_parameter_shows_it_whole_after_the_name(tmp_path, capsys, monkeypatch):
    for size in (5, 7):
        folder = tmp_path / str(size)
        with Recorder(folder, str(size)) as recorder:
            run(toy_experiment(RandomSearch(), trials=2), recorder, dict)
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
