import io
import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from toys import TASK, ToyEvaluator, toy_experiment

from nasrun import live as live_module
from nasrun.algorithms.random_search import RandomSearch
from nasrun.experiment import MetaTraining
from nasrun.jobs import Job, Jobs
from nasrun.live import Pace, Screen, StagePace, announce, duration_text, live
from nasrun.pipeline import search
from nasrun.progress import Stage, heard_by, stage, tell
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
    with live(experiment, 0, console=console) as watch:
        search(experiment.opened(), np.array(experiment.seeds), watch)
    shown = console.file.getvalue()
    assert "random on toy" in shown
    assert "20 of 20 trials" in shown
    assert "best 23.00, 120 evaluations" in shown  # of 24 networks, worth their numbers
    assert "/s" in shown
    assert " left" not in shown.rpartition("random on toy")[2]  # for nothing is


def job_of(pid):
    """The third of twelve jobs, which the process ``pid`` has launched."""
    return Job(Path("sweep"), 3, (), Jobs(12, 0, 0.0, pid, (), ()))


def test_jobs_side_by_side_and_a_pipe_show_no_bar():
    for console, job in (
        (terminal(), job_of(pid=0)),
        (Console(file=io.StringIO(), force_terminal=False), None),
    ):
        with live(toy_experiment(RandomSearch()), 0, job=job, console=console) as watch:
            watch(1, 6, 50.0)
        assert console.file.getvalue() == ""


def test_a_job_that_is_played_alone_shows_a_bar_with_its_number():
    console = terminal()
    experiment = toy_experiment(RandomSearch())
    with live(experiment, 0, job=job_of(os.getpid()), console=console) as watch:
        watch(1, 6, 50.0)
    assert "job 3 of 12: random on toy" in console.file.getvalue()


def shown(screen, width=80):
    """The lines of a screen."""
    console = Console(file=io.StringIO(), width=width)
    console.print(screen)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert max(map(len, lines)) <= width
    return lines


def test_what_is_under_way_has_a_line_of_its_own(clock):
    screen = Screen(Pace(3, clock=clock, trained_after=True), "random on toy")
    screen.watch(3, 18, 50.0)
    said = []
    with heard_by(screen.hear), stage("final training", parts=2) as own:
        for number in range(2):
            own.begin(number)
            for epoch in range(10):
                clock.now += 6.0
                tell((epoch + 1) / 10, lambda epoch=epoch: f"epoch {epoch + 1} of 10, loss 2.5")
                said.append(shown(screen))
    assert said[0][0].endswith(" 3 of 3 trials searched")
    assert said[0][2] == "  final training 1 of 2, epoch 1 of 10, loss 2.5, 2 min left"
    assert said[-2][2] == "  final training 2 of 2, epoch 9 of 10, loss 2.5, 6.0 s left"


def test_figures_stay_whole_at_80_columns_and_names_give_way(clock):
    screen = Screen(Pace(3, clock=clock), "a_method_with_a_name_that_is_rather_long[size=5] on toy")
    clock.now += 10
    screen.watch(1, 12_345, 50.0)
    with heard_by(screen.hear), stage("meta-training"):
        clock.now += 10
        words = "epoch 12 of 25 on imagenet16_120, 180 of 200 evaluations, and then some more"
        tell(0.5, lambda: words)
        first, second, third = shown(screen)
    assert first.endswith(" 1 of 3 trials, 20 s left")
    assert second == "  best 50.00, 12,345 evaluations, 1,234/s"
    assert third.endswith("…, 10 s left")


def test_little_is_asked_of_what_is_under_way(clock):
    screen, asked = Screen(Pace(3, clock=clock), "random on toy"), []

    def words():
        asked.append(clock.now)
        return ""

    with heard_by(screen.hear), stage("supernet"):
        for _ in range(1000):
            clock.now += 0.001
            tell(0.5, words)
    assert len(asked) <= 6  # a loss on a GPU has to be waited for


def test_a_pipe_says_when_a_stage_begins_and_once_a_minute_how_far_it_is(
    caplog, clock, monkeypatch
):
    monkeypatch.setattr(live_module, "Pace", lambda *args, **kw: Pace(*args, **kw, clock=clock))
    pipe = Console(file=io.StringIO(), force_terminal=False)
    with (
        caplog.at_level(logging.INFO, "nasrun.live"),
        live(toy_experiment(RandomSearch()), 0, console=pipe),
        stage("final training", parts=3) as own,
    ):
        for second in range(90):
            clock.now = 100.0 + second
            if second % 30 == 0:
                own.begin(second // 30)
            tell(second % 30 / 30, lambda second=second: f"second {second}")
    assert [record.getMessage() for record in caplog.records][1:-1] == [
        "random on toy: final training begins",
        "random on toy: 0 of 3 trials, final training 3 of 3, 30 s left",
    ]


def test_stages_that_are_the_search_itself_are_not_announced(caplog):
    pipe = Console(file=io.StringIO(), force_terminal=False)
    with (
        caplog.at_level(logging.INFO, "nasrun.live"),
        live(toy_experiment(RandomSearch()), 0, console=pipe),
    ):
        for name in ("supernet", "training"):
            with stage(name):
                tell(0.5)
    assert len(caplog.records) == 2


def test_a_stage_that_begins_anew_is_timed_anew(clock):
    pace = StagePace(clock)
    assert pace.texts([Stage("training", 0.0)]) == ("training", "")
    clock.now += 10
    assert pace.texts([Stage("training", 0.5)]) == ("training", "10 s left")
    clock.now += 1000
    assert pace.texts([Stage("training", 0.0)]) == ("training", "")
    clock.now += 2
    assert pace.texts([Stage("training", 0.5)]) == ("training", "2.0 s left")


def test_a_stage_that_begins_late_is_timed_from_its_first_move(clock):
    """Processes that train side by side take seconds to start, which no network takes again."""
    with stage("training of 6 networks", late=True) as own:
        pace = StagePace(clock)
        for share, after_s, left in ((0.0, 0, ""), (0.1, 60, ""), (0.2, 2, "16 s left")):
            clock.now += after_s
            own.move(share, str)
            assert pace.texts([own]) == ("training of 6 networks", left)


class Trained(ToyEvaluator):
    """The toy evaluator, as if it trained what was found."""

    final_training = "3 times 200 epochs"


@pytest.mark.parametrize(
    ("evaluator", "trials", "sentences"),
    [
        (ToyEvaluator(), 2, []),
        (Trained(), 1, ["after the search comes the final training: 3 times 200 epochs"]),
        (
            Trained(),
            2,
            [
                "after the search comes the final training: 3 times 200 epochs for each of 2 "
                "results (trials x tasks)"
            ],
        ),
    ],
)
def test_the_final_training_is_announced_before_the_search(caplog, evaluator, trials, sentences):
    experiment = replace(toy_experiment(RandomSearch(), trials=trials), evaluator=evaluator)
    with caplog.at_level(logging.INFO, "nasrun.live"):
        announce(experiment.opened(), None)
        announce(experiment.opened(), job_of(0))  # a sweep's jobs need not all say it
    assert [record.getMessage() for record in caplog.records] == sentences


def test_a_pipe_gets_a_log_line_at_the_start_and_the_end(caplog):
    console = Console(file=io.StringIO(), force_terminal=False)
    experiment = toy_experiment(RandomSearch(), trials=4)
    with caplog.at_level(logging.INFO, "nasrun.live"):
        with live(experiment, 1, console=console) as watch:
            watch(4, 18, 50.0)
        assert [record.levelname for record in caplog.records] == ["INFO", "INFO"]
    first, last = (record.getMessage() for record in caplog.records)
    assert first == "random on toy: 4 trials, 1 of them done before"
    assert last.startswith("random on toy: 4 of 4 trials, best 50.00, 18 evaluations, ")


def test_the_best_has_the_decimals_of_the_task_s_metric():
    console = terminal()
    task = TaskInNumbers(**vars(TASK), own_metric=metric_named("ssim"), own_objective=None)
    experiment = replace(toy_experiment(RandomSearch()), task=task)
    with live(experiment, 0, console=console) as watch:
        watch(1, 6, 0.58821)
    assert "best 0.5882, " in console.file.getvalue()


def test_meta_training_is_named_while_nothing_is_measured(caplog):
    meta = MetaTraining(None, {}, Path("nowhere"))
    experiment = replace(toy_experiment(RandomSearch()), meta=meta)
    with caplog.at_level(logging.INFO, "nasrun.live"):
        pipe = Console(file=io.StringIO(), force_terminal=False)
        with live(experiment, 0, console=pipe), stage("meta-training"):
            pass
    messages = [record.getMessage() for record in caplog.records]
    assert messages[:2] == ["random on toy: 3 trials", "random on toy: meta-training begins"]


def test_a_job_of_a_sweep_logs_once_a_minute_and_no_more(caplog, monkeypatch, clock):
    monkeypatch.setattr(live_module, "Pace", lambda *args, **kw: Pace(*args, **kw, clock=clock))
    experiment = toy_experiment(RandomSearch(), trials=2, evaluations=1000)
    with (
        caplog.at_level(logging.INFO, "nasrun.live"),
        live(experiment, 0, job=job_of(0), console=terminal()) as watch,
    ):
        for second in range(1, 180):
            clock.now = 100.0 + second
            watch(0, 10 * second, 40.0)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        f"job 3 of 12: random on toy: 0 of 2 trials, best 40.00, {rest}"
        for rest in ("600 evaluations, 10/s, 2 min left", "1,200 evaluations, 10/s, 1 min left")
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
    with live(experiment, 0, console=console) as watch:
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
    with live(again, 0, console=terminal()) as watch:
        watched, _ = search(again.opened(), np.array(again.seeds), watch)
    assert (plain.archs == watched.archs).all()
