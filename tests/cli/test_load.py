"""``nasrun.load`` on what the command left."""

import json
import subprocess

import pytest
import torch
from command import NASRUN, environment

import nasrun
from nasrun.errors import ConfigError, DataError, UnsupportedError

TRAINED = (
    "task=synthetic_images", "task.train_images=32", "task.valid_images=16", "task.test_images=16",
    "evaluator=training", "budget.evaluations=2", "algorithm.population=2", "evaluator.cells=1",
    "evaluator.epochs=1", "evaluator.recipe.batch=16", "evaluator.score_epochs=1",
    "evaluator.score_seeds=[777]", "evaluator.device=cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, cache_dir):
    folder = tmp_path_factory.mktemp("sweep")
    subprocess.run(
        [NASRUN, "-m", "algorithm=rea,random", "task=cifar10,cifar100", "trials=3",
         "evaluator.run=777", "budget.evaluations=20", "report=null", f"hydra.sweep.dir={folder}"],
        check=True, capture_output=True, env=environment(cache_dir),
    )  # fmt: skip
    return folder


def test_a_sweep_in_data_frames(sweep):
    results = nasrun.load(str(sweep))
    assert not results.is_run
    trials = results.trials
    assert len(trials) == 12
    assert set(trials["run"]) == {"777"}  # a name, no number
    assert trials["reward"].dtype == "float64"
    assert trials["test_score"].isna().all()
    measured = results.evaluations
    assert len(measured) == 12 * 20
    own = measured.groupby(["search_task", "algorithm", "seed"])["reward"].max()
    for _, row in trials.iterrows():
        assert own[row["search_task"], row["algorithm"], row["seed"]] == row["reward"]
    assert {(sweep / job).is_dir() for job in measured["job"]} == {True}
    assert set(results.summary["figure"]) >= {"reward", "val_score"}
    assert results.pareto.empty
    assert results.pareto["hypervolume"].dtype == "float64"
    assert results.trainings.empty
    assert "val_score" in results.trainings


def test_what_a_sweep_found(sweep):
    results = nasrun.load(sweep)
    with pytest.raises(ConfigError, match=r"searches on cifar10, cifar100.*search_task=\.\.\."):
        print(results.best)
    for task in results.search_tasks:
        found = results.found(search_task=task)
        assert found.reward == results.trials.query("search_task == @task")["reward"].max()
        assert found.space.text(found.arch) == found.text
        assert len(found.edges) == 6
    own = nasrun.load(found.job)
    assert own.is_run
    written = json.loads((found.job / "best.json").read_text())
    assert (own.best.text, own.best.seed) == (written["arch"], written["seed"])
    assert results.found("cifar10", "random", seed=2).row["seed"] == "2"
    with pytest.raises(ConfigError, match="no trial with algorithm=tpe"):
        results.found(algorithm="tpe")
    with pytest.raises(UnsupportedError, match="evaluator=tabular trained no network"):
        found.network()


def test_the_first_seed_wins_among_equals(here, tmp_path):
    here("trials=60", "algorithm=local_search", "budget.evaluations=100", "hydra.run.dir=run")
    best = nasrun.load(tmp_path / "run").best
    trials = nasrun.load(tmp_path / "run").trials
    top = trials[trials["reward"] == trials["reward"].max()]
    assert len(top) > 1
    assert best.seed == top["seed"].min()


def test_networks_and_trainings_are_those_of_the_run(here, tmp_path):
    cache = f"cache_dir={tmp_path}/cache"
    here(*TRAINED, cache, "evaluator.channels=2", "hydra.run.dir=kept")
    here(*TRAINED, cache, "evaluator.channels=4", "hydra.run.dir=other", "retrain.export=[weights]")
    kept, other = nasrun.load("kept"), nasrun.load("other")
    for results, channels in ((kept, 2), (other, 4)):
        assert set(results.trainings["channels"]) == {str(channels)}
        assert set(results.trainings["part"]) == {"search", "final"}
        assert len(results.trainings) == 3  # of one epoch: two of the search, one final
    (exported,) = (tmp_path / "other" / "networks").rglob("seed-0.safetensors")
    given = other.best.network().state_dict()
    assert not other.best.network().training
    exported.rename(tmp_path / "aside")
    for name, weights in other.best.network().state_dict().items():  # from the checkpoint
        torch.testing.assert_close(given[name], weights)
    assert sum(map(torch.numel, kept.best.network().parameters())) < sum(
        given[name].numel() for name, _ in other.best.network().named_parameters()
    )
    exported.write_bytes(b"no weights")
    with pytest.raises(DataError, match=r"seed-0\.safetensors: not this network's weights"):
        other.best.network()
    with pytest.raises(ConfigError, match="scored synthetic_images, not cifar10"):
        other.best.network("cifar10")


def test_a_run_inside_the_folder_of_another_is_not_of_it(tmp_path, cache_dir):
    """Its measurements stood among those of the outer one, whose trials they are not."""
    for folder, trials in ((tmp_path / "a", 2), (tmp_path / "a" / "b", 3)):
        subprocess.run(
            [NASRUN, "algorithm=random", "task=cifar10", f"trials={trials}",
             "budget.evaluations=4", f"hydra.run.dir={folder}"],
            check=True, capture_output=True, env=environment(cache_dir),
        )  # fmt: skip
    for name, trials in (("a", 2), ("a/b", 3)):
        results = nasrun.load(tmp_path / name)
        assert (len(results.trials), len(results.evaluations)) == (trials, 4 * trials)


def test_folders_without_a_finished_run_are_refused(tmp_path):
    with pytest.raises(DataError, match="is no folder"):
        nasrun.load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no run"):
        nasrun.load(tmp_path)
    (tmp_path / "status.json").write_text(json.dumps({"state": "running"}))
    with pytest.raises(DataError, match=f"no finished run: nasrun resume={tmp_path} goes on"):
        nasrun.load(tmp_path)
