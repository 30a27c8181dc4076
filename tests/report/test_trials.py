import numpy as np
import pytest
from sweeps import row, sweep, write_trials

from nasrun.errors import DataError
from nasrun.report.trials import Problem, as_numbers, by_problem, protocol, read_trials

FIGURE = "test_score"


def load(path, order=()):
    return by_problem(as_numbers(read_trials([path.parent]), FIGURE), FIGURE, order)


def test_trials_become_arrays_in_the_order_of_the_seeds(tmp_path):
    rows = [row("rea", 1, 94.0), row("rea", 0, 93.0), row("random", 0, 92.0), row("random", 1, "")]
    problems = load(write_trials(tmp_path, rows), order=["random"])
    (problem,) = problems
    assert problem == Problem("nb201", "cifar10", "cifar10")
    trials = problems[problem]
    assert trials.algorithms == ("random", "rea")
    assert trials.seeds.tolist() == [0, 1]
    np.testing.assert_array_equal(trials.figures, [[92.0, np.nan], [93.0, 94.0]])
    np.testing.assert_array_equal(trials.table_rank, [[1, 2], [1, 2]])


def test_a_problem_says_where_a_cell_was_searched_and_scored():
    assert str(Problem("nb201", "cifar10", "cifar10")) == "cifar10"
    assert str(Problem("nb201", "cifar10", "cifar100")) == "cifar10 -> cifar100"


def test_a_metric_that_is_empty_everywhere_is_missing_not_wrong(tmp_path):
    (trials,) = load(sweep(tmp_path, {"rea": ["", ""]})).values()
    assert np.isnan(trials.figures).all()


def test_the_protocol_names_every_value(tmp_path):
    rows = [row("rea", 0, 1.0), row("random", 0, 1.0, run="777")]
    write_trials(tmp_path, rows)
    frame = read_trials([tmp_path])
    assert protocol(frame) == [
        "fidelity: val@12", "run: mean, 777", "clock: c", "meta: none",
    ]  # fmt: skip


def test_a_doubled_trial_is_refused_by_line_and_name(tmp_path):
    path = write_trials(tmp_path, [row("rea", 0, 1.0), row("rea", 1, 1.0), row("rea", 1, 2.0)])
    with pytest.raises(
        DataError, match=r"lines 3, 4 of .*trials.csv: rea on cifar10 with seed 1 stands more than"
    ):
        load(path)


def test_missing_trials_are_refused_by_name(tmp_path):
    path = sweep(tmp_path, {"rea": [1.0] * 9, "random": [1.0, 2.0]})
    with pytest.raises(
        DataError, match=r"random on cifar10 lacks 7 of 9 trials .*2, 3, 4, 5, 6, ... \(7 in all\)"
    ):
        load(path)


def test_an_algorithm_that_lacks_a_whole_task_is_refused(tmp_path):
    rows = [row("rea", 0, 1.0), row("rea", 0, 1.0, "cifar100"), row("random", 0, 1.0)]
    with pytest.raises(DataError, match="random on cifar100 lacks 1 of 1 trials"):
        load(write_trials(tmp_path, rows))


def test_figures_run_from_the_worst_to_the_best_and_hide_the_worst(tmp_path):
    rows = [row("rea", i, x, metric="perplexity") for i, x in enumerate((5.0, 100.0, 4.0, 3.0))]
    (trials,) = load(write_trials(tmp_path, rows)).values()
    ((name, figures),) = trials.known()
    assert (name, figures.tolist()) == ("rea", [100, 5, 4, 3])
    np.testing.assert_array_equal(trials.oriented, -trials.figures)
    assert trials.shown_range(0.5) == (3.0, 4.5)
    assert trials.metric.title == "test perplexity"


def test_a_figure_besides_the_scores_has_its_own_direction(tmp_path):
    write_trials(tmp_path, [row("rea", 0, 94.0, latency_ms=7)])
    frame = as_numbers(read_trials([tmp_path]), "latency_ms")
    (trials,) = by_problem(frame, "latency_ms", ()).values()
    assert (trials.metric.title, trials.figures.tolist()) == ("latency (ms)", [[7.0]])
    assert not trials.metric.higher_is_better


def test_two_metrics_on_one_task_are_refused(tmp_path):
    rows = [row("rea", 0, 1.0), row("random", 0, 1.0, metric="error_pct")]
    with pytest.raises(DataError, match=r"metric is 'accuracy_pct' in .* apart$"):
        load(write_trials(tmp_path, rows))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("", "no trials in it"),
        ("a,b\n1,2\n", "no column space, search_task"),
        ("CUT", "line 3: not as many cells"),
        ("LONG", "line 2: not as many cells"),
        ("WORD", "must be numbers"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, text, message):
    path = sweep(tmp_path, {"rea": [1.0, 2.0]})
    lines = path.read_text().splitlines()
    if text is None:
        path.unlink()
    elif text == "CUT":
        path.write_text("\n".join([*lines[:2], lines[2][:20]]))
    elif text == "LONG":
        path.write_text("\n".join([lines[0], *(line + ",1" for line in lines[1:])]))
    elif text == "WORD":
        path.write_text(path.read_text().replace(",2.0,", ",good,"))
    else:
        path.write_text(text)
    with pytest.raises(DataError, match=message):
        load(path)


@pytest.mark.parametrize("column", ["split", "fidelity", "run", "clock"])
def test_mixed_protocols_are_refused_by_column_line_and_method(tmp_path, column):
    path = write_trials(
        tmp_path, [row("rea", 0, 1.0), row("random", 0, 1.0, **{column: "other"})]
    )  # fmt: skip
    message = (
        rf"mixes protocols: {column} is .* in line 2 of \S+ \(rea\) and "
        r"'other' in line 3 of \S+ \(random\)"
    )
    with pytest.raises(DataError, match=message):
        load(path)
    frame = as_numbers(read_trials([tmp_path]), FIGURE)
    assert by_problem(frame, FIGURE, (), [column])  # unless the report allows it


def test_meta_training_is_the_methods_own_affair(tmp_path):
    path = write_trials(tmp_path, [row("rea", 0, 1.0), row("catch", 0, 1.0, meta="pool")])
    assert load(path)


def test_tasks_may_have_protocols_of_their_own(tmp_path):
    rows = [row("rea", 0, 1.0, run="777"), row("rea", 0, 1.0, "cifar100", run="888")]
    assert len(load(write_trials(tmp_path, rows))) == 2
