import csv

import pytest
from rich.console import Console
from sweeps import job, row, write_trials

from nasrun.report.experiment import write_report

META = {"agents": 2, "cost_s": 7200.0}
REPORT = {
    "name": "r", "title": "t", "figure": "val_score",
    "columns": ["score", "first", "published", "hours", "published_hours", "meta_hours", "best",
                "top3", "top10"],
    "first": 2, "published": "catch_table1", "published_only": ["gdas", "optimum", "nobody"],
    "labels": {"gdas": "GDAS", "catch": "CATCH"},
    "claims": [{"better": "catch", "worse": "rea"}, {"better": "catch", "worse": "tpe"}],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    rows = []
    for task in ("cifar10", "cifar100"):
        found = {"catch": ([91.0, 92.0, 90.0, 93.0], [1, 9, 1, 2]), "rea": ([90.0] * 4, [20] * 4)}
        for name, (figures, ranks) in found.items():
            rows += [
                row(name, seed, "", task, val_score=figure, rank=rank, simulated_s=3600)
                for seed, (figure, rank) in enumerate(zip(figures, ranks, strict=True))
            ]
    for name, meta in (("catch", META), ("rea", None)):
        job(tmp_path / name, name, [[1.0]], meta=meta)
    write_trials(tmp_path, rows)
    return tmp_path


def shown(folder, report=REPORT):
    with open("/dev/null", "w") as nowhere:
        console = Console(width=200, record=True, file=nowhere)
        console.print(write_report(folder, report).table)
    return console.export_text()


def table(folder, name):
    with (folder / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def line(text, label, after="cifar10"):
    below = text[text.index(after) :]
    return next(found.split() for found in below.splitlines() if found.split()[:1] == [label])


def test_shares_come_with_their_spread_over_agents(folder):
    # Seeds 0 and 2 are agent 0's, with ranks 1 and 1; 1 and 3 are agent 1's, with 9 and 2.
    cells = line(shown(folder), "CATCH")
    assert " ".join(cells[-6:]) == "50.0 [0–100] 75.0 [50–100] 100 [100–100]"
    assert line(shown(folder), "rea")[-3:] == ["0.0", "0.0", "0.0"]
    assert "least and the most successful meta-trained agent" in shown(folder)


def test_the_first_seeds_stand_beside_all(folder):
    cells = line(shown(folder), "CATCH")
    assert cells[1:7] == ["91.50", "±", "1.29", "91.50", "±", "0.71"]


def test_published_rows_wait_for_ours(folder):
    text = shown(folder)
    assert line(text, "GDAS") == ["GDAS", "90.32", "±", "0.08", "6.00"]
    assert line(text, "optimum") == ["optimum", "91.72"]
    assert "nobody" not in text
    assert text.index("GDAS") < text.index("CATCH")  # the order of the labels


def test_hours_are_summed_over_the_searched_tasks(folder):
    text = shown(folder)
    # 1 h of search on each of two tasks; only cifar10's job tells of its meta-training.
    assert line(text, "CATCH", after="all tasks")[1:3] == ["2.0", "22.50"]
    assert line(text, "GDAS", after="all tasks")[1:] == ["29.23"]
    assert "meta-training cost each agent, before its searches, 1 h for cifar10" in text


def test_claims_are_tested_on_every_task(folder):
    text = shown(folder)
    assert text.count("CATCH > rea") == 2
    assert "> tpe" not in text
    assert "no trials of tpe, which report.against or report.claims names" in text
    write_report(folder, REPORT)
    here, there = table(folder, "r_claims.csv")
    assert (here["units"], here["unit"], here["p_value"]) == ("2", "agents", "0.25")
    assert (there["units"], there["unit"]) == ("4", "trials")  # no job says that it had agents
    assert float(here["difference"]) == 1.5


def test_tests_and_intervals_count_agents_once(folder):
    columns = ["interval", "p_value"]
    write_report(folder, {**REPORT, "columns": columns, "against": "rea"})
    text = (folder / "r.md").read_text(encoding="utf-8")
    assert "p: trials of one meta-trained agent count once, as their mean" in text
    assert "95% CI of the mean: where agents were meta-trained, it draws agents" in text
    here, there = (each for each in table(folder, "r.csv") if each["algorithm"] == "catch")
    assert here["p_value"] == "0.5"  # of two agents
    assert there["p_value"] == "0.25"  # of four trials: no job says that they had agents
    assert [(each["n"], each["units"]) for each in (here, there)] == [("4", "2"), ("4", "4")]


def test_the_csv_has_shares_first_seeds_and_hours(folder):
    write_report(folder, REPORT)
    lines = {(r["algorithm"], r["task"]): r for r in table(folder, "r.csv")}
    catch, gdas = lines["catch", "cifar10"], lines["gdas", "cifar10"]
    assert (catch["top1_share"], catch["top1_share_agent_max"]) == ("0.5", "1")
    assert (catch["first_n"], catch["first_mean"]) == ("2", "91.5")
    assert (catch["simulated_h"], catch["meta_agents"], catch["meta_agent_h"]) == ("1", "2", "1")
    assert (gdas["mean"], gdas["top1_share"], gdas["simulated_h"]) == ("", "", "")
    assert (gdas["published_mean"], gdas["published_h"]) == ("90.32", "6")


def test_markdown_has_the_claims_and_the_totals(folder):
    write_report(folder, REPORT)
    page = (folder / "r.md").read_text(encoding="utf-8")
    totals = page.split("## All tasks\n\n")[1].splitlines()
    assert totals[0] == "| method | simulated GPU hours | published GPU hours |"
    assert "| CATCH > rea | cifar10 | +1.50 | 2 agents | 0.250 | 0.250 |" in page


def at_width(folder, width, report=REPORT):
    with open("/dev/null", "w") as nowhere:
        console = Console(width=width, record=True, file=nowhere)
        console.print(write_report(folder, report).table)
    return console.export_text()


def test_a_narrow_terminal_shows_whole_columns_and_names_the_others(folder):
    wide, narrow = (at_width(folder, width) for width in (200, 60))
    assert "too wide" not in wide
    assert "too wide for this terminal, see r.md:" in " ".join(narrow.split())
    assert "finds a top 10, %" in " ".join(narrow.split())
    for text in (wide, narrow):
        assert "…" not in text
        for task in ("cifar10", "cifar100"):
            assert any(found.strip() == task for found in text.splitlines())
    assert max(map(len, narrow.splitlines())) <= 60


def per_metric(folder):
    """Two tasks: perplexities, of which rea has the lower, and SSIM, where it is random."""
    rows = [
        row(name, seed, figure + seed / 8, task, metric=metric)
        for task, metric, figures in (
            ("text", "perplexity", {"random": 60.0, "rea": 58.0}),
            ("images", "ssim", {"random": 0.5, "rea": 0.4}),
        )
        for name, figure in figures.items()
        for seed in range(3)
    ]
    write_trials(folder, rows)
    return {
        "name": "b",
        "title": "t",
        "columns": ["score", "mean_rank", "improvement"],
        "against": "best",
    }


def test_tasks_with_metrics_of_their_own_have_headers_and_decimals_of_their_own(tmp_path):
    shown = at_width(tmp_path, 120, per_metric(tmp_path))
    assert "text: test perplexity" in shown
    assert "images: test SSIM" in shown
    assert line(shown, "rea", after="text:")[1:] == ["58.12", "±", "0.12", "1.00"]
    assert line(shown, "random", after="images:")[1:] == ["0.6250", "±", "0.1250", "1.00"]
    page = (tmp_path / "b.md").read_text(encoding="utf-8")
    assert "| method | test perplexity | mean rank | probability of improvement over best |" in page
    assert "| method | test SSIM | mean rank | probability of improvement over best |" in page
    assert "text: lower is better (test perplexity)" in page
    text, images = page.split("## text")[1].split("## images")
    assert text.index("| rea |") < text.index("| random |")  # the best mean stands first
    assert images.index("| random |") < images.index("| rea |")
    kept = table(tmp_path, "b.csv")
    assert {(r["task"], r["metric"], r["figure"]) for r in kept} == {
        ("text", "perplexity", "test_score"), ("images", "ssim", "test_score"),
    }  # fmt: skip


def test_square_brackets_of_a_name_are_no_markup(tmp_path):
    name = "rea[population=5]"
    write_trials(tmp_path, [row(name, seed, 90.0 + seed) for seed in range(3)])
    assert name in at_width(tmp_path, 120, {"name": "b", "title": "[bold]t"})
