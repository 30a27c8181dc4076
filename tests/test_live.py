import io
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from toys import TASK, toy_experiment

from nasrun import live as live_module
from nasrun.algorithms.random_search import RandomSearch
from nasrun.experiment import MetaTraining
from nasrun.live import Pace, duration_text, live
from nasrun.pipeline import search
from nasrun.spec import metric_named
from nasrun.spec.task import TaskInNumbers


class Clock:
    """Seconds that only a test moves."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def terminal(width=140):
    return Console(force_terminal=True, file=io.StringIO(), width=width, color_system=None)


def test_a_terminal_shows_the_group_its_best_its_rate_and_the_time_left():
    experiment, console = toy_experiment(RandomSearch(), trials=20, evaluations=6), terminal()
    with live(experiment, 0, sweep=False, console=console) as watch:
        search(experiment.opened(), np.array(experiment.seeds), watch)
    shown = console.file.getvalue()
    assert "random on toy" in shown
    assert "20 of 20 trials" in shown
    assert "best 23.00, 120 evaluations" in shown  # of 24 networks, worth their numbers
    assert "/s" in shown
    assert " left" not in shown.rpartition("random on toy")[2]  # for nothing is


def test_a_sweep_and_a_pipe_show_no_bar():
    for console, sweep in (
        (terminal(), True),
        (Console(file=io.StringIO(), force_terminal=False), False),
    ):
        with live(toy_experiment(RandomSearch()), 0, sweep=sweep, console=console) as watch:
            watch(1, 6, 50.0)
        assert console.file.getvalue() == ""


def test_a_pipe_gets_a_log_line_at_the_start_and_the_end(caplog):
    console = Console(file=io.StringIO(), force_terminal=False)
    experiment = toy_experiment(RandomSearch(), trials=4)
    with caplog.at_level(logging.INFO, "nasrun.live"):
        with live(experiment, 1, sweep=False, console=console) as watch:
            watch(4, 18, 50.0)
        assert [record.levelname for record in caplog.records] == ["INFO", "INFO"]
    first, last = (record.getMessage() for record in caplog.records)
    assert first == "random on toy: 4 trials, 1 of them done before"
    assert last.startswith("random on toy: 4 of 4 trials, best 50.00, 18 evaluations, ")


def test_the_best_has_the_decimals_of_the_task_s_metric():
    console = terminal()
    task = TaskInNumbers(**vars(TASK), own_metric=metric_named("ssim"), own_objective=None)
    experiment = replace(toy_experiment(RandomSearch()), task=task)
    with live(experiment, 0, sweep=False, console=console) as watch:
        watch(1, 6, 0.58821)
    assert "best 0.5882, " in console.file.getvalue()


def test_meta_training_is_named_while_nothing_is_measured(caplog):
    meta = MetaTraining(None, {}, Path("nowhere"))
    experiment, console = replace(toy_experiment(RandomSearch()), meta=meta), terminal()
    with live(experiment, 0, sweep=False, console=console):
        pass
    assert "0 of 3 trials, meta-training" in console.file.getvalue()
    with caplog.at_level(logging.INFO, "nasrun.live"):
        pipe = Console(file=io.StringIO(), force_terminal=False)
        with live(experiment, 0, sweep=False, console=pipe):
            pass
    assert caplog.records[0].getMessage() == "random on toy: 3 trials, meta-training first"


def test_a_job_of_a_sweep_logs_once_a_minute_and_no_more(caplog, monkeypatch, clock):
    monkeypatch.setattr(live_module, "Pace", lambda *args, **kw: Pace(*args, **kw, clock=clock))
    experiment = toy_experiment(RandomSearch(), trials=2, evaluations=1000)
    with (
        caplog.at_level(logging.INFO, "nasrun.live"),
        live(experiment, 0, sweep=True, console=terminal()) as watch,
    ):
        for second in range(1, 180):
            clock.now = 100.0 + second
            watch(0, 10 * second, 40.0)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "random on toy: 0 of 2 trials, best 40.00, 600 evaluations, 10/s, 2 min left",
        "random on toy: 0 of 2 trials, best 40.00, 1,200 evaluations, 10/s, 1 min left",
    ]


def test_the_share_counts_measurements_where_they_are_the_budget(clock):
    pace = Pace(trials=10, kept=5, each=20, clock=clock)
    assert pace.share == 0.5
    assert pace.left_s is None
    clock.now += 10
    pace.watch(5, 50, 1.0)  # half of what the five others may do
    assert pace.share == 0.75
    assert pace.left_s == pytest.approx(10.0)
    assert pace.rate == pytest.approx(5.0)
    pace.watch(10, 90, 1.0)  # trials that ended for another reason are done all the same
    assert pace.share == 1.0


def test_meta_training_does_not_slow_the_pace(clock):
    pace = Pace(trials=10, each=20, late=True, clock=clock)
    clock.now += 1000
    pace.watch(0, 10, 1.0)
    assert pace.left_s is None
    clock.now += 10
    pace.watch(0, 105, 1.0)
    assert pace.rate == pytest.approx(9.5)
    assert pace.left_s == pytest.approx(10.0)


def test_the_share_counts_trials_where_time_is_the_budget(clock):
    pace = Pace(trials=4, each=None, clock=clock)
    clock.now += 30
    pace.watch(1, 700, 1.0)
    assert pace.share == 0.25
    assert pace.left_s == pytest.approx(90.0)


def test_a_budget_in_seconds_is_shown_by_trials():
    experiment = toy_experiment(RandomSearch(), trials=2, simulated_s=50.0)
    console = terminal()
    with live(experiment, 0, sweep=False, console=console) as watch:
        watch(1, 4, 20.0)
    assert "1 of 2 trials" in console.file.getvalue()


def test_before_the_first_reward_none_is_shown(clock):
    assert Pace(3, clock=clock).figures_text() == "0 evaluations, 0/s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.21, "0.2 s"), (35.2, "35 s"), (100, "2 min"), (3599, "1.0 h"), (12600, "3.5 h")],
)
def test_durations_are_short(seconds, text):
    assert duration_text(seconds) == text


def test_watching_changes_no_number():
    experiment = toy_experiment(RandomSearch(), trials=5)
    plain, _ = search(experiment.opened(), np.array(experiment.seeds), None)
    again = replace(experiment, algorithm=RandomSearch())
    with live(again, 0, sweep=False, console=terminal()) as watch:
        watched, _ = search(again.opened(), np.array(again.seeds), watch)
    assert (plain.archs == watched.archs).all()
