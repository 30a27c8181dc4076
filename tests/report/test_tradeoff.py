"""Searches with hardware: the scatter, its fronts, the budget, and ranks by the reward."""

import csv
import json
import re

import numpy as np
import pytest
from sweeps import COLUMNS, row

from nasrun.report.experiment import write_report
from nasrun.report.schema import DEFAULT
from nasrun.report.tradeoff import Scatter, _stairs
from nasrun.spec import ACCURACY, metric_named

AIM = ("device", "target_ms", "exponent", "exponent_above", "limit_ms")
FRONT = (
    "space", "search_task", "task", "algorithm", "seed", "arch", "metric", "val_score",
    "latency_ms", "hypervolume", "split", "fidelity", "run", "clock", "meta",
)  # fmt: skip
# Test accuracy, latency and reward by seed: rea finds the faster ones, random the better ones.
FOUND = {
    "rea": [(90.0, 4.0, 91.0), (91.0, 5.0, 92.0), (92.0, 6.5, 93.0), (91.5, 4.5, 92.5)],
    "random": [(93.0, 9.0, 90.0), (93.5, 8.0, 91.0), (93.2, 5.5, 92.0), (94.0, 9.5, 91.5)],
}


def write(folder, aims=("gpu", "6.0", "-0.05", "-0.05", ""), device=True):
    """A sweep with a device; the second method may have an aim of its own."""
    by_method = aims if isinstance(aims, dict) else dict.fromkeys(FOUND, aims)
    with (folder / "trials.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*COLUMNS, *AIM])
        for name, trials in FOUND.items():
            for seed, (test, latency, reward) in enumerate(trials):
                cells = row(name, seed, test, latency_ms=latency if device else "", reward=reward)
                writer.writerow([*cells, *by_method[name]])
    if not device:
        return
    with (folder / "pareto.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(FRONT)
        for name, volume in (("rea", 30.0), ("random", 20.0)):
            for seed in range(3):  # the fourth trial found nothing
                writer.writerow(
                    ["nb201", "cifar10", "cifar10", name, seed, f"{name}{seed}", "accuracy_pct",
                     90 + seed, 5 + seed, volume, "s", "val@12", "mean", "c", "none"]
                )  # fmt: skip


def lines(folder):
    with (folder / "report.csv").open(newline="") as stream:
        return {line["algorithm"]: line for line in csv.DictReader(stream)}


def charts(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    found = json.loads(re.search(r'id="charts">(.*?)</script>', page)[1])
    return {chart["title"]: chart for chart in found}


def test_budgets_met_hypervolume_and_latency_are_counted(tmp_path):
    write(tmp_path)
    write_report(tmp_path, DEFAULT)
    found = lines(tmp_path)
    assert (found["rea"]["budget_met_share"], found["random"]["budget_met_share"]) == (
        "0.75",
        "0.25",
    )
    assert float(found["rea"]["latency_mean"]) == 5.0
    assert float(found["rea"]["hypervolume_mean"]) == 22.5  # 30, 30, 30, and 0
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    header = next(line for line in page.splitlines() if "95% CI" in line)
    for name in ("latency (ms)", "meets the budget, %", "hypervolume"):
        assert f"| {name} " in header


def test_a_limit_is_the_budget_where_there_is_one(tmp_path):
    write(tmp_path, ("gpu", "6.0", "-0.05", "-0.05", "4.2"))
    write_report(tmp_path, DEFAULT)
    assert lines(tmp_path)["rea"]["budget_met_share"] == "0.25"


def test_methods_are_ranked_by_what_was_searched_for(tmp_path):
    write(tmp_path)
    write_report(tmp_path, DEFAULT)
    found = lines(tmp_path)
    assert (found["rea"]["mean_rank"], found["random"]["mean_rank"]) == ("1", "2")
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    rea, random = (
        next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
        for name in ("rea", "random")
    )
    assert rea == "| rea | 91.12 ± 0.85‡ | **5.00 ± 1.08** | **92.12 ± 0.85** |"
    assert random.startswith("| random | **93.42 ± 0.43** | 8.00")
    assert "by the reward of score and latency" in page


def test_rewards_of_different_aims_rank_nothing(tmp_path):
    aim = ("gpu", "6.0", "-0.05", "-0.05", "")
    write(tmp_path, {"rea": aim, "random": ("gpu", "9.0", *aim[2:])})
    write_report(tmp_path, DEFAULT)
    found = lines(tmp_path)
    assert (found["rea"]["mean_rank"], found["random"]["mean_rank"]) == ("2", "1")


def test_the_scatter_has_points_fronts_and_the_budget(tmp_path):
    write(tmp_path)
    files = {path.name for path in write_report(tmp_path, DEFAULT).files}
    assert {"report_tradeoff.png", "report_tradeoff.svg"} <= files
    found, searched = charts(tmp_path)["Score against latency"]["panels"]
    assert (found["budgets"], found["x"], found["y"]) == (
        [6.0],
        "latency (ms)",
        "test accuracy (%)",
    )
    rea = next(series for series in found["series"] if series["name"] == "rea")
    assert rea["x"] == [4.0, 4.5, 5.0, 6.5]
    assert (rea["frontX"], rea["frontY"]) == ([4.0, 4.5, 6.5], [90.0, 91.5, 92.0])
    assert searched["title"] == "cifar10: fronts of the trials"
    assert searched["y"] == "validation accuracy (%)"
    drawn = (tmp_path / "report_tradeoff.svg").read_text(encoding="utf-8")
    for text in ("latency (ms)", "latency budget", "random"):
        assert f">{text}</text>" in drawn


def test_stairs_rise_at_the_faster_ones_latency():
    front = np.array([[1.0, 50.0], [3.0, 60.0]])
    assert _stairs(front).tolist() == [[1.0, 50.0], [3.0, 50.0], [3.0, 60.0]]


def test_without_a_device_there_is_nothing_of_it(tmp_path):
    write(tmp_path, ("none", "", "", "", ""), device=False)
    write_report(tmp_path, DEFAULT)
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "latency" not in page
    assert "Score against latency" not in charts(tmp_path)


def test_another_programs_fronts_are_refused(tmp_path):
    from nasrun.errors import DataError

    write(tmp_path)
    (tmp_path / "pareto.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"pareto\.csv: no column algorithm"):
        write_report(tmp_path, DEFAULT)


@pytest.mark.parametrize(
    ("metric", "shown"), [(ACCURACY, (52, 70)), (metric_named("error_pct"), (50, 68))]
)
def test_a_panel_leaves_the_worst_tenth_out(metric, shown):
    points = {name: np.stack([np.ones(10), scores], axis=1) for name, scores in (
        ("a", np.arange(50.0, 60.0)), ("b", np.arange(61.0, 71.0)))}  # fmt: skip
    points["b"] = np.append(points["b"], [[1.0, 60.0]], axis=0)
    assert Scatter("t", metric, points, {}, ()).shown_range == pytest.approx(shown)
