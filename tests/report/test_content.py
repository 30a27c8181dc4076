from sweeps import row, write_trials

from nasrun.report.content import Content, find_winners, winner_edges
from nasrun.report.jobs import Job, Search
from nasrun.report.schema import parse_report
from nasrun.report.tables import described
from nasrun.report.trials import Problem, as_numbers, by_problem, read_trials

FIGURE = "test_score"
CELL = [("0", "1", "skip_connect")]
CIFAR10, CIFAR100 = Problem("nb201", "cifar10", "cifar10"), Problem("nb201", "cifar10", "cifar100")


def content(folder, rows, figure=FIGURE):
    write_trials(folder, rows)
    frame = as_numbers(read_trials([folder]), figure)
    # Winners need no complete trials: only what each problem's figures are.
    problems = {
        Problem.of(own.iloc[0]): next(iter(by_problem(own, figure, ()).values()))
        for _, own in frame.groupby(["search_task", "task", "algorithm"])
    }
    found = find_winners(frame, problems, figure)
    report = parse_report({"name": "n", "title": "t", "labels": {"rea": "REA"}})
    return Content(report, problems, (), {}, (), winners=found)


def winners(folder, rows, figure=FIGURE):
    return content(folder, rows, figure).winners


def test_the_reward_decides_and_the_commonest_of_equals_wins(tmp_path):
    rows = [
        row("rea", 0, 99.0, arch="tested best", reward=80),
        row("rea", 1, 94.0, arch="x", reward=90),
        row("rea", 2, 95.0, arch="y", reward=90),
        row("random", 0, 95.0, arch="y", reward=90),
    ]
    (found,) = winners(tmp_path, rows)
    assert (found.arch, found.reward, found.found) == ("y", 90, {"rea": 1, "random": 1})
    assert found.figures == {CIFAR10: 95.0}


def test_every_searched_task_has_one_with_its_figures_on_all_scored_tasks(tmp_path):
    rows = [
        row("rea", 0, 94.0, "cifar10", arch="x", reward=90),
        row("rea", 0, 71.0, "cifar100", "cifar10", arch="x", reward=90),
        row("rea", 0, 70.0, "cifar100", arch="y", reward=60),
    ]
    first, second = winners(tmp_path, rows)
    assert first.figures == {CIFAR10: 94.0, CIFAR100: 71.0}
    assert first.found == {"rea": 1}
    assert (second.search_task, second.arch) == ("cifar100", "y")


def test_without_rewards_the_metric_decides(tmp_path):
    told = content(tmp_path, [row("rea", 0, 94.0, arch="x"), row("rea", 1, 95.0, arch="y")])
    (found,) = told.winners
    assert found.arch == "y"
    assert described(found, told) == [
        "cifar10: test accuracy (%) 95.00, rank 2 in the table", "trials that ended here: REA 1",
    ]  # fmt: skip


def test_where_less_is_better_the_smallest_figure_wins(tmp_path):
    rows = [row("rea", i, x, arch=f"a{i}", metric="perplexity") for i, x in enumerate((9, 4, 6))]
    told = content(tmp_path, rows)
    (found,) = told.winners
    assert found.arch == "a1"
    assert described(found, told)[0] == "cifar10: test perplexity 4.00, rank 2 in the table"


def test_no_architecture_or_no_figure_is_no_winner(tmp_path):
    assert winners(tmp_path, [row("rea", 0, 94.0, arch="")]) == []
    assert winners(tmp_path, [row("rea", 0, "")]) == []


def test_the_cell_comes_from_a_job_that_searched_there(tmp_path):
    (found,) = winners(tmp_path, [row("rea", 0, 94.0, arch="x", reward=90)])
    jobs = [
        Job(tmp_path / task, Search("nb201", task, "rea"), None) for task in ("cifar100", "cifar10")
    ]
    asked = []

    def edges(folder, arch):
        asked.append((folder.name, arch))
        return CELL

    assert winner_edges(found, jobs, edges) == CELL
    assert asked == [("cifar10", "x")]
    assert winner_edges(found, jobs[:1], edges) is None
    assert winner_edges(found, jobs, None) is None
