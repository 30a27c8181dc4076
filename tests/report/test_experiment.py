import csv
import json

import numpy as np
import pytest
from rich.console import Console
from sweeps import row, sweep, write_trials

from nasrun.errors import DataError
from nasrun.report.experiment import read_node, write_report

LEADERBOARD = {
    "name": "board", "title": "A board", "against": "rea", "published": "nb201_baselines",
    "columns": ["trials", "score", "interval", "table_rank", "mean_rank", "p_value", "improvement",
                "published", "difference", "difference_se", "within"],
    "tolerance": 0.25, "notes": ["a remark"],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    generator = np.random.default_rng(0)
    sweep(
        tmp_path,
        {
            "random": generator.normal(93.7, 0.3, 20).round(3),
            "rea": generator.normal(94.0, 0.3, 20).round(3),
            "hyperband": generator.normal(93.7, 0.3, 20).round(3),
        },
    )
    return tmp_path


def text(folder, report, width=200):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(write_report(folder, report).table)
    console.file.close()
    return console.export_text()


def rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return {line["algorithm"]: line for line in csv.DictReader(stream)}


def test_the_table_shows_ours_beside_the_published(folder):
    shown = text(folder, LEADERBOARD)
    rea, hyperband, random = (
        next(line for line in shown.splitlines() if line.strip().startswith(name))
        for name in ("rea", "hyperband", "random")
    )
    assert "93.92 ± 0.30" in rea
    assert rea.rstrip().endswith("yes")
    assert "93.70 ± 0.36" in random
    assert hyperband.split()[-1] not in ("yes", "no")  # nothing published, nothing compared
    assert shown.index("rea ") < shown.index("random ")  # the best mean stands first
    for note in ("a remark", "signed-rank test against rea", "NAS-Bench-201 (ICLR 2020)"):
        assert note in shown


def test_who_is_named_and_has_no_trials_is_said(folder):
    claims = [{"better": "catch", "worse": "rea"}, {"better": "rea", "worse": "random"}]
    shown = text(folder, LEADERBOARD | {"against": "nobody", "claims": claims}, width=300)
    assert "no trials of nobody, catch, which report.against or report.claims names" in shown
    assert "signed-rank test against nobody" not in shown
    assert "no trials of" not in text(folder, LEADERBOARD | {"claims": claims[1:]}, width=300)


def test_the_csv_has_every_figure_and_empty_cells_for_the_missing(folder):
    write_report(folder, LEADERBOARD)
    lines = rows(folder / "board.csv")
    assert set(lines) == {"random", "rea", "hyperband"}
    assert lines["rea"]["n"] == "20"
    assert lines["rea"]["p_holm"] == lines["rea"]["probability_of_improvement"] == ""
    assert float(lines["random"]["p_holm"]) >= float(lines["random"]["p_value"])
    assert lines["hyperband"]["published_mean"] == lines["hyperband"]["within_tolerance"] == ""
    assert lines["random"]["within_tolerance"] in ("yes", "no")


def test_markdown_has_a_table_per_task_and_the_overall_ranks(folder):
    write_report(folder, LEADERBOARD)
    page = (folder / "board.md").read_text(encoding="utf-8")
    assert page.startswith("# A board\n")
    assert "## cifar10\n" in page
    assert "## All tasks" in page
    table = page.split("## cifar10\n")[1].split("## All tasks")[0]
    widths = {line.count("|") for line in table.splitlines() if "|" in line}
    assert widths == {13}


def test_labels_name_the_methods_and_set_their_order(folder):
    report = {"name": "b", "title": "t", "labels": {"hyperband": "HB", "random": "RS"}}
    shown = text(folder, report)
    assert shown.index("HB ") < shown.index("RS ") < shown.index("rea ")


def test_tables_without_test_accuracy_give_empty_cells_and_say_so(tmp_path):
    sweep(tmp_path, {"rea": ["", ""], "random": ["", ""]})
    report = {**LEADERBOARD, "figures": ["box"]}
    write_report(tmp_path, report)
    assert rows(tmp_path / "board.csv")["rea"]["mean"] == ""
    assert "have no test_score" in text(tmp_path, report)


def test_one_trial_has_a_mean_and_no_spread(tmp_path):
    sweep(tmp_path, {"rea": [94.0], "random": [93.0]})
    assert "±" not in text(tmp_path, {"name": "b", "title": "t"})


def test_a_box_figure_comes_as_png_and_svg(folder):
    written = write_report(folder, {**LEADERBOARD, "figures": ["box"]}).files
    assert {path.name for path in written} == {
        "board.csv", "board.md", "board.tex", "board.png", "board.svg", "board_statistics.csv",
        "board_pairs.csv", "report.html", "report.json",
    }  # fmt: skip
    assert (folder / "board.png").read_bytes().startswith(b"\x89PNG")
    drawn = (folder / "board.svg").read_text(encoding="utf-8")
    assert "published mean" in drawn
    assert "test accuracy (%)" in drawn


def test_the_same_trials_give_the_same_bytes(folder):
    report = {**LEADERBOARD, "figures": ["box"]}
    first = {path: path.read_bytes() for path in write_report(folder, report).files}
    assert {path: path.read_bytes() for path in write_report(folder, report).files} == first
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_every_scored_task_has_a_section(tmp_path):
    cells = [("random", 0, 93.0), ("random", 1, 94.0), ("rea", 0, 94.0), ("rea", 1, 95.0)]
    here = [row(*cell, "cifar10") for cell in cells]
    there = [row(*cell, "cifar100", "cifar10") for cell in cells]
    write_trials(tmp_path, here + there)
    shown = text(tmp_path, LEADERBOARD)
    assert "cifar10 -> cifar100" in shown
    assert "71.84 ± 0.99" in shown


def test_the_report_is_rebuilt_from_its_own_folder(folder):
    write_report(folder, LEADERBOARD)
    assert read_node(folder) == json.loads(json.dumps(LEADERBOARD))


@pytest.mark.parametrize(("content", "message"), [("{", "cannot be read"), ("[]", "JSON object")])
def test_a_damaged_node_is_refused(folder, content, message):
    (folder / "report.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_node(folder)


def test_no_trials_are_no_report(tmp_path):
    write_trials(tmp_path, [])
    with pytest.raises(DataError, match="no trials"):
        write_report(tmp_path, LEADERBOARD)


def test_a_folder_that_cannot_be_written_is_one_sentence(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(DataError, match="No space left on device; free some space"):
        write_report(folder, LEADERBOARD)
    assert {path.name for path in folder.iterdir()} == {"trials.csv"}
