import csv
import json
import re

import numpy as np
import pytest
from sweeps import job, row, write_trials

from nasrun.errors import DataError
from nasrun.report.experiment import write_report
from nasrun.report.jobs import Histories, by_evaluations, by_hours
from nasrun.report.schema import Figure
from nasrun.report.style import DASHES, PALETTE, empty, legend_below, line_style

NAN = np.nan
REPORT = {
    "name": "f", "title": "t", "labels": {"rea": "R-EA"},
    "figures": ["sorted", "anytime", "box"],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    generator = np.random.default_rng(0)
    rows = []
    for name in ("random", "rea"):
        rewards = generator.normal(93, 1, (6, 8)).round(3)
        job(tmp_path / name, name, rewards.tolist())
        rows += [row(name, seed, best) for seed, best in enumerate(rewards.max(axis=1))]
    write_trials(tmp_path, rows)
    return tmp_path


def test_every_kind_of_figure_is_written_and_repeats(folder):
    written = {path.name: path.read_bytes() for path in write_report(folder, REPORT).files}
    stems = ("f", "f_anytime", "f_box")
    assert {f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")} <= set(written)
    again = {path.name: path.read_bytes() for path in write_report(folder, REPORT).files}
    assert again == written


@pytest.mark.parametrize("kind", ["anytime", "box", "sorted", "profile", "ranks"])
def test_a_figure_names_its_methods_tasks_and_unit(folder, kind):
    write_report(folder, {**REPORT, "figures": [kind]})
    drawn = (folder / "f.svg").read_text(encoding="utf-8")
    said = {
        "anytime": ("cifar10", "best reward so far", "evaluations", "simulated GPU hours"),
        "box": ("cifar10", "test accuracy (%)"), "sorted": ("cifar10", "test accuracy (%)"),
        "profile": ("normalised score",), "ranks": ("critical difference",),
    }  # fmt: skip
    shown = re.findall(r"<text [^>]*>(.*?)</text>", drawn)  # as text, not as outlines
    for text in ("R-EA", "random", *said[kind]):
        assert any(text in one for one in shown), text


def test_errors_are_drawn_in_their_unit_from_the_worst_to_the_best(tmp_path):
    rewards = [[-8.0, -6.0], [-9.0, -5.0], [-7.0, -4.0]]
    job(tmp_path / "rea", "rea", rewards, metric="error_pct")
    rows = [row("rea", i, -trial[-1], metric="error_pct") for i, trial in enumerate(rewards)]
    write_trials(tmp_path, rows)
    write_report(tmp_path, {**REPORT, "figures": ["anytime", "sorted", "box"]})
    said = {"f": "best validation error (%) so far", "f_sorted": "test error (%)",
            "f_box": "test error (%)"}  # fmt: skip
    for name, text in said.items():
        assert text in (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    (charts,) = re.findall(r'id="charts">(.*?)</script>', page)
    anytime, ordered, _ = json.loads(charts)
    assert anytime["panels"][0]["series"][0]["y"] == [8, 5]
    drawn = ordered["panels"][0]["series"][0]["y"]
    assert (drawn[0], drawn[-1]) == (6, 4)
    assert ordered["panels"][0]["range"] == [4, 5.96]  # the worst 2% may fall outside


@pytest.mark.parametrize("kind", [Figure.box, Figure.sorted], ids=lambda kind: kind.value)
def test_nothing_known_is_an_empty_figure(tmp_path, kind):
    write_trials(tmp_path, [row("rea", 0, "", rank=""), row("rea", 1, "", rank="")])
    write_report(tmp_path, {**REPORT, "figures": [kind.value]})
    assert (tmp_path / "f.png").exists()


def without_costs(job_folder):
    path = job_folder / "evaluations.csv"
    head, *lines = list(csv.reader(path.read_text().splitlines()))
    for line in lines:
        line[head.index("clock_s")] = ""
    path.write_text("\n".join(map(",".join, [head, *lines])))


def test_a_task_without_costs_says_so_beside_one_that_has_them(folder):
    there = [row("rea", seed, 90.0 + seed, task="jigsaw") for seed in range(2)]
    write_trials(job(folder / "there", "rea", [[90.0], [91.0]]), there)
    without_costs(folder / "there")
    write_trials(folder, [*(row("rea", seed, 93.0) for seed in range(6)), *there])
    write_report(folder, {**REPORT, "figures": ["anytime"]})
    drawn = (folder / "f.svg").read_text(encoding="utf-8")
    shown = re.findall(r"<text [^>]*>(.*?)</text>", drawn)
    assert [shown.count(text) for text in ("jigsaw", "evaluations", "costs unknown")] == [1, 2, 1]
    assert shown.count("simulated GPU hours") == 1


def size_in(drawn):
    """Width and height of an SVG in inches."""
    found = re.search(r'width="(.*?)pt" height="(.*?)pt"', drawn)
    assert found is not None
    return [float(text) / 72 for text in found.groups()]


@pytest.mark.parametrize(
    ("kind", "tasks", "columns", "rows"),
    [("anytime", 5, 5, 1), ("anytime", 7, 4, 2), ("sorted", 11, 4, 3), ("box", 6, 3, 2)],
)
def test_many_tasks_stand_in_rows(tmp_path, kind, tasks, columns, rows):
    written = []
    for number in range(tasks):
        task = f"task{number}"
        own = [row("rea", seed, 90.0 + seed, task=task) for seed in range(2)]
        write_trials(job(tmp_path / task, "rea", [[90.0], [91.0]]), own)
        written += own
        if number >= columns:  # no costs are known in any row but the first
            without_costs(tmp_path / task)
    write_trials(tmp_path, written)
    write_report(tmp_path, {**REPORT, "figures": [kind]})
    drawn = (tmp_path / "f.svg").read_text(encoding="utf-8")
    shown = re.findall(r"<text [^>]*>(.*?)</text>", drawn)
    assert [shown.count(f"task{number}") for number in range(tasks)] == [1] * tasks
    width, height = size_in(drawn)
    if kind == "box":
        assert width > 2.8 * columns
        assert width < 2.8 * (columns + 1) + 1.0
    else:
        assert width == pytest.approx(3.4 * columns)
        panels = rows + (kind == "anytime")
        assert height == pytest.approx(3.0 * panels + 0.6)


def test_curves_are_drawn_where_costs_are_unknown(folder):
    """Against evaluations alone, until the shorter trials end."""
    for name in ("random", "rea"):
        without_costs(folder / name)
    write_report(folder, {**REPORT, "figures": ["anytime"]})
    drawn = (folder / "f.svg").read_text(encoding="utf-8")
    assert "evaluations" in drawn
    assert "simulated GPU hours" not in drawn
    page = (folder / "report.html").read_text(encoding="utf-8")
    (charts,) = re.findall(r'id="charts">(.*?)</script>', page)
    (panel,) = json.loads(charts)[0]["panels"]
    assert [line["x"] for line in panel["series"]] == [list(range(1, 9))] * 2


def test_an_algorithm_whose_jobs_are_gone_has_no_curve(folder):
    for path in (folder / "rea").iterdir():
        path.unlink()
    write_report(folder, {**REPORT, "figures": ["anytime"]})
    assert "R-EA" not in (folder / "f.svg").read_text(encoding="utf-8")


def test_a_damaged_evaluations_file_is_one_sentence(folder):
    (folder / "rea" / "evaluations.csv").write_text("seed\n1\n")
    with pytest.raises(DataError, match="cannot be read"):
        write_report(folder, REPORT)


def test_curves_against_evaluations_keep_what_ended_trials_found():
    best = np.array([[1, 2, 3], [4, 5, 6], [7, NAN, NAN]], float)
    clock_h = np.array([[1, 2, 3], [1, 2, 3], [1, NAN, NAN]], float)
    curve = by_evaluations(Histories(best, clock_h, clock_h))
    np.testing.assert_array_equal(curve.x, [1, 2, 3])
    np.testing.assert_allclose(curve.mean, [4, 14 / 3, 16 / 3])
    assert ((curve.low <= curve.mean) & (curve.mean <= curve.high)).all()


def test_curves_against_evaluations_stand_where_they_were_spent():
    """Of generations of 10; one trial's second and third were repeats, which cost nothing."""
    best = np.array([[1, 2, 3], [3, 4, 5]], float)
    spent = np.array([[10, 20, 30], [10, 10, 20]], float)
    curve = by_evaluations(Histories(best, spent, spent))
    np.testing.assert_array_equal(curve.x, [10, 20])
    np.testing.assert_allclose(curve.mean, [(1 + 4) / 2, (2 + 5) / 2])


def test_bands_draw_agents_with_all_of_their_trials():
    best, clock_h = np.array([[1.0], [5.0], [3.0], [7.0]]), np.ones((4, 1))
    curve = by_evaluations(Histories(best, clock_h, clock_h, agent=np.array([0, 1, 0, 1])))
    assert (curve.low[0], curve.mean[0], curve.high[0]) == pytest.approx((2.0, 4.0, 6.0))
    alone = by_hours(Histories(best, clock_h, clock_h, agent=np.zeros(4, np.int64)))
    assert np.isnan(alone.low).all()


def test_curves_begin_where_every_trial_has_a_full_measurement():
    best = np.array([[NAN, 2.0], [1.0, 1.0]])
    curve = by_evaluations(Histories(best, *[np.array([[1.0, 2.0], [1.0, 2.0]])] * 2))
    np.testing.assert_array_equal(curve.x, [2])


def test_curves_against_hours_count_what_is_over_by_then():
    best = np.array([[1.0, 5.0], [3.0, 3.0]])
    clock_h = np.array([[1.0, 4.0], [2.0, 4.0]])
    curve = by_hours(Histories(best, clock_h, clock_h))
    assert curve.x[0] == pytest.approx(2.0, abs=4 / 60)
    assert (curve.mean[curve.x < 4] == 2.0).all()
    assert curve.mean[-1] == 4.0


def test_unknown_costs_have_no_curve_against_hours():
    nothing = by_hours(Histories(np.full((2, 3), 1.0), *np.full((2, 2, 3), NAN)))
    assert len(nothing.x) == 0


def test_styles_differ_beyond_the_palette():
    styles = [tuple(map(str, line_style(i).values())) for i in range(len(PALETTE) * len(DASHES))]
    assert len(set(styles)) == len(styles)


def test_many_names_leave_a_panel_its_height():
    heights = []
    for count in (2, 12):
        figure = empty((5.2, 3.9))
        panel = figure.subplots()
        for number in range(count):
            panel.plot([0, 1], label=f"{number}, a method that has a long name")
        legend_below(figure, [panel], 5.2)
        figure.draw_without_rendering()
        heights.append(panel.get_position().height * figure.get_figheight())
    assert abs(heights[1] - heights[0]) < 0.3, heights
