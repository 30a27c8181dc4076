import csv
import hashlib
from dataclasses import fields, replace

import numpy as np
import pytest
from toys import TASK, ToyEvaluator, ToySpace, toy_experiment, toy_problem

from nasrun.algorithms.random_search import RandomSearch
from nasrun.algorithms.rea import REA
from nasrun.budget import Budget, Edge
from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.evaluators.screened import Screened
from nasrun.evaluators.training import Training
from nasrun.experiment import problem_of
from nasrun.files import read_csv, read_json
from nasrun.hardware.none import NoDevice
from nasrun.nets.recipe import Precision, Recipe
from nasrun.nets.trainer import Trainer
from nasrun.pipeline import retrain, run, search
from nasrun.play import play
from nasrun.record.evaluations import Kept
from nasrun.record.history import History
from nasrun.record.recorder import Recorder
from nasrun.record.rows import EVALUATION_COLUMNS, PROTOCOL, TRIAL_COLUMNS
from nasrun.spaces.nb201 import NB201
from nasrun.spec import ACCURACY, Measured, Metric, Phase, Protocol, Task, metric_named
from nasrun.streams import Streams
from nasrun.tasks.synthetic_images import SyntheticImages

T = "trials.csv"


def play_toy(seeds, algorithm=None, **options):
    experiment = toy_experiment(algorithm or RandomSearch(), **options)
    return search(experiment.opened(), np.array(seeds), None)


def evaluations(history):
    """Measurements as dicts by column."""
    columns = history.columns(ToySpace(), ACCURACY, ToyEvaluator().protocol)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def bytes_of(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.suffix == ".csv" or path.name in {"best.json", "provenance.json"}
    }


def record(experiment, folder, watch=None):
    with Recorder(folder, "toy") as recorder:
        run(experiment.opened(), recorder, lambda: {"fixed": True}, watch)
    return folder


def test_the_best_measured_architecture_is_reported_with_its_reward():
    outcome, history = play_toy([0, 1, 2])
    rows = evaluations(history)
    for trial, seed in enumerate([0, 1, 2]):
        best = max((r for r in rows if r["seed"] == seed), key=lambda row: row["val_score"])
        assert ToySpace().text(outcome.archs[trial]) == best["arch"]
        assert outcome.reward[trial] == best["val_score"]


def test_a_dropped_measurement_cannot_win():
    kept, _ = play_toy(range(50), simulated_s=30.0, edge=Edge.keep)
    dropped, history = play_toy(range(50), simulated_s=30.0, edge=Edge.drop)
    assert (kept.evaluations == 3).all()
    assert (dropped.evaluations == 2).all()
    assert (dropped.clock_s == 24.0).all()
    assert (dropped.reward <= kept.reward).all()
    assert (dropped.reward < kept.reward).any()
    assert len(evaluations(history)) == 100


def test_a_budget_below_one_measurement_is_refused_or_overspent():
    with pytest.raises(ConfigError, match="first evaluation costs 12 s"):
        play_toy([0], simulated_s=5.0, edge=Edge.drop)
    with pytest.raises(ConfigError, match=r"takes longer than budget.wall_s=1e-09"):
        play_toy([0], wall_s=1e-9, edge=Edge.drop)
    outcome, _ = play_toy([0], simulated_s=5.0)
    assert outcome.evaluations.tolist() == [1]


def test_noise_of_the_evaluator_does_not_shift_the_search():
    quiet, _ = play_toy(range(5))
    _, noisy = play_toy(range(5), evaluator=ToyEvaluator(noise=1e-9))
    _, plain = play_toy(range(5))
    archs = [[row["arch"] for row in evaluations(h)] for h in (noisy, plain)]
    assert archs[0] == archs[1]
    assert len(quiet.archs) == 5


def test_failed_measurements_are_rows_without_reward_and_never_win():
    outcome, history = play_toy(
        range(20), REA(population=3), evaluator=ToyEvaluator(fails_below=12)
    )
    rows = evaluations(history)
    assert any(row["val_score"] is None for row in rows)
    measured = {row["seed"] for row in rows if row["val_score"] is not None}
    assert all(outcome.reward[seed] >= 12 for seed in measured)


@pytest.mark.parametrize("cohort", [1, 2, 3, 500])
def test_the_cohort_size_changes_no_byte(tmp_path, cohort):
    whole = record(toy_experiment(REA(population=3), trials=7), tmp_path / "whole")
    parts = record(toy_experiment(REA(population=3), trials=7, cohort=cohort), tmp_path / "parts")
    assert bytes_of(whole) == bytes_of(parts)


class Cut(RuntimeError):
    """The moment at which a test kills a run."""


@pytest.mark.parametrize("trials_before", [0, 1, 2, 3, 5])
def test_a_run_cut_off_anywhere_ends_with_the_same_bytes(tmp_path, trials_before):
    def cut(finished, evaluations, best):
        if finished > trials_before:
            raise Cut

    whole = record(toy_experiment(REA(population=3), trials=6), tmp_path / "whole")
    folder = tmp_path / "cut"
    with pytest.raises(Cut):
        record(toy_experiment(REA(population=3), trials=6, cohort=2), folder, cut)
    with Recorder(folder, "toy") as recorder:
        assert recorder.finished() == set(range(trials_before // 2 * 2))
    record(toy_experiment(REA(population=3), trials=6, cohort=5), folder)
    assert bytes_of(folder) == bytes_of(whole)


def test_a_finished_run_is_not_played_again(tmp_path):
    folder = record(toy_experiment(RandomSearch()), tmp_path)
    before = bytes_of(folder)

    class Refuses(ToyEvaluator):
        def evaluate(self, archs, *, epochs, streams, parents=None):
            raise AssertionError("played again")

    record(toy_experiment(RandomSearch(), evaluator=Refuses()), folder)
    assert bytes_of(folder) == before


def test_the_watch_sees_every_trial_finish(tmp_path):
    seen = []
    with Recorder(tmp_path, "toy") as recorder:
        experiment = toy_experiment(RandomSearch(), trials=5, cohort=2)
        run(experiment.opened(), recorder, dict, lambda *state: seen.append(state))
    assert seen[-1][:2] == (5, 30)
    bests = [best for *_, best in seen]
    assert bests == sorted(bests)
    assert [finished for finished, *_ in seen] == sorted(finished for finished, *_ in seen)


def test_wall_time_stands_in_the_rows_only_where_it_decides(tmp_path):
    def walls(folder):
        with (folder / "trials.csv").open() as stream:
            return [row["wall_s"] for row in csv.DictReader(stream)]

    assert walls(record(toy_experiment(RandomSearch()), tmp_path / "a")) == [""] * 3
    timed = walls(record(toy_experiment(RandomSearch(), wall_s=0.01), tmp_path / "b"))
    assert all(float(wall) >= 0.01 for wall in timed)


def test_final_figures_are_asked_for_before_the_search():
    class Refusing(ToyEvaluator):
        def check_final(self, task):
            raise ConfigError(f"no figures of {task.name}")

    with pytest.raises(ConfigError, match="no figures of "):
        toy_experiment(REA(), evaluator=Refusing()).opened()


class Nearest(ToyEvaluator):
    """Answers with architecture 000, whatever it is asked for."""

    def evaluate(self, archs, *, epochs, streams, parents=None):
        return super().evaluate(np.zeros_like(archs), epochs=epochs, streams=streams)


class Numbered(NoDevice):
    """An architecture takes its number plus one, in ms; the reward is the negative latency."""

    objectives = ("score", "latency_ms")

    def latency_ms(self, archs):
        return ToySpace().index(archs) + 1.0

    def reward(self, score, latency_ms, metric):
        return -latency_ms


def test_the_latency_is_that_of_what_was_measured():
    problem = toy_problem(Nearest().opened(ToySpace(), TASK), 1, device=Numbered())
    measured = problem.evaluate(np.array([[0, 0, 1]]))
    assert measured.archs.tolist() == [[0, 0, 0]]
    assert measured.latency_ms.tolist() == [1.0]
    assert measured.reward.tolist() == [-1.0]


def test_a_search_has_no_way_to_the_test_images():
    task = SyntheticImages("made", 3, 8, "made", "made", 24, 24, test_images=24)
    measuring = ToyEvaluator().opened(ToySpace(), task)
    streams = Streams([0])
    device = NoDevice()
    problem = problem_of(ToySpace(), task, measuring, device, streams)
    with pytest.raises(UnsupportedError, match="has no images"):
        problem.task.load()
    assert problem.task.loaded is None
    numbers = {field.name: getattr(task, field.name) for field in fields(Task)}
    assert vars(problem.task) == {**numbers, "own_metric": ACCURACY, "own_objective": None}
    images, splits = problem.images(), task.load()
    assert images.train is splits.search_train
    assert images.valid is splits.search_valid
    test = splits.final_test.pixels
    assert not any(value is splits.final_test for value in vars(images).values())
    assert not any(part.pixels is test for part in (images.train, images.valid))


def test_rows_are_written_by_name():
    """Protocol and figures land in their columns, in whatever order an evaluator gives them."""
    protocol = Protocol(clock="C", run="R", fidelity="F", split="S")

    class Named(ToyEvaluator):
        protocol = Protocol(clock="C", run="R", fidelity="F", split="S")

    opened = toy_experiment(RandomSearch(), trials=2, evaluator=Named()).opened()
    outcome, history = search(opened, np.arange(2), None)
    trials = retrain(opened, outcome, history)
    assert set(trials) == set(TRIAL_COLUMNS)
    assert [trials[name] for name in PROTOCOL] == [[word] * 2 for word in ("S", "F", "R", "C")]
    assert trials["val_score"] == trials["reward"]
    assert trials["test_score"] == [reward - 1 for reward in trials["reward"]]
    columns = history.columns(ToySpace(), ACCURACY, protocol)
    assert set(columns) == set(EVALUATION_COLUMNS)
    assert {columns["split"][0], columns["run"][0], columns["clock"][0]} == {"S", "R", "C"}
    assert columns["clock_s"][:2] == [12.0, 24.0]
    assert columns["evaluations"][:2] == [1, 2]


def test_rows_go_by_trial_and_then_by_task():
    other = replace(TASK, name="other")
    experiment = toy_experiment(RandomSearch(), seed=5, trials=2, final_tasks=[TASK, other])
    opened = experiment.opened()
    trials = retrain(opened, *search(opened, np.arange(5, 7), None))
    assert trials["seed"] == [5, 5, 6, 6]
    assert trials["task"] == [TASK.name, "other"] * 2
    assert trials["arch"][0::2] == trials["arch"][1::2]


class Proposes(RandomSearch):
    """Evaluates nothing before the third step, and names an architecture in every step."""

    planned_steps = 4

    def step(self):
        if self.steps > 1:
            return super().step()
        self.steps += 1
        archs, unknown = self.ask(), np.full(self.problem.trials, np.nan)
        none = np.zeros(self.problem.trials, np.int64)
        return Measured.scored(archs, none, unknown, unknown, count=none)


def test_a_step_that_evaluates_nothing_is_no_failure(tmp_path, caplog):
    with caplog.at_level("WARNING", logger="nasrun"):
        record(toy_experiment(Proposes()), tmp_path)
    assert not caplog.messages
    rows = read_csv(tmp_path / "trials.csv")
    assert {(row["failed"], row["evaluations"]) for row in rows} == {("0", "2")}


def test_a_search_whose_measurements_mostly_fail_says_so(tmp_path, caplog):
    experiment = toy_experiment(RandomSearch(), evaluator=ToyEvaluator(fails_below=20))
    with caplog.at_level("WARNING", logger="nasrun"):
        record(experiment, tmp_path / "fails")
    [message] = caplog.messages
    rows = read_csv(tmp_path / "fails" / "trials.csv")
    failed = sum(int(row["failed"]) for row in rows)
    assert failed > 9
    assert f"{100 * failed / 18:.1f} % of 18 measurements failed" in message
    caplog.clear()
    with caplog.at_level("WARNING", logger="nasrun"):
        record(toy_experiment(RandomSearch()), tmp_path / "works")
    assert caplog.messages == []


class Untimed(ToyEvaluator):
    """Knows no cost of every other architecture."""

    def evaluate(self, archs, *, epochs, streams, parents=None):
        measured = super().evaluate(archs, epochs=epochs, streams=streams)
        unknown = archs[:, 0] == 0
        return replace(measured, cost_s=np.where(unknown, np.nan, measured.cost_s))


def test_costs_that_are_not_known_are_said_and_leave_the_clock_of_the_others(tmp_path, caplog):
    with caplog.at_level("WARNING", logger="nasrun"):
        record(toy_experiment(RandomSearch(), evaluator=Untimed()), tmp_path)
    [message] = caplog.messages
    assert "of 18 measurements have no known cost, so simulated_s is too low" in message
    for row in read_csv(tmp_path / "trials.csv"):
        known = [r for r in read_csv(tmp_path / "evaluations.csv") if r["seed"] == row["seed"]]
        assert float(row["simulated_s"]) == sum(float(r["cost_s"] or 0) for r in known)


def test_a_time_budget_asks_for_costs():
    with pytest.raises(ConfigError, match="needs a source with training times"):
        play_toy(range(20), evaluator=Untimed(), simulated_s=100.0)


def test_old_folders_are_refused_in_one_sentence(tmp_path):
    folder = record(toy_experiment(RandomSearch()), tmp_path)
    text = (folder / "trials.csv").read_text()
    (folder / "trials.csv").write_text(text.replace("val_score", "val_acc_pct"))
    with pytest.raises(DataError, match=r"without \['val_score'\]: play it again in a new folder"):
        read_csv(folder / "trials.csv", TRIAL_COLUMNS)


class TrainsByItself(RandomSearch):
    """Says that it measures accuracies of its own."""

    trains = True


def test_a_method_that_trains_by_itself_scores_in_the_metric_of_the_task():
    made_up = Metric("proxy", "proxy")
    evaluator = ToyEvaluator(metric=made_up)
    assert toy_experiment(RandomSearch(), evaluator=evaluator).opened().metric is made_up
    assert toy_experiment(TrainsByItself(), evaluator=evaluator).opened().metric is ACCURACY


class Generator(RandomSearch):
    """Names an architecture without measuring it, then measures as often as it plans to."""

    @property
    def planned_steps(self):
        return 4

    def step(self):
        measured = super().step()
        if self.steps > 1:
            return measured
        unknown, none = np.full(len(measured.archs), np.nan), np.zeros(len(measured.archs))
        return Measured.scored(measured.archs, none.astype(int), unknown, none, none.astype(int))


def test_a_step_that_measures_nothing_is_no_failure(tmp_path, caplog):
    with caplog.at_level("WARNING", logger="nasrun"):
        record(toy_experiment(Generator()), tmp_path / "generated")
        rows = read_csv(tmp_path / "generated" / "trials.csv")
        assert [(row["evaluations"], row["failed"]) for row in rows] == [("3", "0")] * 3
        assert caplog.messages == []
        failing = ToyEvaluator(fails_below=10**6)
        with pytest.raises(DataError, match="no trial found an architecture with a reward"):
            record(toy_experiment(Generator(), evaluator=failing), tmp_path / "failing")
    rows = read_csv(tmp_path / "failing" / "trials.csv")
    assert [(row["evaluations"], row["failed"]) for row in rows] == [("3", "3")] * 3
    assert "100.0 % of 9 measurements failed" in caplog.messages[0]


def test_a_plan_ends_a_search_and_no_meta_epoch():
    for phase, steps in ((Phase.SEARCH, 4), (Phase.META_TRAIN, 8)):
        history = History(np.arange(2))
        problem, streams = toy_problem(lambda archs: archs.sum(axis=1), 2), Streams(range(2))
        play(Generator(), problem, Budget(evaluations=7), streams, phase, history)
        assert len(history) == steps


def test_a_metric_that_reports_would_turn_round_is_refused():
    own = Metric("rmse_m", "RMSE", "m", higher_is_better=False)
    with pytest.raises(ConfigError, match=r"rmse_m is better if lower, .* call it neg_rmse_m"):
        toy_experiment(RandomSearch(), evaluator=ToyEvaluator(metric=own)).opened()
    judged = replace(toy_experiment(RandomSearch()), scorer=Judged(metric=own))
    with pytest.raises(ConfigError, match="rmse_m is better if lower"):
        judged.opened()
    for metric in (replace(own, higher_is_better=True), metric_named("perplexity")):
        toy_experiment(RandomSearch(), evaluator=ToyEvaluator(metric=metric)).opened()


class Judged(ToyEvaluator):
    """The toy evaluator, whose final figures are in its own metric."""

    def final_metric(self, task):
        return self.metric


def with_reward_of(monkeypatch, known):
    """A device whose reward is that of the score where ``known`` holds for it, else missing."""
    monkeypatch.setattr(
        NoDevice, "reward", lambda self, score, ms, metric: np.where(known(score), score, np.nan)
    )


def test_a_run_whose_measurements_have_no_reward_fails_and_keeps_them(tmp_path, monkeypatch):
    with_reward_of(monkeypatch, lambda score: score < -np.inf)
    with pytest.raises(DataError, match="no trial found an architecture with a reward"):
        record(toy_experiment(RandomSearch()), tmp_path)
    assert read_json(tmp_path / "status.json")["state"] == "failed"
    assert len(read_csv(tmp_path / "evaluations.csv")) == 18
    assert not (tmp_path / "best.json").exists()


def refused(experiment, folder):
    with pytest.raises(DataError, match="no trial found an architecture with a reward") as found:
        record(experiment, folder)
    return str(found.value)


def test_a_run_that_finds_nothing_says_what_may_be_the_matter(tmp_path, monkeypatch):
    blind, seeing = ToyEvaluator(fails_below=10**6), ToyEvaluator()
    text = refused(toy_experiment(RandomSearch(), evaluator=blind), tmp_path / "blind")
    assert "the evaluator gave no score; " in text
    assert text.endswith("evaluations.csv has every measurement")
    screened = Screened(screen=seeing, then=blind, share=0.25)
    text = refused(toy_experiment(RandomSearch(), evaluator=screened), tmp_path / "screened")
    assert "evaluator.screen (share=0.25) let none pass, or the evaluator gave no score" in text
    without = replace(toy_experiment(RandomSearch(), evaluator=blind), kept_evaluations=Kept.none)
    assert refused(without, tmp_path / "without").endswith("gave no score")
    with_reward_of(monkeypatch, lambda score: score < -np.inf)
    text = refused(toy_experiment(RandomSearch()), tmp_path / "device")
    assert "hardware=none knows no latency of what was measured" in text


class KilledLast(Recorder):
    """A recorder whose process is killed when all trials are on record."""

    def finish(self, *arguments):
        raise KeyboardInterrupt


def test_what_is_said_of_a_run_that_goes_on_is_of_all_its_trials(tmp_path, monkeypatch, caplog):
    with_reward_of(monkeypatch, lambda score: score < -np.inf)
    unrewarded = toy_experiment(RandomSearch())
    with pytest.raises(KeyboardInterrupt), KilledLast(tmp_path / "vain", "toy") as recorder:
        run(unrewarded.opened(), recorder, dict)
    assert "hardware=none knows no latency" in refused(unrewarded, tmp_path / "vain")
    monkeypatch.undo()
    failing = toy_experiment(RandomSearch(), evaluator=ToyEvaluator(fails_below=20), trials=6)
    with caplog.at_level("WARNING", logger="nasrun"):
        record(failing, tmp_path / "whole")
        said, caplog.records[:] = caplog.messages, []
        assert len(said) == 2
        with pytest.raises(KeyboardInterrupt), KilledLast(tmp_path / "cut", "toy") as recorder:
            run(failing.opened(), recorder, dict)
        caplog.clear()
        record(failing, tmp_path / "cut")
    assert caplog.messages == said


def test_an_interrupted_cohort_of_live_trainings_trains_none_of_them_again(tmp_path, monkeypatch):
    task = SyntheticImages("made_up", 3, 8, "made-up-valid", "made-up", 48, 96, test_images=48)
    trained, train, left = [], Trainer.train, [3]

    def noted(self, *arguments):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        trained.append(str(self._checkpoint))
        return train(self, *arguments)

    def play(folder, cache):
        evaluator = Training(
            recipe=Recipe(batch=32), epochs=1, score_epochs=None, channels=2, cells=1,
            device="cpu", threads=1, precision=Precision.float32, cache_dir=str(tmp_path / cache),
        )  # fmt: skip
        toy = toy_experiment(RandomSearch(), space=NB201(), evaluator=evaluator, evaluations=2)
        record(replace(toy, task=task, final_tasks=[task]), tmp_path / folder)
        return [row["val_score"] for row in read_csv(tmp_path / folder / "evaluations.csv")]

    monkeypatch.setattr(Trainer, "train", noted)
    with pytest.raises(KeyboardInterrupt):
        play("run", "cache")
    left[0] = 100
    found = play("run", "cache")
    assert len(trained) == len(set(trained)) == 6
    assert found == play("unbroken", "other")


def test_a_cohort_is_no_larger_than_its_evaluator_bears(tmp_path, monkeypatch):
    cohorts = []
    monkeypatch.setattr(RandomSearch, "ask", _noting(RandomSearch.ask, cohorts))
    rows = [
        read_csv(
            record(toy_experiment(RandomSearch(), evaluator=own, trials=5), tmp_path / name) / T
        )
        for name, own in (("free", ToyEvaluator()), ("bound", Dear()))
    ]
    assert rows[0] == rows[1]
    assert set(cohorts[:6]) == {5}
    assert set(cohorts[6:]) == {2, 1}


class Dear(ToyEvaluator):
    """One whose measurements would all be lost."""

    at_once = 2


def _noting(ask, cohorts):
    def noted(self):
        cohorts.append(self.problem.trials)
        return ask(self)

    return noted


def test_trials_whose_measurements_fail_are_counted(tmp_path, caplog):
    experiment = toy_experiment(RandomSearch(), trials=6, evaluations=1)
    rewards = [float(row["reward"]) for row in read_csv(record(experiment, tmp_path / "a") / T)]
    bar = sorted(rewards)[3]
    failing = replace(experiment, evaluator=ToyEvaluator(fails_below=bar))
    record(failing, tmp_path / "b")
    lost = sum(reward < bar for reward in rewards)
    assert 0 < lost < 6
    assert f"{lost} of 6 trials found no architecture with a reward" in caplog.text


class Untested(ToyEvaluator):
    """Final scores fail for every other architecture, or for all."""

    trained = ""
    of = 2

    @property
    def final_training(self):
        return self.trained

    def score(self, archs, task):
        score = super().score(archs, task)
        lost = self.space.index(archs) % self.of == 0
        return replace(score, test_score=np.where(lost, np.nan, score.test_score))


@pytest.mark.parametrize(
    ("trained", "of", "said"),
    [
        ("", 2, "have no test score on toy; means are over the rest"),
        ("12 epochs", 2, "have no test score on toy (the final training failed, see failure"),
        ("12 epochs", 1, "6 of 6 trials have no test score on toy (the final training failed"),
        ("", 1, ""),  # a table without any
    ],
)
def test_final_scores_that_are_missing_are_counted(tmp_path, caplog, trained, of, said):
    evaluator = Untested()
    evaluator.trained, evaluator.of = trained, of
    folder = record(toy_experiment(RandomSearch(), evaluator=evaluator, trials=6), tmp_path)
    lost = sum(not row["test_score"] for row in read_csv(folder / T))
    assert 0 < lost <= 6
    expected = f"{lost} of 6 trials {said}" if of == 2 else said
    assert expected in caplog.text
    assert ("test score" in caplog.text) == bool(said)
