import csv

import numpy as np
from sweeps import job, row, write_trials

from nasrun.report.experiment import write_report
from nasrun.report.overview import overview
from nasrun.report.trials import Problem, Trials
from nasrun.spec import ACCURACY, metric_named

META = {"agents": 2, "cost_s": 7200.0}
REPORT = {"name": "r", "title": "t"}


def trials(figures, seeds, metric=ACCURACY):
    figures = np.array(figures, float)
    return Trials(("a", "b"), np.array(seeds), metric, *[figures] * 7)


def problem(task):
    return Problem("nb201", task, task)


def test_the_rival_is_the_one_asked_for_or_else_the_best_by_rank():
    problems = {problem("x"): trials([[1, 2, 3], [2, 3, 4]], [0, 1, 2])}
    asked, best = overview(problems, "a"), overview(problems, "absent")
    assert asked is not None
    assert best is not None
    assert (asked.rival, best.rival) == ("a", "b")
    assert asked.by_rank() == [1, 0]
    assert asked.against[0] is None
    assert asked.against[1] is not None
    assert asked.against[1].value == asked.better[1, 0] == 7 / 9


def test_errors_say_what_their_negatives_would():
    figures = [[1, 2, 3], [2, 3, 4]]
    turned = (-np.array(figures)).tolist()
    errors = overview({problem("x"): trials(figures, [0, 1, 2], metric_named("error_pct"))}, None)
    wanted = overview({problem("x"): trials(turned, [0, 1, 2])}, None)
    assert errors is not None
    assert wanted is not None
    assert (errors.rival, wanted.rival) == ("a", "a")
    assert (errors.mean, errors.iqm) == (wanted.mean, wanted.iqm)
    assert errors.better[0, 1] == 7 / 9
    np.testing.assert_array_equal(errors.ranking.ranks, [1, 2])
    np.testing.assert_array_equal(errors.profiles.shares, wanted.profiles.shares)


def test_tasks_without_common_seeds_have_no_statistics():
    apart = {
        problem("x"): trials([[1, 2], [2, 3]], [0, 1]),
        problem("y"): trials([[1, 2], [2, 3]], [2, 3]),
    }
    assert overview(apart, None) is None


def lines(folder, name):
    with (folder / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_agents_are_the_units_where_a_method_has_some(tmp_path):
    rows = [
        row(name, seed, base + seed / 10)
        for name, base in (("catch", 92.0), ("rea", 91.0))
        for seed in range(6)
    ]
    write_trials(tmp_path, rows)
    for meta, units in ((None, "6"), (META, "2")):
        place = tmp_path / f"job{units}"
        job(place, "catch", [[1.0]], meta=meta)
        write_report(tmp_path, REPORT)
        found = lines(tmp_path, "r_statistics.csv")
        assert [line["algorithm"] for line in found] == ["catch", "rea"]
        assert {line["units"] for line in found} == {units}
    said = (tmp_path / "r.md").read_text(encoding="utf-8")
    assert "2 meta-trained agents" in said
    pairs = lines(tmp_path, "r_pairs.csv")
    assert [(pair["algorithm"], pair["other"]) for pair in pairs] == [
        ("catch", "rea"), ("rea", "catch"),
    ]  # fmt: skip
    assert sum(float(pair["probability_of_improvement"]) for pair in pairs) == 1
