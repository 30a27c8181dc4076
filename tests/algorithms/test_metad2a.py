from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conditioned import SPACE, experiment
from toys import TASK, ToyEvaluator

from nasrun.algorithms.metad2a import Candidates, MetaD2A, Pick, Ranking
from nasrun.console import show_run
from nasrun.errors import ConfigError, DataError
from nasrun.features.pixels import PixelFeatures
from nasrun.files import read_csv, read_json
from nasrun.images import of_each_class
from nasrun.meta_training import adapt
from nasrun.pipeline import retrain, run, search
from nasrun.record.recorder import Recorder
from nasrun.spec import Scored
from nasrun.streams import Streams


class Contrary(ToyEvaluator):
    """The test score is the lower, the higher the validation score."""

    def score(self, archs, task):
        scored = super().score(archs, task)
        return Scored(**{**vars(scored), "test_score": -scored.val_score})


@pytest.fixture
def folder(conditioned_folder):
    return conditioned_folder


def opened(folder, *more, evaluator=None):
    made = replace(experiment(folder, *more), evaluator=evaluator or ToyEvaluator()).opened()
    adapt(made)
    return made


def rows(made, seed=3):
    outcome, history = search(made, np.array([seed]), None)
    columns = retrain(made, outcome, history)
    found = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [SimpleNamespace(**row) for row in found], made.experiment.algorithm


def test_an_oracle_takes_the_best_test_score_and_every_row_says_so(folder):
    (row,), algorithm = rows(opened(folder, "algorithm.pick=oracle", evaluator=Contrary()))
    (shortlist,) = algorithm.shortlist()
    numbers = SPACE.index(shortlist)
    assert row.arch == SPACE.text(shortlist[numbers.argmin()])
    assert row.test_score == -numbers.min()
    assert row.val_score == numbers.min()
    assert row.algorithm == "metad2a[pick=oracle]"
    assert row.final == f"12 epochs; oracle: best test score of {len(shortlist)}"
    assert row.evaluations == 0


def test_the_predictors_first_is_scored_alone(folder):
    (row,), algorithm = rows(opened(folder, evaluator=Contrary()))
    assert row.arch == SPACE.text(algorithm._ranked[0])
    assert (row.algorithm, row.final) == ("metad2a[pick=predictor]", "12 epochs")
    assert (row.evaluations, row.reward) == (0, None)
    assert (row.fidelity, row.clock) == ("predicted from pixels", "measured")
    assert row.wall_s > 0
    assert row.meta == "metad2a_database(trainings.csv, pictures of others)"


def test_what_validation_measures_costs_what_the_evaluator_says(folder):
    (row,), algorithm = rows(opened(folder, "algorithm.pick=validation"))
    assert row.evaluations == len(algorithm._ranked)
    assert row.simulated_s == 12.0 * row.evaluations
    assert row.val_score == SPACE.index(algorithm._ranked).max()
    assert (row.fidelity, row.clock) == ("val@12", "toy")


@pytest.mark.parametrize("count", [8, 100])
def test_fewer_candidates_than_are_kept_are_all_measured(folder, count):
    """The tiny generator writes fewer than 100 cells; of 8 that are asked for it may find all."""
    more = ("algorithm.pick=validation", "algorithm.kept=100", f"algorithm.count={count}")
    (row,), algorithm = rows(opened(folder, *more))
    assert row.evaluations == len(algorithm._ranked) < 100
    assert row.failed == 0
    assert row.simulated_s == 12.0 * row.evaluations
    assert row.val_score == SPACE.index(algorithm._ranked).max()


def algorithm(**changes):
    return MetaD2A(**{"features": PixelFeatures(), **changes})


def test_a_label_names_pick_and_controls():
    assert algorithm().label == "metad2a[pick=predictor]"
    control = algorithm(candidates=Candidates.uniform, ranking=Ranking.none, pick=Pick.oracle)
    assert control.label == "metad2a[candidates=uniform,ranking=none,pick=oracle]"


@pytest.mark.parametrize("kind", Candidates)
def test_candidates_are_different_cells(folder, kind):
    _, played = rows(opened(folder, f"algorithm.candidates={kind.value}", "algorithm.kept=100"))
    keys = [SPACE.canonical(arch) for arch in played._ranked]
    assert len(set(keys)) == len(keys) > 1
    assert len(keys) <= 8


def test_records_candidates_are_the_best_cells_on_record(folder):
    _, played = rows(opened(folder, "algorithm.candidates=records"))
    pairs = {arch.tobytes() for arch in played.learnt()["generator/pairs"]}
    assert {arch.tobytes() for arch in played._ranked} <= pairs


def test_the_ranking_is_the_predictors(folder):
    _, played = rows(opened(folder, "algorithm.candidates=uniform", "algorithm.kept=100"))
    sets = played.sets(Streams([3]))
    scores = played._ranker.score(played._ranked, *sets)
    assert (np.diff(scores) <= 1e-6).all()


def test_features_are_computed_once_for_all_trials(folder):
    made = opened(folder)
    calls = []
    features = made.experiment.algorithm.features
    of = features.of
    features.of = lambda pixels: calls.append(len(pixels)) or of(pixels)
    rows(made, 1)
    rows(made, 2)
    assert calls == [4 * 6]


def test_networks_of_other_features_are_refused(folder):
    made = opened(folder)
    made.experiment.algorithm.features.px = 3
    with pytest.raises(DataError, match="for 12 features of a picture, but this search has 27"):
        rows(made)


def test_a_ranking_by_a_source_is_that_of_its_table(folder):
    """The toy's validation scores are the numbers of the architectures; nothing is charged."""
    made = opened(folder, "algorithm.candidates=records", "algorithm.count=99")
    made.experiment.algorithm.ranking = Ranking.source
    made.experiment.algorithm.source = ToyEvaluator()
    made.experiment.algorithm.source_task = replace(TASK, name="elsewhere")
    (row,), played = rows(made)
    numbers = SPACE.index(played._ranked)
    recorded = set(SPACE.index(played.recorded).tolist())
    assert numbers.tolist() == sorted(recorded, reverse=True)[: len(numbers)]
    assert (row.evaluations, row.arch) == (0, SPACE.text(SPACE.at(np.array([max(recorded)]))[0]))
    assert row.algorithm == "metad2a[candidates=records,ranking=source,pick=predictor]"


@pytest.mark.parametrize("rest", ["", "_part"])
def test_a_ranking_by_the_target_itself_is_refused(folder, rest):
    made = opened(folder)
    own = made.experiment.task
    made.experiment.algorithm.ranking = Ranking.source
    made.experiment.algorithm.source_task = replace(own, name=own.name + rest)
    with pytest.raises(ConfigError, match="is the data set that is searched"):
        rows(made)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"features": None}, "choose some with features=NAME"),
        ({"count": 0}, "algorithm.count must be at least 1"),
        ({"temperature": 0.0}, "algorithm.temperature must be positive"),
        ({"pool": 1}, "algorithm.pool must be at least 2"),
        ({"ranking": Ranking.source}, "needs another data set's table"),
    ],
)
def test_bad_settings_are_refused(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        algorithm(**changes)


@pytest.mark.parametrize(
    ("labels", "names", "words"),
    [
        ([0, 0, 1, 2, 2], (), "class 1 has one picture to search with"),
        ([0, 0, 1, 2, 2], ("cat", "dog", "eel"), "class dog has one picture to search with"),
        ([0, 0, 2, 2], ("cat", "dog", "eel"), "class dog has no picture to search with"),
    ],
)
def test_a_class_with_one_picture_is_refused_by_its_name(labels, names, words):
    with pytest.raises(DataError, match=words):
        of_each_class(np.array(labels), 5, Streams([0]), names)


def test_what_a_search_sees_names_its_classes(folder):
    images = experiment(folder).task.load()
    assert replace(images, class_names=("a", "b", "c", "d")).search.class_names == tuple("abcd")


def test_pictures_are_drawn_of_each_class():
    labels = np.array([1, 0, 1, 0, 0, 1])
    rows_of = of_each_class(labels, 2, Streams([0]))
    assert rows_of.shape == (2, 2)
    assert (labels[rows_of] == [[0, 0], [1, 1]]).all()
    assert len(set(rows_of.ravel().tolist())) == 4


class Trained(ToyEvaluator):
    """Knows test scores alone, as of networks that are trained after the search."""

    def score(self, archs, task):
        scored = super().score(archs, task)
        return Scored(**{**vars(scored), "val_score": np.full(len(archs), np.nan)})


def test_what_only_a_final_training_scored_is_found_and_shown(folder, tmp_path, capsys):
    """The first seed's, whatever the test scores: they choose nothing."""
    made = opened(folder, "trials=3", evaluator=Trained())
    with Recorder(tmp_path / "run", "key") as recorder:
        run(made, recorder, dict)
    best, rows_of = read_json(tmp_path / "run" / "best.json"), read_csv(tmp_path / "run/trials.csv")
    assert len({row["test_score"] for row in rows_of}) > 1
    assert (best["seed"], best["arch"]) == (0, rows_of[0]["arch"])
    show_run(tmp_path / "run")
    assert f"best: {best['arch']}" in capsys.readouterr().out


def test_a_run_is_shown_without_hours_of_agents(folder, tmp_path, capsys):
    with Recorder(tmp_path / "run", "key") as recorder:
        run(opened(folder), recorder, dict)
    show_run(tmp_path / "run")
    shown = capsys.readouterr().out
    assert "metad2a[pick=predictor]" in shown
    assert "hours an agent" not in shown


def test_candidates_keep_the_limit_of_flops(folder):
    limit = 2.0
    task = experiment(folder).task
    made = opened(folder, "algorithm.candidates=uniform", f"algorithm.flops_m={limit}")
    _, played = rows(made)
    flops_m = SPACE.footprint(played._ranked, task)[1]
    assert len(flops_m) > 1
    assert (flops_m <= limit).all()
    assert played.label.endswith("pick=predictor,flops_m=2]")
    with pytest.raises(ConfigError, match=r"within algorithm\.flops_m=0\.1 .* higher limit"):
        rows(opened(folder, "algorithm.candidates=uniform", "algorithm.flops_m=0.1"))
