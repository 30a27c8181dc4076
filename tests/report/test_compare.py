import numpy as np
import pytest

from nasrun.errors import DataError
from nasrun.report.compare import Extras, Published, compare, overall_ranks
from nasrun.report.jobs import MetaCost, Search
from nasrun.report.trials import Problem, Trials
from nasrun.spec import ACCURACY, metric_named

NAN = float("nan")
HERE, THERE = Problem("nb201", "cifar10", "cifar10"), Problem("nb201", "cifar100", "cifar100")


def trials(*figures, metric=ACCURACY):
    array = np.array(figures, float)
    names = ("random", "rea", "tpe")[: len(array)]
    unknown = np.full(array.shape, NAN)
    return Trials(names, np.arange(array.shape[1]), metric, array, *[unknown] * 6)


def test_a_line_holds_the_sample_and_its_ranks():
    random, rea = compare({HERE: trials([1, 2, 3], [2, 3, 1])}, {}, None)
    assert random.summary is not None
    assert (random.summary.n, random.summary.mean) == (3, 2.0)
    assert (random.mean_rank, rea.mean_rank) == pytest.approx((5 / 3, 4 / 3))
    assert random.against is None
    assert np.isnan(
        [random.p_value, random.improvement, random.table_rank, random.difference]
    ).all()


def test_the_best_is_picked_for_each_problem():
    problems = {HERE: trials([1, 1, 1], [2, 2, 2]), THERE: trials([5, 5, 5], [2, 2, 2])}
    lines = compare(problems, {}, "best")
    assert [line.against for line in lines] == ["rea", "rea", "random", "random"]
    assert [line.improvement for line in lines] == pytest.approx([0, NAN, NAN, 0], nan_ok=True)


def test_holm_counts_all_comparisons_of_the_report():
    problems = {HERE: trials([1, 2, 3], [2, 3, 4]), THERE: trials([1, 2, 3], [2, 3, 4])}
    lines = compare(problems, {}, "rea")
    tested = [line for line in lines if line.algorithm == "random"]
    assert [line.p_holm for line in tested] == pytest.approx([2 * tested[0].p_value] * 2)


@pytest.mark.parametrize("trained", ["random", "rea"])
def test_trials_of_one_agent_count_once_whichever_of_the_two_has_agents(trained):
    figures = [1, 2, 1, 2, 1, 2, 1, 2], [2, 4, 2, 4, 2, 4, 2, 4]
    search = Search(HERE.space, HERE.search_task, trained)
    extras = Extras(meta={search: MetaCost(2, NAN)})
    line, _ = compare({HERE: trials(*figures)}, {}, "rea", extras)
    assert (line.p_value, line.p_holm) == (0.5, 0.5)  # two agents cannot say more
    line, _ = compare({HERE: trials(*figures)}, {}, "rea")
    assert line.p_value < 0.05


def test_agents_of_another_task_are_not_counted():
    search = Search(THERE.space, THERE.search_task, "random")
    extras = Extras(meta={search: MetaCost(2, NAN)})
    line, _ = compare({HERE: trials([1] * 8, [2] * 8)}, {}, "rea", extras)
    assert line.p_value < 0.05


def test_a_rival_that_did_not_run_is_no_rival():
    lines = compare({HERE: trials([1, 2, 3])}, {}, "rea")
    assert lines[0].against is None
    assert np.isnan(lines[0].p_holm)


def test_the_difference_from_a_published_figure():
    published = {("rea", "cifar10", "cifar10"): Published(1.9, 1.0, 3, "x")}
    random, rea = compare({HERE: trials([1, 2, 3], [1, 2, 3])}, published, None)
    assert random.published is None
    assert random.within(0.25) is None
    assert rea.difference == pytest.approx(0.1)
    assert rea.difference_se == pytest.approx(0.1 / np.sqrt(2 / 3))
    assert rea.within(0.25) is True
    assert rea.within(0.05) is False
    assert rea.within(None) is None


def test_where_less_is_better_the_lowest_ranks_first_and_is_the_best():
    problems = {HERE: trials([9, 8, 7], [1, 2, 3], metric=metric_named("error_pct"))}
    random, rea = compare(problems, {}, "best")
    assert (random.against, random.improvement) == ("rea", 0.0)
    assert (random.mean_rank, rea.mean_rank) == (2.0, 1.0)
    assert overall_ranks(problems) == {"random": 2.0, "rea": 1.0}
    assert rea.summary is not None
    assert rea.summary.mean == 2.0  # in the unit of the metric


def test_published_figures_of_a_space_stand_beside_no_other():
    published = {
        (name, "cifar10", "cifar10"): Published(1.9, 1.0, 3, "x") for name in ("rea", "only")
    }
    for space, beside in ((HERE.space, True), ("elsewhere", False)):
        extras = Extras(published, ["only"], published_space=space)
        lines = compare({HERE: trials([1, 2, 3], [1, 2, 3])}, published, None, extras)
        assert [line.algorithm for line in lines] == ["random", "rea", *["only"] * beside]
        assert (lines[1].published is not None) == beside
        assert (lines[1].published_s is not None) == beside


def test_a_published_figure_in_another_metric_is_refused():
    published = {("rea", "cifar10", "cifar10"): Published(6.1, 1.0, 3, "x", "error_pct")}
    with pytest.raises(DataError, match="our figures are accuracy_pct, but the published ones err"):
        compare({HERE: trials([1, 2, 3], [1, 2, 3])}, published, None)


def test_no_figures_at_all_give_no_summary_and_no_rival():
    lines = compare({HERE: trials([NAN, NAN], [NAN, NAN])}, {}, "best")
    assert [line.summary for line in lines] == [None, None]
    assert [line.against for line in lines] == [None, None]


def test_overall_ranks_weigh_every_problem_the_same():
    problems = {HERE: trials([1, 1], [2, 2]), THERE: trials([3], [2])}
    assert overall_ranks(problems) == {"random": 1.5, "rea": 1.5}
