"""The paper's table: best in bold, marks by a test done by hand."""

import numpy as np
import pytest
from scipy.stats import wilcoxon
from sweeps import job, row, sweep, write_trials

from nasrun.report.experiment import write_report
from nasrun.report.schema import DEFAULT


@pytest.fixture
def figures():
    generator = np.random.default_rng(3)
    base = generator.normal(93.0, 0.4, 25)
    return {
        "random": (base + generator.normal(0.0, 0.3, 25)).round(2),
        "rea": (base + 0.5 + generator.normal(0.0, 0.3, 25)).round(2),
        "tpe": (base + 0.4 + generator.normal(0.0, 0.3, 25)).round(2),
    }


def table(folder, name="report.md"):
    """Rows of the paper's table in Markdown, by method, and its caption."""
    page = (folder / name).read_text(encoding="utf-8")
    part = page.split("## Methods by task\n\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")]
    return {cells[0]: cells[1:] for cells in rows}, part.strip().splitlines()[-1]


def test_the_best_mean_is_bold_and_what_the_test_cannot_tell_from_it_is_marked(tmp_path, figures):
    sweep(tmp_path, figures)
    write_report(tmp_path, DEFAULT)
    found, caption = table(tmp_path)
    means = {name: f"{xs.mean():.2f} ± {xs.std(ddof=1):.2f}" for name, xs in figures.items()}
    p = {name: wilcoxon(figures[name] - figures["rea"]).pvalue for name in ("random", "tpe")}
    assert 2 * p["random"] < 0.05 < p["tpe"]  # Holm: the smaller one counts twice
    assert found["rea"] == [f"**{means['rea']}**"]
    assert found["random"] == [means["random"]]
    assert found["tpe"] == [means["tpe"] + "†"]
    for word in ("over 25 trials", "Wilcoxon signed-rank", "level 0.05", "Holm's correction"):
        assert word in caption


def test_holm_counts_all_comparisons_of_the_table(tmp_path):
    """One p of about 0.016 is significant alone, and is not among eight others of 1."""
    generator = np.random.default_rng(0)
    base = generator.normal(93.0, 0.3, 7).round(3)
    worse, same = base - np.arange(1, 8) / 10, base
    assert wilcoxon(worse - base).pvalue == pytest.approx(2 / 2**7)
    sweep(tmp_path, {"rea": base, "random": worse})
    write_report(tmp_path, DEFAULT)
    assert not table(tmp_path)[0]["random"][0].endswith("†")
    sweep(tmp_path, {"rea": base, "random": worse, **{f"m{i}": same for i in range(4)}})
    write_report(tmp_path, DEFAULT)
    found, caption = table(tmp_path)
    assert found["random"][0].endswith("‡")  # worse in all seven pairs, which could not be more
    assert found["m0"][0].endswith("†")
    assert "‡: differs from it in every pair, which are too few" in caption
    assert r"$^{\ddagger}$" in (tmp_path / "report.tex").read_text(encoding="utf-8")


def test_trials_of_one_agent_count_once(tmp_path):
    """Forty trials of two agents, all a little better, are two differences: no proof."""
    seeds = np.arange(40)
    figures = {"catch": 94.0 + seeds % 2 / 10, "rea": 93.5 + seeds % 2 / 20}
    for name, xs in figures.items():
        meta = {"agents": 2, "cost_s": 10.0} if name == "catch" else None
        job(tmp_path / name, name, [[float(x)] for x in xs], meta=meta)
    sweep(tmp_path, figures)
    write_report(tmp_path, DEFAULT)
    found, caption = table(tmp_path)
    assert found["rea"][0].endswith("‡")
    assert "trials of one meta-trained agent averaged" in caption


def test_latex_has_the_bold_figure_and_the_mark(tmp_path, figures):
    sweep(tmp_path, figures)
    write_report(tmp_path, DEFAULT)
    text = (tmp_path / "report.tex").read_text(encoding="utf-8").split(r"\end{table}")[0]
    rea, tpe = figures["rea"], figures["tpe"]
    assert rf"\textbf{{{rea.mean():.2f} $\pm$ {rea.std(ddof=1):.2f}}}" in text
    assert rf"{tpe.mean():.2f} $\pm$ {tpe.std(ddof=1):.2f}$^{{\dagger}}$" in text
    assert r"\label{tab:report}" in text


def test_lower_errors_are_the_best(tmp_path):
    rows = [
        row(name, seed, error + seed / 10, metric="error_pct")
        for name, error in (("rea", 6.0), ("random", 7.0))
        for seed in range(8)
    ]
    write_trials(tmp_path, rows)
    write_report(tmp_path, DEFAULT)
    assert table(tmp_path)[0]["rea"][0].startswith("**6.35")


def test_a_single_figure_is_no_table(tmp_path):
    sweep(tmp_path, {"rea": [93.0, 94.0]})
    write_report(tmp_path, DEFAULT)
    assert "Methods by task" not in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_methods_without_figures_are_dashes_and_are_named(tmp_path):
    rows = [row("rea", seed, 93.0 + seed, task) for task in "abc" for seed in range(3)]
    write_trials(tmp_path, [*rows, *(row("random", seed, 92.0, "a") for seed in range(2))])
    write_report(tmp_path, DEFAULT)
    assert table(tmp_path)[0]["random"][1] == "–"
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "not complete: random on b, c lacks 3 of 3 trials" in page
    assert "not complete: random on a lacks 1 of 3 trials that others have (seeds 2)" in page


def test_a_gap_is_named_with_its_space_where_tasks_of_two_bear_one_name(tmp_path):
    spaces = ("nb201", "nb101")
    rows = [row("rea", seed, 93.0, "a", space=space) for space in spaces for seed in range(3)]
    others = [row("random", seed, 92.0, "a", space="nb201") for seed in range(3)]
    write_trials(tmp_path, [*rows, *others])
    write_report(tmp_path, DEFAULT)
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "not complete: random on a in nb101 lacks 3 of 3 trials" in page


def test_names_are_escaped_where_they_are_shown(tmp_path):
    name = "x|y<b>*z*`\n\x1b[31m$a$#{}"
    sweep(tmp_path, {name: [93.0, 94.0], "rea": [93.5, 94.5]})
    write_report(tmp_path, {**DEFAULT, "figures": ["box"]})
    read = {
        kind: (tmp_path / f"report.{kind}").read_text() for kind in ("md", "tex", "html", "svg")
    }
    assert r"x\|y\<b>\*z\*\` [31m$a$#{}" in read["md"]
    assert r"x|y$<$b$>$*z*` [31m\$a\$\#\{\}" in read["tex"]
    assert "x|y&lt;b&gt;*z*` [31m$a$#{}" in read["html"]
    assert "x|y&lt;b&gt;*z*` [31m$a$#{}" in read["svg"]
    assert not any("\x1b" in text for text in read.values())
