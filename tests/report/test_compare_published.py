import os
import re
from pathlib import Path

import numpy as np
import pytest

from nasrun.errors import DataError
from nasrun.files import read_csv
from nasrun.report.compare import COLUMNS, FOLDER, as_we_call_them, read_published
from nasrun.report.schema import SCORES

HEADER = ",".join(COLUMNS)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.csv")), ids=lambda path: path.stem)
def test_every_shipped_file_reads_and_names_its_sources(path):
    for figure, metric in {(row["figure"], row["metric"]) for row in read_csv(path, COLUMNS)}:
        found = read_published(path.stem, figure)
        assert found
        percent = (metric or figure).endswith("_pct")
        assert (figure in SCORES) == bool(metric)
        assert all(f.source and 0 <= f.mean < (100 if percent else 1e6) for f in found.values())


def test_the_baselines_are_those_of_the_paper():
    found = read_published("nb201_baselines", "test_score")
    means = {
        name: (found[name, "cifar10", "cifar10"].mean, found[name, "cifar10", "cifar100"].mean)
        for name in ("random", "rea", "reinforce", "bohb")
    }
    assert means == {
        "random": (93.70, 71.04), "rea": (93.92, 71.84), "reinforce": (93.85, 71.71),
        "bohb": (93.61, 70.85),
    }  # fmt: skip


CATCH_NAMES = {
    "DARTS-V1": "darts_v1", "DARTS-V2": "darts_v2", "GDAS": "gdas", "R-NAS": "rsps",
    "ENAS": "enas", "SETN": "setn", "CATCH-meta": "catch", "Max Acc": "optimum",
}  # fmt: skip
CATCH_TASKS = ("cifar10", "cifar100", "imagenet16_120")


@pytest.mark.data
def test_catch_table1_is_the_papers():
    paper = Path(os.environ["NASRUN_DATA"]).parent / "papers" / "catch_eccv2020.txt"
    if not paper.exists():
        pytest.skip("the paper's text does not lie beside NASRUN_DATA")
    text = paper.read_text(encoding="utf-8")
    table = text[text.index("Algorithm\tCIFAR-10") :].split("Comparison with One-Shot")[0]
    accuracies, hours = (
        read_published("catch_table1", figure) for figure in ("val_score", "simulated_s")
    )
    printed = [line.split("\t") for line in table.splitlines() if line.strip()][2:]
    assert len(printed) == len(CATCH_NAMES)
    for label, *cells in printed:
        name = CATCH_NAMES[re.sub(r" \[\d+\]", "", label)]
        found = [numbers(cell) for cell in cells]
        spreads, times = found[0:6:2], found[1:6:2]
        assert [ours(accuracies, name, task) for task in CATCH_TASKS] == spreads, name
        assert [seconds(hours, name, task) for task in CATCH_TASKS] == times, name
        assert seconds(hours, name, "all") == found[6], name


def numbers(cell):
    """The figures of a cell of the paper's table, which is partly typeset."""
    return [float(figure) for figure in re.findall(r"\d+(?:\.\d+)?", cell)]


def ours(published, name, task):
    figure = published[name, task, task]
    return [figure.mean] if np.isnan(figure.std) else [figure.mean, figure.std]


def seconds(published, name, task):
    figure = published.get((name, task, task))
    return [] if figure is None else [pytest.approx(figure.mean / 3600)]


def test_a_users_own_file_and_its_gaps(tmp_path):
    path = tmp_path / "mine.csv"
    # As a spreadsheet may leave it: no line feed after the last line.
    path.write_text(f"{HEADER}\nrea,a,b,acc,,,93.5,,me\nrea,a,b,other,,1,2,3,me")
    (figure,) = read_published(str(path), "acc").values()
    assert figure.mean == 93.5
    assert np.isnan([figure.std, figure.n]).all()


TWICE = "rea,a,b,other,,1,2,3,me\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "below the header algorithm,"),
        (f"{HEADER}\nrea,a,b,acc,,1,x,3,me\n", "line 2: n, mean and std must be numbers"),
        (f"{HEADER}\nrea,a,b,acc,,1,2\n", "line 2: not as many cells"),
        (f"{HEADER}\nrea,a,b,acc,,1,inf,3,me\n", "line 2: expected a finite mean"),
        (f"{HEADER}\nrea,a,b,acc,,0,2,3,me\n", "line 2: expected .* n of 1 or more"),
        (f"{HEADER}\nrea,a,b,acc,,1,2,-3,me\n", "line 2: expected .* std of 0 or more"),
        # Of a figure that is not asked for, or not yet.
        (f"{HEADER}\nrea,a,b,other,,1,x,3,me\n", "line 2: n, mean and std must be numbers"),
        (f"{HEADER}\n{2 * TWICE}", "line 3: rea, a, b stands a second time"),
        (f"{HEADER}\nrea,a,b,acc,,1,2,3,me\nrea,a,b,acc,,1,2,3,me\n", "line 3: .* a second time"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, text, message):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_published(str(path), "acc")


@pytest.mark.parametrize("name", ["nb201", "nowhere.csv"])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(DataError, match=r"nb201_baselines|cannot be read"):
        read_published(name, "acc")


def test_figures_stand_under_our_names_too():
    found = read_published("metad2a_table3", "test_score")
    named = as_we_call_them(found, {"ours": "metad2a", "both": "metad2a", "part": "cifar100"})
    assert {named[name, "part", "part"].mean for name in ("ours", "both", "metad2a")} == {73.51}
    assert named["random_sampling", "part", "part"].mean == 69.94
    assert found.items() <= named.items()
