import json
import re

import numpy as np
import pytest
from sweeps import job, row, write_trials

from nasrun.report.experiment import write_report

REPORT = {"name": "f", "title": "<script>", "figures": ["box", "sorted", "anytime"]}
PROVENANCE = {
    "nasrun": "1.0", "commit": "abc", "dirty": True, "python": "3.11", "packages": {"numpy": "2"},
    "platform": "Linux", "cpus": 2, "device": "cpu", "command": ["nasrun", "-m"],
    "data": {"table.csv": "beef"},
}  # fmt: skip


def written(folder, report=REPORT, edges=None):
    write_report(folder, report, edges=edges)
    return (folder / "report.html").read_text(encoding="utf-8")


def charts(page):
    (text,) = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', page)
    return json.loads(text)


@pytest.fixture
def folder(tmp_path):
    generator = np.random.default_rng(0)
    rows = []
    for name in ("random", "rea", "</script>"):
        rewards = generator.normal(93, 1, (8, 5)).round(3)
        place = job(tmp_path / f"job{len(rows)}", name, rewards.tolist())
        (place / "provenance.json").write_text(json.dumps({**PROVENANCE, "meta": None}))
        best = rewards.max(axis=1)
        rows += [row(name, seed, x, reward=x, arch=f"a{seed}") for seed, x in enumerate(best)]
    write_trials(tmp_path, rows)
    return tmp_path


def test_it_asks_for_nothing_and_names_are_text(folder):
    page = written(folder)
    assert "default-src 'none'" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert page.count("</script>") == 2  # the data and the code, ended by nothing else
    assert "<title>&lt;script&gt;</title>" in page
    assert len(page) < 200_000


def test_equal_reports_are_equal_bytes(folder):
    assert written(folder) == written(folder)


def test_it_holds_the_figures_asked_for_and_the_statistics(folder):
    kinds = [(chart["kind"], chart["title"]) for chart in charts(written(folder))]
    assert kinds == [
        ("boxes", "What the trials found"), ("lines", "What the trials found, sorted"),
        ("lines", "Anytime performance"), ("ranks", "Average ranks"),
        ("lines", "Performance profiles"),
    ]  # fmt: skip


def test_charts_hold_the_trials_own_figures(folder):
    boxes, ordered, anytime, ranks, _ = charts(written(folder))
    best = np.array(
        [float(x.split(",")[6]) for x in (folder / "trials.csv").read_text().split()[1:]]
    )
    (random,) = (r for r in boxes["panels"][0]["rows"] if r["name"] == "random")
    assert random["mean"] == pytest.approx(best[:8].mean(), rel=1e-5)
    assert random["marks"][2] == pytest.approx(np.median(best[:8]), rel=1e-5)
    (line,) = (s for s in ordered["panels"][0]["series"] if s["name"] == "random")
    assert (line["y"][0], line["y"][-1]) == (best[:8].min(), best[:8].max())
    evaluations, hours = anytime["panels"]
    assert evaluations["series"][0]["x"] == [1, 2, 3, 4, 5]
    assert hours["x"] == "simulated GPU hours"
    assert sum(row["rank"] for row in ranks["panels"][0]["rows"]) == pytest.approx(6, abs=1e-4)


def test_provenance_is_said_once_where_jobs_agree(folder):
    page = written(folder)
    assert "1.0, commit abc, with uncommitted changes" in page
    assert page.count("table.csv beef") == 1
    assert "<dt>finished jobs</dt><dd><ul><li><code>3</code>" in page


def test_winners_are_drawn_where_a_cell_is_known(folder):
    assert "data:image/svg+xml;base64," not in written(folder)
    assert "data:image/svg+xml;base64," in written(folder, edges=lambda *_: [("0", "1", "none")])


def test_trials_alone_make_a_page_without_provenance(tmp_path):
    write_trials(tmp_path, [row("rea", seed, 90.0 + seed) for seed in range(3)])
    page = written(tmp_path)
    assert "Provenance" not in page
    assert [chart["title"] for chart in charts(page)] == [
        "What the trials found", "What the trials found, sorted",
    ]  # fmt: skip


def test_random_search_is_grey_whoever_comes_first(folder):
    places = {n["name"]: n["place"] for n in charts(written(folder))[0]["names"]}
    assert places["random"] == 8
    assert sorted(places.values()) == [0, 1, 8]
    alone = folder / "alone"
    alone.mkdir()
    write_trials(alone, [row("catch", seed, 90.0 + seed) for seed in range(3)])
    assert charts(written(alone))[0]["names"] == [{"name": "catch", "place": 0}]
