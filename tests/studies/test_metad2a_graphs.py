from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conditioned import SPACE, experiment
from toys import ToyEvaluator

from nasrun.errors import ConfigError
from nasrun.record.recorder import Recorder
from nasrun.studies.metad2a_graphs import GeneratedGraphs, quality
from nasrun.studies.play import play_study


def test_quality_by_hand():
    """Six graphs: five valid, of which three differ, and one was learnt from."""
    archs = SPACE.at(np.array([7, 7, 7, 9, 11, 13]))
    valid = np.array([True, True, True, True, True, False])
    learnt = {SPACE.at(np.array([9]))[0].tobytes(), SPACE.at(np.array([13]))[0].tobytes()}
    found = quality(archs, valid, learnt)
    assert found == {"validity": 5 / 6, "uniqueness": 3 / 5, "novelty": 4 / 5}


def test_nothing_valid_is_neither_unique_nor_new():
    found = quality(SPACE.at(np.array([7])), np.array([False]), set())
    assert found["validity"] == 0
    assert np.isnan([found["uniqueness"], found["novelty"]]).all()


@pytest.fixture(scope="module")
def played(conditioned_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    opened = replace(experiment(conditioned_folder), evaluator=ToyEvaluator()).opened()
    study = GeneratedGraphs(samples=100, runs=2)
    with Recorder(folder / "run", "key") as recorder:
        found = play_study(study, opened, recorder, dict)
    return SimpleNamespace(folder=folder / "run", found=found, opened=opened, study=study)


def test_a_study_leaves_its_tables_and_is_complete(played):
    names = {path.name for path in played.folder.iterdir()}
    stem = played.study.name
    assert names >= {
        f"{stem}.csv", f"{stem}.md", f"{stem}.tex", "report.html", "provenance.json", "status.json",
    }  # fmt: skip
    with Recorder(played.folder, "key") as recorder:
        assert recorder.complete


def test_figures_stand_beside_the_papers_at_both_temperatures(played):
    wanted = {"validity": 1.0, "uniqueness": 0.3519, "novelty": 0.6731}
    for temperature in ("1", "0.5"):
        method = f"metad2a, temperature {temperature}"
        figures = {each.figure: each for each in played.found.figures if each.method == method}
        assert {name: figure.published for name, figure in figures.items()} == wanted
        assert all(figure.n == 100 for figure in figures.values())
        assert 0 < figures["validity"].value <= 1


def test_the_same_graphs_whenever_they_are_written(played):
    assert played.study.measured(played.opened) == played.found.figures


def test_candidates_are_looked_up(played):
    """The best figure is that of some cell; two cells that compute alike count once."""
    best = {e.method: e for e in played.found.figures if e.figure == "best"}
    assert set(best) == {"generated cells", "cells of the records", "random cells"}
    recorded = played.opened.experiment.algorithm.recorded
    task = played.opened.experiment.task
    scores = set(played.opened.judging.score(recorded, task).test_score.tolist())
    assert {best["cells of the records"].value * 2} <= {a + b for a in scores for b in scores}
    assert best["cells of the records"].n == 2 * len({SPACE.canonical(arch) for arch in recorded})


def test_another_algorithm_is_refused(played):
    other = replace(played.opened.experiment, algorithm=SimpleNamespace(name="rea"))
    with pytest.raises(ConfigError, match="study=metad2a_graphs is of algorithm=metad2a, got rea"):
        played.study.measured(replace(played.opened, experiment=other))


def test_no_samples_are_refused():
    with pytest.raises(ConfigError, match=r"study\.samples must be at least 1"):
        GeneratedGraphs(samples=0)


def test_it_wants_networks(conditioned_folder):
    opened = replace(experiment(conditioned_folder), evaluator=ToyEvaluator()).opened()
    with pytest.raises(ConfigError, match="networks that were meta-trained"):
        GeneratedGraphs(samples=1, runs=1).measured(opened)
