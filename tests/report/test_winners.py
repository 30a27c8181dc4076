from sweeps import row, write_trials

from nasrun.report.jobs import Job, Search
from nasrun.report.trials import read_trials
from nasrun.report.winners import described, find_winners, winner_edges

METRIC = "test_score"
CELL = [("0", "1", "skip_connect")]


def winners(folder, rows):
    return find_winners(read_trials(write_trials(folder, rows), METRIC), METRIC)


def test_the_reward_decides_and_the_commonest_of_equals_wins(tmp_path):
    rows = [
        row("rea", 0, 99.0, arch="tested best", reward=80),
        row("rea", 1, 94.0, arch="x", reward=90),
        row("rea", 2, 95.0, arch="y", reward=90),
        row("random", 0, 95.0, arch="y", reward=90),
    ]
    (found,) = winners(tmp_path, rows)
    assert (found.arch, found.reward, found.found) == ("y", 90, {"rea": 1, "random": 1})
    assert found.figures == {"cifar10": 95.0}


def test_every_searched_task_has_one_with_its_figures_on_all_scored_tasks(tmp_path):
    rows = [
        row("rea", 0, 94.0, "cifar10", arch="x", reward=90),
        row("rea", 0, 71.0, "cifar100", "cifar10", arch="x", reward=90),
        row("rea", 0, 70.0, "cifar100", arch="y", reward=60),
    ]
    first, second = winners(tmp_path, rows)
    assert first.figures == {"cifar10": 94.0, "cifar100": 71.0}
    assert first.found == {"rea": 1}
    assert (second.search_task, second.arch) == ("cifar100", "y")


def test_without_rewards_the_metric_decides(tmp_path):
    (found,) = winners(tmp_path, [row("rea", 0, 94.0, arch="x"), row("rea", 1, 95.0, arch="y")])
    assert found.arch == "y"
    assert described(found, str.upper, "test accuracy, %") == [
        "cifar10: 95.00 (test accuracy, %), rank 2 in the table", "trials that ended here: REA 1",
    ]  # fmt: skip


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
