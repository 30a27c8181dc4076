"""Reports on several spaces: tasks of one name, and tasks whose tables have other figures."""

import json
import re

import pytest
from sweeps import job, row, write_trials

from nasrun.files import read_csv
from nasrun.report.experiment import write_report
from nasrun.report.schema import DEFAULT
from nasrun.report.trials import names_by_space

FOUND = {"nb201": [93.0, 94.0, 95.0], "nats_size": [83.0, 84.0, 85.0]}


@pytest.fixture
def joined(tmp_path):
    """The report of a sweep of each space, both on CIFAR-10."""
    folders = []
    for space, figures in FOUND.items():
        folder = tmp_path / space
        found = job(folder / "job", "rea", [[figure - 1, figure] for figure in figures])
        write_trials(folder, [row("rea", s, x, space=space) for s, x in enumerate(figures)])
        path = found / "trials.csv"
        path.write_text(path.read_text().replace("nb201", space))
        folders.append(folder)
    out = tmp_path / "out"
    write_report(out, DEFAULT, folders)
    return out


def charts(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    (found,) = re.findall(r'id="charts">(.*?)</script>', page)
    return json.loads(found)


def test_a_name_takes_its_space_only_where_others_have_it():
    pairs = [("a", "cifar10"), ("b", "cifar10"), ("b", "jigsaw"), ("b", "jigsaw")]
    assert names_by_space(pairs) == {
        ("a", "cifar10"): "cifar10 in a",
        ("b", "cifar10"): "cifar10 in b",
        ("b", "jigsaw"): "jigsaw",
    }


def test_tables_and_winners_say_which_space(joined):
    names = [f"cifar10 in {space}" for space in FOUND]
    text = (joined / "report.md").read_text(encoding="utf-8")
    assert f"| method | {' | '.join(names)} |" in text
    assert [line[3:] for line in text.splitlines() if line.startswith("## cifar10")] == names
    page = (joined / "report.html").read_text(encoding="utf-8")
    assert all(f'<article class="winner"><h3>{name}</h3>' in page for name in names)


def test_no_space_takes_the_place_of_anothers_curves(joined):
    (anytime,) = [chart for chart in charts(joined) if chart["title"] == "Anytime performance"]
    ends = {panel["title"]: panel["series"][0]["y"][-1] for panel in anytime["panels"]}
    assert ends == {"cifar10 in nb201": 94.0, "cifar10 in nats_size": 84.0}


def mixed(folder, **second):
    """Two methods on a task with test figures, and on one of which ``second`` is known."""
    rows = [
        row(name, seed, 90.0 + seed + len(name), reward=80.0, val_score=80.0 + seed)
        for name in ("rea", "random")
        for seed in range(3)
    ]
    rows += [
        row(name, seed, "", task="jigsaw", space="transnas_micro", **second)
        for name in ("rea", "random")
        for seed in range(3)
    ]
    write_trials(folder, rows)
    write_report(folder, DEFAULT)
    return (folder / "report.md").read_text(encoding="utf-8")


def test_the_figure_is_one_that_all_tasks_have(tmp_path):
    text = mixed(tmp_path, reward=70.0, val_score=70.0)
    assert "| rea | 3 | 81.00 ± 1.00 |" in text
    assert "| rea | 3 | 70.00 ± 0.00 |" in text
    assert "6 trials of each method on 2 tasks;" in text


def test_a_task_without_the_figure_is_named(tmp_path):
    text = mixed(tmp_path)
    assert "- no trial has a test_score on jigsaw: its cells are empty" in text
    assert "3 trials of each method on 1 of 2 tasks, on which all methods have figures;" in text


def test_methods_with_spaces_of_their_own_compete_where_the_report_says_so(tmp_path):
    folders = []
    for (space, figures), name in zip(FOUND.items(), ("rea", "random"), strict=True):
        folder = tmp_path / space
        found = job(folder / "job", name, [[figure - 1, figure] for figure in figures])
        write_trials(folder, [row(name, s, x, space=space) for s, x in enumerate(figures)])
        path = found / "trials.csv"
        path.write_text(path.read_text().replace("nb201", space))
        folders.append(folder)
    out, asked = tmp_path / "out", []

    def edges(folder, arch):
        asked.append((folder, arch))

    write_report(out, {**DEFAULT, "across_spaces": True}, folders, edges)
    text = (out / "report.md").read_text(encoding="utf-8")
    assert "| method | cifar10 |" in text
    assert "not complete" not in text
    assert "space=" not in text
    (anytime,) = [chart for chart in charts(out) if chart["title"] == "Anytime performance"]
    panel, _ = anytime["panels"]  # by evaluations, by hours
    assert {series["y"][-1] for series in panel["series"]} == {94.0, 84.0}
    assert [folder for folder, _ in asked] == [tmp_path / "nb201" / "job"]  # of the winner's space
    spaces = {line["space"] for line in read_csv(out / "trials.csv")}
    assert spaces == set(FOUND)  # what is joined stays as it was
