import numpy as np
import pytest
from sweeps import job

from nasrun.errors import DataError
from nasrun.record.rows import EVALUATION_COLUMNS
from nasrun.report.jobs import (
    NEEDED,
    Curve,
    MetaCost,
    Search,
    by_evaluations,
    find_jobs,
    meta_costs,
    read_histories,
    settled,
)

META = {"agents": 2, "cost_s": 14400.0}


def test_finished_jobs_are_found_with_what_was_meta_trained(tmp_path):
    job(tmp_path / "a", "catch", [[1.0]], meta=META)
    job(tmp_path / "b", "rea", [[1.0]])
    job(tmp_path / "c", "tpe", [[1.0]], state="running")
    found = find_jobs(tmp_path)
    assert [one.search.algorithm for one in found] == ["catch", "rea"]
    assert meta_costs(found) == {Search("nb201", "cifar10", "catch"): MetaCost(2, 2.0)}


def test_jobs_that_only_chose_values_are_no_results(tmp_path):
    job(tmp_path / "reported" / "tuned-cifar10", "rea", [[1.0]])
    job(tmp_path / "tuning" / "outdated" / "tuned-cifar10-1", "rea", [[2.0]])
    assert len(find_jobs(tmp_path)) == 1


def test_studies_beside_searches_are_no_jobs_of_a_report(tmp_path):
    job(tmp_path / "a", "rea", [[1.0]])
    study = job(tmp_path / "b", "random", [[2.0]])
    (study / "trials.csv").rename(study / "predictors.csv")
    (study / "status.json").write_text('{"state": "complete", "rows": "predictors.csv"}')
    assert [one.folder.name for one in find_jobs(tmp_path)] == ["a"]


def test_an_unknown_cost_is_not_a_cost_of_zero(tmp_path):
    job(tmp_path / "a", "catch", [[1.0]], meta={**META, "cost_s": None})
    (cost,) = meta_costs(find_jobs(tmp_path)).values()
    assert np.isnan(cost.agent_h)


def test_jobs_with_other_numbers_of_agents_have_those_in_common(tmp_path):
    """Seeds 0 and 2 have one of two agents in common, and of four agents two different ones."""
    job(tmp_path / "a", "catch", [[1.0]], meta=META)
    job(tmp_path / "b", "catch", [[1.0]], meta={"agents": 4, "cost_s": 14400.0})
    assert list(meta_costs(find_jobs(tmp_path)).values()) == [MetaCost(2, 1.5)]


def test_what_was_learnt_from_records_took_no_agents_hours(tmp_path):
    learnt = {"pool": "metad2a_database(...)", "predictor": {"artifact": "0f", "records": 4630}}
    job(tmp_path / "a", "metad2a", [[1.0]], meta=learnt)
    assert not meta_costs(find_jobs(tmp_path))


def test_histories_hold_the_best_so_far_and_the_hours(tmp_path):
    job(tmp_path / "a", "rea", [[3.0, 1.0, 4.0], [2.0]])
    job(tmp_path / "b", "rea", [[5.0, ""]], first_seed=2)
    histories = read_histories(find_jobs(tmp_path))
    nan = np.nan
    np.testing.assert_array_equal(histories.best, [[3, 3, 4], [2, nan, nan], [5, 5, nan]])
    np.testing.assert_array_equal(histories.clock_h, [[1, 2, 3], [1, nan, nan], [1, 2, nan]])


def test_a_short_training_never_counts_as_best(tmp_path):
    job(tmp_path / "a", "bohb", [[99.0, 1.0]], epochs=[4, 12])
    np.testing.assert_array_equal(read_histories(find_jobs(tmp_path)).best, [[np.nan, 1.0]])


def test_a_reward_that_is_the_negative_of_a_metric_is_shown_in_its_unit(tmp_path):
    rewards = [[-3.0, -4.0, -2.0], [-5.0, -1.0, -2.0]]
    job(tmp_path / "a", "rea", rewards, metric="perplexity")
    curve = by_evaluations(read_histories(find_jobs(tmp_path)))
    np.testing.assert_array_equal(curve.mean, [4, 2, 1.5])
    assert ((curve.low <= curve.mean) & (curve.mean <= curve.high)).all()
    assert curve.y == "best validation perplexity so far"


def test_another_reward_stays_what_it_is(tmp_path):
    place = job(tmp_path / "a", "rea", [[-3.0, -2.0]], metric="perplexity")
    text = (place / "evaluations.csv").read_text(encoding="utf-8")
    (place / "evaluations.csv").write_text(text.replace("-2.0", "-1.5"))
    curve = by_evaluations(read_histories(find_jobs(tmp_path)))
    assert curve.y == "best reward so far"
    np.testing.assert_array_equal(curve.mean, [-3, -1.5])


def spent(folder, total):
    """Say in ``trials.csv`` how many evaluations a trial had."""
    head, *lines = (folder / "trials.csv").read_text(encoding="utf-8").splitlines()
    at = head.split(",").index("evaluations")
    rows = [[*cells[:at], total, *cells[at + 1 :]] for cells in (line.split(",") for line in lines)]
    text = "\n".join([head, *map(",".join, rows)]) + "\n"
    (folder / "trials.csv").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("total", "x"), [("300", [100, 200, 300]), ("3", [1, 2, 3])])
def test_rows_of_an_earlier_version_stand_for_as_many_evaluations_each(tmp_path, total, x):
    spent(job(tmp_path / "a", "neat", [[1.0, 2.0, 3.0]]), total)
    np.testing.assert_array_equal(by_evaluations(read_histories(find_jobs(tmp_path))).x, x)


def test_rows_of_an_earlier_version_that_cannot_are_counted_as_one_each(tmp_path):
    spent(job(tmp_path / "a", "neat", [[1.0, 2.0, 3.0]]), "200")  # a repeat cost nothing
    np.testing.assert_array_equal(by_evaluations(read_histories(find_jobs(tmp_path))).x, [1, 2, 3])


def test_a_job_without_measurements_is_refused(tmp_path):
    job(tmp_path / "a", "rea", [[1.0]])
    (tmp_path / "a" / "evaluations.csv").unlink()
    with pytest.raises(DataError, match=r"measurements are not there"):
        read_histories(find_jobs(tmp_path))


def test_a_job_without_trials_is_refused(tmp_path):
    job(tmp_path / "a", "rea", [])
    with pytest.raises(DataError, match="without trials"):
        find_jobs(tmp_path)


def test_a_damaged_provenance_is_refused(tmp_path):
    job(tmp_path / "a", "rea", [[1.0]])
    (tmp_path / "a" / "provenance.json").write_text("{")
    with pytest.raises(DataError, match=r"provenance\.json"):
        find_jobs(tmp_path)


def test_runs_leave_the_columns_that_are_read():
    assert set(NEEDED) <= set(EVALUATION_COLUMNS)


def test_curves_have_settled_after_a_tenth_and_end_in_their_intervals():
    x = np.arange(1.0, 21.0)
    one = Curve(x, np.concatenate([[0.0], np.linspace(50, 60, 19)]), x - 1.0, x + 60.0)
    assert settled([one]) == (19.0, 80.0)  # the ends of the last interval
    other = Curve(x, np.full(20, 7.0), np.full(20, 7.0), np.full(20, 7.0))
    assert settled([one, other]) == (7.0, 80.0)
    none = Curve(*[np.zeros(0)] * 4)
    assert settled([other, none]) == (7.0, 7.0)
    assert np.isnan(settled([none])).all()
