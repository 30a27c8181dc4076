"""Fronts as rows: which measurements they hold, who scores them, and what a sweep joins."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from toys import TASK, Latency, ToyEvaluator, ToySpace, toy_experiment

from nasrun.algorithms.nsga2 import NSGA2
from nasrun.algorithms.rea import REA
from nasrun.budget import Edge
from nasrun.files import read_csv
from nasrun.fronts import pareto_rows
from nasrun.pipeline import run, search
from nasrun.play import Outcome
from nasrun.record.collect import collect
from nasrun.record.history import History
from nasrun.record.recorder import Recorder
from nasrun.report.pareto import hypervolume
from nasrun.spec import ACCURACY, Measured, Phase, metric_named

SPACE = ToySpace((3, 4, 4))
ERROR = metric_named("error_pct")
UNWEIGHED = Latency(exponent=0.0)  # scores may be zero, or of which less is better
OTHER = replace(TASK, name="other")


def nsga2(**settings):
    return NSGA2(population=6, **settings)


def two_objectives(algorithm, **options):
    evaluations = {} if "simulated_s" in options else {"evaluations": 30}
    options = {"space": SPACE, "hardware": UNWEIGHED, **evaluations, **options}
    return toy_experiment(algorithm, **options)


def played(experiment):
    """What was opened, the counted measurements by trial, and the rows."""
    opened = experiment.opened()
    outcome, history = search(opened, np.array(experiment.seeds), None)
    measured = [history.of_trial(trial) for trial in range(len(experiment.seeds))]
    return opened, measured, list(pareto_rows(opened, outcome, history))


def slow_rows(measured, better):
    """Texts of the architectures that no measurement beats; ``better``: higher or lower scores."""
    signed = better * measured.score
    points = list(zip(signed, -measured.latency_ms, strict=True))
    return {
        SPACE.text(arch)
        for arch, (score, fast) in zip(measured.archs, points, strict=True)
        if not any(s >= score and f >= fast and (s, f) != (score, fast) for s, f in points)
    }


@pytest.mark.parametrize(("metric", "better"), [(ACCURACY, 1), (ERROR, -1)])
@pytest.mark.parametrize("make", [nsga2, lambda: REA(population=5)], ids=["nsga2", "rea"])
def test_rows_are_each_trials_best_compromises(make, metric, better):
    experiment = two_objectives(make(), evaluator=ToyEvaluator(metric=metric))
    _, measured, rows = played(experiment)
    for seed, own in zip(experiment.seeds, measured, strict=True):
        found = [row for row in rows if row.seed == seed]
        assert {row.arch for row in found} == slow_rows(own, better)
        assert len(found) == len({row.arch for row in found}) > 1
        assert [row.latency_ms for row in found] == sorted(row.latency_ms for row in found)
    assert {row.metric for row in rows} == {metric.name}


class Judged(ToyEvaluator):
    """Gives final figures that no search could confuse with its own."""

    def score(self, archs, task):
        scored = super().score(archs, task)
        return replace(scored, test_score=1000 + len(task.name) + SPACE.index(archs))

    def final_metric(self, task):
        return ERROR


def test_members_that_an_algorithm_names_are_scored_on_every_final_task():
    experiment = two_objectives(nsga2(), evaluator=Judged(), final_tasks=[TASK, OTHER])
    _, _, rows = played(experiment)
    by_task = {task.name: [row for row in rows if row.task == task.name] for task in (TASK, OTHER)}
    assert [row.arch for row in by_task["toy"]] == [row.arch for row in by_task["other"]]
    for task, found in by_task.items():
        for row in found:
            number = SPACE.index(SPACE.parse(row.arch))
            assert (row.val_score, row.metric) == (number, "accuracy_pct")
            assert (row.test_score, row.test_metric) == (1000 + len(task) + number, "error_pct")
            assert row.final == "12 epochs"
    # By trial and then by task, so that a sweep's parts join to the same order.
    assert list(dict.fromkeys((row.seed, row.task) for row in rows)) == [
        (seed, task) for seed in experiment.seeds for task in ("toy", "other")
    ]


def test_what_no_algorithm_names_is_not_scored():
    class Refusing(ToyEvaluator):
        def score(self, archs, task):
            raise AssertionError("scored")

    experiment = two_objectives(REA(population=5), evaluator=Refusing(), final_tasks=[OTHER])
    _, _, rows = played(experiment)
    assert {(row.test_score, row.test_metric, row.final) for row in rows} == {(None, None, None)}
    assert {row.task for row in rows} == {"toy"}


@pytest.mark.parametrize("algorithm", [nsga2(), REA()], ids=["nsga2", "rea"])
def test_one_objective_has_no_rows(algorithm):
    _, _, rows = played(toy_experiment(algorithm, space=SPACE))
    assert rows == []


def test_a_search_that_measures_nothing_has_no_rows():
    class Refusing(ToyEvaluator):
        def score(self, archs, task):
            raise AssertionError("scored")

    failing = Refusing(fails_below=10_000)
    for algorithm in (nsga2(), REA(population=5)):
        assert played(two_objectives(algorithm, evaluator=failing))[2] == []


class Uneven(ToyEvaluator):
    """Costs differ, so that trials end at different steps."""

    def evaluate(self, archs, *, epochs, streams, parents=None):
        measured = super().evaluate(archs, epochs=epochs, streams=streams)
        return replace(measured, cost_s=1.0 + archs.sum(axis=1))


@pytest.mark.parametrize("edge", Edge)
def test_what_is_measured_after_the_budgets_end_does_not_count(edge):
    """A trial that has finished is stepped on with the others, and what is dropped beats nobody."""
    experiment = two_objectives(
        nsga2(), evaluator=Uneven(), simulated_s=40.0, edge=edge, trials=100
    )
    _, measured, rows = played(experiment)
    assert len({len(own.archs) for own in measured}) > 3
    for seed, own in zip(experiment.seeds, measured, strict=True):
        assert {row.arch for row in rows if row.seed == seed} == slow_rows(own, 1)


def steps_of(history, *steps):
    """Add steps of (scores, latencies, counted), one of each a trial; architectures by step."""
    for number, (score, latency_ms, counted) in enumerate(steps):
        score, latency_ms = np.array(score, float), np.array(latency_ms, float)
        archs = SPACE.at(np.array([number, number + 10]))
        measured = Measured(archs, np.full(2, 12), score, np.ones(2), latency_ms, score)
        history.add(Phase.SEARCH, measured, np.array(counted), np.ones(2), np.ones(2, int))
    return history


def test_rows_leave_out_what_does_not_count_or_is_unknown():
    history = steps_of(
        History(np.array([7, 8])),
        # trial 7: a good point; trial 8: a point that is not counted
        ([90, 99], [5, 1], [True, False]),
        # trial 7: beaten by the first; trial 8: no latency
        ([80, 95], [6, np.nan], [True, True]),
        # trial 7: slower and better; trial 8: no accuracy
        ([92, np.nan], [9, 2], [True, True]),
        # trial 7: equal to the first; trial 8: its only point
        ([90, 70], [5, 3], [True, True]),
    )
    opened = two_objectives(REA()).opened()
    outcome = Outcome(SPACE.at(np.zeros(2, int)), *np.zeros((5, 2)))
    rows = [
        (row.seed, row.arch, row.val_score, row.latency_ms)
        for row in pareto_rows(opened, outcome, history)
    ]
    text = [SPACE.text(SPACE.at(np.array(number))) for number in (0, 2, 13)]
    assert rows == [(7, text[0], 90, 5), (7, text[1], 92, 9), (8, text[2], 70, 3)]
    # Of those that an algorithm names, what was not measured or did not count is left out, too.
    named = replace(outcome, fronts=[SPACE.at(np.array([40, 2])), SPACE.at(np.array([10]))])
    assert [(row.seed, row.arch) for row in pareto_rows(opened, named, history)] == [(7, text[1])]


def test_only_the_longest_trainings_are_compared():
    """As everywhere: a score after 4 epochs never beats one after 12."""
    history = History(np.array([7]))
    for number, (epochs, score, latency_ms) in enumerate([(4, 99, 1), (12, 90, 5), (12, 80, 3)]):
        measured = Measured(
            SPACE.at(np.array([number])), np.array([epochs]), np.array([float(score)]), np.ones(1),
            np.array([float(latency_ms)]), np.array([float(score)]),
        )  # fmt: skip
        history.add(Phase.SEARCH, measured, np.ones(1, bool), np.ones(1), np.ones(1, int))
    outcome = Outcome(SPACE.at(np.zeros(1, int)), *np.zeros((5, 1)))
    rows = list(pareto_rows(two_objectives(REA()).opened(), outcome, history))
    assert [(row.epochs, row.val_score) for row in rows] == [(12, 80.0), (12, 90.0)]


@pytest.mark.parametrize(("metric", "worst"), [(ACCURACY, 0.0), (ERROR, 100.0)])
def test_the_hypervolume_counts_from_the_worst_score_and_the_slowest_architecture(metric, worst):
    experiment = two_objectives(nsga2(), evaluator=ToyEvaluator(metric=metric))
    _, _, rows = played(experiment)
    slowest = 11.0
    for seed in experiment.seeds:
        front = [row for row in rows if row.seed == seed]
        gains = np.array([[abs(row.val_score - worst), slowest - row.latency_ms] for row in front])
        assert {row.hypervolume for row in front} == {hypervolume(gains, np.zeros(2))}


def test_a_metric_without_a_worst_value_has_no_hypervolume():
    loss = metric_named("neg_loss")
    _, _, rows = played(two_objectives(nsga2(), evaluator=ToyEvaluator(metric=loss)))
    assert {row.hypervolume for row in rows} == {None}


def job(folder, algorithm, seed, trials, evaluator=None, **options):
    experiment = two_objectives(
        algorithm, seed=seed, trials=trials, evaluator=evaluator or ToyEvaluator(), **options
    )
    with Recorder(folder, f"{algorithm.name}-{seed}-{trials}") as recorder:
        run(experiment.opened(), recorder, dict)


def joined(folder):
    return {name: (folder / name).read_bytes() for name in ("pareto.csv", "summary.csv")}


@pytest.mark.parametrize("cohort", [2, 500])
def test_any_split_and_cohort_gives_the_same_fronts(tmp_path, cohort):
    final = {"final_tasks": [TASK, OTHER], "cohort": cohort}
    for name, jobs in {"one": [(0, 5)], "split": [(3, 2), (0, 1), (1, 2)]}.items():
        for make in (nsga2, lambda: REA(population=5)):
            for seed, trials in jobs:
                algorithm = make()
                job(tmp_path / name / f"{algorithm.name}-{seed}", algorithm, seed, trials, **final)
        collect(tmp_path / name)
    assert joined(tmp_path / "one") == joined(tmp_path / "split")


def summaries(folder):
    """Rows of the hypervolume."""
    return [row for row in read_csv(folder / "summary.csv") if row["figure"] == "hypervolume"]


def test_the_summary_has_the_hypervolume_of_each_algorithm_and_task(tmp_path):
    """Final tasks need not include the search's own: the front is that of the search."""
    job(tmp_path / "a", nsga2(), 0, 4, final_tasks=[OTHER])
    job(tmp_path / "b", REA(population=5), 0, 4, final_tasks=[OTHER])
    collect(tmp_path)
    fronts = read_csv(tmp_path / "pareto.csv")
    found = summaries(tmp_path)
    assert [(row["algorithm"], row["task"], row["n"]) for row in found] == [
        ("nsga2", "other", "4"), ("rea", "other", "4"),
    ]  # fmt: skip
    for row in found:
        own = {
            front["seed"]: float(front["hypervolume"])
            for front in fronts
            if front["algorithm"] == row["algorithm"]
        }
        assert float(row["mean"]) == pytest.approx(np.mean(list(own.values())))
    assert summaries(tmp_path / "a") == [found[0]]


@dataclass
class Longer(ToyEvaluator):
    """The same search by another protocol."""

    @property
    def protocol(self):
        return replace(super().protocol, fidelity="val@200")

    def evaluate(self, archs, *, epochs, streams, parents=None):
        measured = super().evaluate(archs, epochs=epochs, streams=streams)
        return replace(measured, score=measured.score + 50)


def test_two_protocols_of_one_sweep_keep_their_own_fronts(tmp_path):
    job(tmp_path / "a", nsga2(), 0, 3)
    job(tmp_path / "b", nsga2(), 0, 3, Longer())
    collect(tmp_path)
    short, long = summaries(tmp_path)
    assert (short["fidelity"], long["fidelity"]) == ("val@12", "val@200")
    assert summaries(tmp_path / "a") + summaries(tmp_path / "b") == [short, long]
    assert float(long["mean"]) > float(short["mean"])
    fidelities = [row["fidelity"] for row in read_csv(tmp_path / "pareto.csv")]
    assert fidelities == sorted(fidelities)
