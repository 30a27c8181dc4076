import json

import numpy as np
import pytest

from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.evaluators.surrogate import Surrogate
from nasrun.experiment import problem_of
from nasrun.hardware.none import NoDevice
from nasrun.spaces.nb201 import NB201
from nasrun.spaces.nb301 import NB301
from nasrun.spec import Protocol, Task
from nasrun.streams import Streams

xgboost = pytest.importorskip("xgboost")
SPACE = NB301()
TASK = Task("cifar10", 10, 32, "cifar10-valid", "cifar10", 25_000, 25_000)
ARCHS = SPACE.sample(Streams(range(40), "asked"))
MEMBERS = 3


def trained(folder, low, high):
    """A miniature of the published ensemble: members that learnt from other halves of the data."""
    folder.mkdir(parents=True)
    archs = SPACE.sample(Streams(range(200), "trained"))
    features = SPACE.encode(archs, "configspace")
    target = low + (high - low) * (features == 3).sum(axis=1) / 10
    for member in range(MEMBERS):
        rows = np.arange(200) % MEMBERS != member
        matrix = xgboost.DMatrix(features[rows], target[rows])
        model = xgboost.train({"max_depth": 4, "seed": member}, matrix, 10)
        model.save_model(folder / f"{member}.json")
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("nb301") / "xgb", 90.0, 95.0)


@pytest.fixture
def opened(models, tmp_path):
    def session(space=SPACE, task=TASK, **settings):
        own = {"path": str(models), "cache_dir": str(tmp_path), **settings}
        return Surrogate(**own).opened(space, task)

    return session


def measured(session, archs=ARCHS, seeds=None):
    epochs = np.full(len(archs), 100)
    streams = Streams(range(len(archs)) if seeds is None else seeds)
    return session.evaluate(archs, epochs=epochs, streams=streams)


def expected(path, archs=ARCHS):
    matrix = xgboost.DMatrix(SPACE.encode(archs, "configspace"))
    members = [xgboost.Booster(model_file=file) for file in sorted(path.glob("*.json"))]
    return np.array([member.predict(matrix) for member in members], np.float64)


def test_a_score_is_the_mean_of_the_members(opened, models):
    session = opened()
    predictions = expected(models)
    found = measured(session)
    np.testing.assert_allclose(found.score, predictions.mean(axis=0))
    assert np.isnan(found.cost_s).all()
    assert np.std(found.score) > 0.1
    again = measured(session, ARCHS[::-1])
    np.testing.assert_array_equal(again.score[::-1], found.score)
    assert session.protocol == Protocol(
        "cifar10, NAS-Bench-301", "val@100, predicted", "mean of 3 models", "unknown"
    )
    assert sorted(session.files) == ["xgb/0.json", "xgb/1.json", "xgb/2.json"]


def test_noise_is_named_and_has_the_members_deviation(opened, models):
    session = opened(noise=True)
    one = np.repeat(ARCHS[:1], 4000, axis=0)
    found = measured(session, one)
    predictions = expected(models, ARCHS[:1])[:, 0]
    # Level 1e-6 of either bound: a mean of 4,000 and a chi-square of as many.
    assert abs(found.score.mean() - predictions.mean()) < 4.9 * predictions.std() / 63
    assert found.score.std() == pytest.approx(predictions.std(), rel=0.055)
    assert session.protocol.run == "mean of 3 models + N(0, their sd)"
    np.testing.assert_array_equal(
        measured(session, one[:5], range(100, 105)).score[3:],
        measured(session, one[:2], range(103, 105)).score,
    )
    np.testing.assert_allclose(session.score(one[:1], TASK).val_score, predictions.mean())


def test_final_figures_have_no_test_score(opened):
    scored = opened().score(ARCHS, TASK)
    np.testing.assert_array_equal(scored.val_score, measured(opened()).score)
    assert np.isnan(scored.test_score).all()


def test_models_of_runtime_give_costs(opened, tmp_path):
    seconds = trained(tmp_path / "runtime", 3600.0, 7200.0)
    session = opened(runtime_path=str(seconds))
    np.testing.assert_allclose(measured(session).cost_s, expected(seconds).mean(axis=0))
    assert session.protocol.clock == "predicted runtime"
    assert "runtime/0.json" in session.files


def test_what_does_not_exist_scores_nothing(opened):
    archs = ARCHS[:3].copy()
    archs[1, 0] = 99
    assert np.isnan(measured(opened(), archs).score).tolist() == [False, True, False]
    assert measured(opened(), archs[1:2]).score.shape == (1,)


def test_a_session_shares_nothing_and_leaves_its_recipe(models, tmp_path):
    recipe = Surrogate(path=str(models), cache_dir=str(tmp_path))
    before = dict(vars(recipe))
    first = recipe.opened(SPACE, TASK)
    score = measured(first).score
    second = recipe.opened(SPACE, TASK)
    assert not any(vars(second)[name] is value for name, value in vars(first).items()
                   if isinstance(value, dict))  # fmt: skip
    np.testing.assert_array_equal(measured(second).score, score)
    assert vars(recipe) == before


def test_missing_models_and_curves_are_refused(opened):
    with pytest.raises(ConfigError, match="expected a file NUMBER"):
        Surrogate(path="x").opened(SPACE, TASK)
    problem = problem_of(SPACE, TASK, opened(), NoDevice(), Streams([0]))
    with pytest.raises(UnsupportedError, match="has none at all"):
        problem.curve(ARCHS[:1], 1)


def test_other_spaces_and_tasks_are_refused(opened):
    with pytest.raises(UnsupportedError, match="predicts cells of space=nb301"):
        opened(space=NB201())
    other = Task("cifar100", 100, 32, "a", "b", 1, 1)
    with pytest.raises(UnsupportedError, match="models of task=cifar10 alone"):
        opened(task=other)
    with pytest.raises(UnsupportedError, match="models of task=cifar10 alone"):
        opened().check_final(other)


def broken(models, tmp_path, change):
    """The first model alone, with its JSON changed."""
    folder = tmp_path / "broken"
    folder.mkdir()
    content = json.loads((models / "0.json").read_text())
    text = change(content)
    (folder / "0.json").write_text(text if isinstance(text, str) else json.dumps(content))
    return {"path": str(folder)}


def a_tree(content):
    return content["learner"]["gradient_booster"]["model"]["trees"][2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: json.dumps(content)[:2000], "not an XGBoost model in JSON"),
        (lambda content: "[1, 2]", "not an XGBoost model in JSON"),
        (lambda content: "\x80\x04cposix\nsystem\n.", "not an XGBoost model in JSON"),
        (lambda content: content.pop("learner"), "KeyError: 'learner'"),
        (lambda content: a_tree(content)["left_children"].pop(), "arrays of other lengths"),
        (lambda content: a_tree(content)["left_children"].__setitem__(0, 10**6), "lead out of it"),
        (lambda content: a_tree(content)["left_children"].__setitem__(1, 0), "lead backwards"),
        (
            lambda content: content["learner"]["learner_model_param"].update(num_feature="55"),
            "expected a model of 56 inputs with trees, found 55 inputs",
        ),
        (lambda content: content.update(version="x"), "xgboost cannot read it"),
    ],
)
def test_other_files_are_refused(opened, models, tmp_path, change, words):
    with pytest.raises(DataError, match=words) as caught:
        opened(**broken(models, tmp_path, change))
    assert "nasbench301.load_ensemble" in str(caught.value)  # how to make them


def test_without_xgboost_the_extra_is_named(opened, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "xgboost", None)
    with pytest.raises(ConfigError, match=r"pip install 'nasrun\[nb301\]'"):
        opened()
