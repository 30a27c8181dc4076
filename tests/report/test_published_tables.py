"""Every figure of the shipped tables stands in the paper, in its row and in its place."""

import os
import re
from itertools import groupby
from pathlib import Path

import pytest

from nasrun.files import read_csv
from nasrun.report.compare import COLUMNS, FOLDER

CITATION = re.compile(r"\s*\[[\d,]+\]")
GARBLED = {  # what the papers' text layers make of some figures
    "-8407±3.61": "84.07±3.61",  # beside 87.64±0.00; no accuracy has four digits
    "~0.6439-": "0.6439", "o.": "0.", "+T": "",
}  # fmt: skip


def paper(name):
    folder = os.environ.get("NASRUN_PAPERS")
    if not folder and (data := os.environ.get("NASRUN_DATA")):
        folder = Path(data).parent / "papers"
    path = Path(folder or "nowhere") / name
    if not path.is_file():
        pytest.skip(f"no {name} in NASRUN_PAPERS or beside NASRUN_DATA")
    return path.read_text(encoding="utf-8")


def lines(text, start, stop):
    """Rows of cells between two texts."""
    after = text[text.index(start) :]
    part = after[: after.index(stop)]
    return [line.split("\t") for line in part.splitlines() if "\t" in line]


def figures(cell):
    for garbled, right in GARBLED.items():
        cell = cell.replace(garbled, right)
    return [float(found) for found in re.findall(r"\d+(?:\.\d+)?", cell.replace("\\pm", "±"))]


def shipped(name):
    """(algorithm, figures in order) of consecutive rows with the same algorithm and task group."""
    rows = read_csv(FOLDER / f"{name}.csv", COLUMNS)
    return [
        (key, [float(x) for row in group for x in (row["mean"], row["std"]) if x])
        for key, group in groupby(rows, key=lambda row: row["algorithm"])
    ]


def plain(label):
    label = CITATION.sub("", label).replace("$", "")
    return label.replace("v 3+", "v3+").strip()  # DeepLabv3+, half of which is typeset


def check(name, printed):
    """``printed``: (label, cells with figures) by row."""
    found = shipped(name)
    assert [label for label, _ in found] == [label for label, _ in printed]
    for (label, ours), (_, cells) in zip(found, printed, strict=True):
        assert ours == [figure for cell in cells for figure in figures(cell)], label


CATCH = "catch_eccv2020.txt"


def test_catch_table_2():
    rows = lines(paper(CATCH), "Network\tTop-1 Acc", "Figure 4 presents")[1:]
    check("catch_table2", [(plain(row[0]), row[1:]) for row in rows])


def test_catch_table_3():
    rows = lines(paper(CATCH), "Method\tBackbone\tInput size", "Constructing a model")[1:]
    printed = [
        (f"{plain(row[0])} ({row[1]}, {row[2].replace(chr(215), 'x')})",
         [row[3].replace("V100", ""), row[4]])
        for row in rows
    ]  # fmt: skip
    check("catch_table3", printed)


def test_catch_table_4():
    rows = lines(paper(CATCH), "Method\tBackbone\tLatency", "Search Results.")[1:]
    check("catch_table4", [(f"{plain(row[0])} ({row[1]})", row[2:]) for row in rows])


METAD2A = "metad2a_iclr2021.txt"
METAD2A_NAMES = {
    "resnet": "ResNet", "rea": "REA", "random": "RS ", "reinforce": "REINFORCE", "bohb": "BOHB",
    "rsps": "RSPS", "setn": "SETN", "gdas": "GDAS", "pc_darts": "PC-DARTS", "drnas": "DrNAS",
    "metad2a": "MetaD2A",
}  # fmt: skip
# The text layer puts a dataset's name into some row of its block.
METAD2A_TASKS = {
    "CIFAR-10": "cifar10", "CIFAR-100": "cifar100", "MNIST": "mnist", "SVHN": "svhn",
    "Aircraft": "aircraft", "Oxford-IIIT Pets": "pets",
}  # fmt: skip


def test_metad2a_table_1():
    rows = lines(paper(METAD2A), "Target Dataset\tNAS Method", "97.6\n")[1:]
    ours = [
        (key, [float(row["mean"]) for row in group])
        for key, group in groupby(
            read_csv(FOLDER / "metad2a_table1.csv", COLUMNS),
            key=lambda row: (row["algorithm"], row["task"]),
        )
    ]
    assert len(rows) == len(ours)
    seen = []
    for (_, method, _, params, search_s, _, cost, accuracy), ((name, task), found) in zip(
        rows, ours, strict=True
    ):
        assert method.lstrip("-").startswith(METAD2A_NAMES[name])
        charged = "" if "T" in search_s else search_s  # T: the time to make the database
        cells = (params, charged, cost, accuracy)
        assert found == [figure for cell in cells for figure in figures(cell)], (name, task)
        seen += [task] if task not in seen else []
    assert [METAD2A_TASKS[row[0].strip()] for row in rows if row[0].strip()] == seen


def test_metad2a_table_2():
    rows = lines(paper(METAD2A), "Method\tNAS\tParams", "Table 2:")[2:]
    both, *others = rows  # MAML and MAML++ share a line
    first, second = zip(*(figures(cell) for cell in both[2:]), strict=True)
    found = shipped("metad2a_table2")
    assert found[:2] == [("MAML", list(first)), ("MAML++", list(second))]
    names = ["AutoMeta", "BASE", "T-NAS++", "MetaNAS", "MetaD2A"]
    assert [row[0].split(" (")[0] for row in others] == names
    for (label, ours), row in zip(found[2:], others, strict=True):
        assert ours == [x for cell in row[2:] for x in figures(cell)], label


def test_metad2a_table_3():
    text = paper(METAD2A)
    (three,) = [line for line in text.splitlines() if "Generator only Predictor only" in line]
    (whole,) = [line for line in text.splitlines() if "The\tMetaD2A\tX" in line]
    columns = [figures(cell) for cell in three.split("\t")[-3:]]
    printed = {
        name: [x for column in columns for x in column[2 * i : 2 * i + 2]]
        for i, name in enumerate(("random_sampling", "generator_only", "predictor_only"))
    }
    printed["metad2a"] = [x for cell in whole.split("\t")[-3:] for x in figures(cell)]
    assert dict(shipped("metad2a_table3")) == printed


def test_metad2a_table_4():
    rows = lines(paper(METAD2A), "Search Space\tValidity", "in the source database. To")[1:]
    assert [row[0] for row in rows] == ["NAS-Bench-201", "MobileNetV3"]
    (only,) = shipped("metad2a_table4")
    assert only == ("metad2a", [x for row in rows for cell in row[1:] for x in figures(cell)])


def test_metad2a_table_5():
    text = paper(METAD2A)
    rows = lines(text, "Graph Encoder (GE) Only", "Table 5:")
    (proposed,) = re.findall(r"The Proposed Set Encoder \+ GE.*?(0\.\d+)", text)
    starts = ["Graph Encoder", "DeepSet", "SetTransformer", "Statistical Pooling"]
    assert all(row[0].startswith(s) for row, s in zip(rows, starts, strict=True))
    printed = [figures(row[-1])[0] for row in rows] + [float(proposed)]
    assert [x for _, found in shipped("metad2a_table5") for x in found] == printed


UNAS = "unas_cvpr2020.txt"
UNAS_NAMES = {"DARTS": "darts_v2", "P-DARTS": "p_darts", "SNAS": "snas", "ENAS": "enas"}


def test_unas_table_2():
    rows = lines(paper(UNAS), "\tObjective Function\tGradient", "Figure 3:")[2:]
    variants = ["unas_val_gumbel", "unas_gen_gumbel", "unas"]
    assert [row[1:3] for row in rows[:3]] == [
        [r"\mathcal{L}_{val}", "Gumbel-Soft."], [r"\mathcal{L}_{gen}", "Gumbel-Soft."],
        [r"\mathcal{L}_{gen}", "REBAR"],
    ]  # fmt: skip
    others = [plain(row[1]) for row in rows[3:]]
    names = [*variants, *(UNAS_NAMES.get(label, label) for label in others)]
    check("unas_table2", [(name, row[3:]) for name, row in zip(names, rows, strict=True)])


def test_unas_schedule():
    """Of a sentence in section 4.2: errors of the search by generalisation and by validation."""
    said = r"test error (\S+)% on CIFAR-10 compared with the validation loss .*? achieves (\S+)%"
    by_gen, by_val = re.search(said, paper(UNAS)).groups()
    found = {name: 100 - mean for name, (mean, *_) in shipped("unas_schedule_accuracy")}
    assert found == pytest.approx(
        {"unas_half_epoch": float(by_gen), "unas_val_half_epoch": float(by_val)}
    )


def test_unas_table_3():
    rows = lines(paper(UNAS), "Architecture\tVal Error", "Figure 6:")[2:]
    printed = [(plain(row[0]).replace("UNAS", "unas"), row[1:]) for row in rows]
    check("unas_table3", printed)


def test_the_ranks_of_the_tutorial():
    rows = lines(paper("nas_tutorial_white_dey.txt"), "\tRS\tRE\tBANANAS", "Conclusions")
    header, *ranks = rows
    ours = read_csv(FOLDER / "tutorial_ranks.csv", COLUMNS)
    named = {"RS": "random", "RE": "rea", "BANANAS": "bananas", "LS": "local_search",
             "NPENAS": "npenas", "BOHAM.": "BOHAMIANN"}  # fmt: skip
    for task, row in zip(("nb101_nb201", "other_benchmarks"), ranks, strict=True):
        found = {line["algorithm"]: float(line["mean"]) for line in ours if line["task"] == task}
        assert found == {
            named.get(label, label): float(rank)
            for label, rank in zip(header[1:], row[1:], strict=True)
        }


def test_the_methods_of_the_survey():
    text = paper("nas_survey_weng.txt")
    table = text[text.index('<table class="info">') : text.index("</table>")]
    rows = [
        [re.sub(r"<.*?>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", row, re.S)]
        for row in re.findall(r"<tr>(.*?)</tr>", table, re.S)
    ]
    printed = [[cell.replace("-", "") if cell == "-" else cell for cell in row] for row in rows[1:]]
    ours = read_csv(FOLDER / "overviews" / "survey_methods.csv")
    assert len(ours) == len(printed)
    for row, (model, *cells) in zip(ours, printed, strict=True):
        assert model == f"{row['model']} ({row['year']})"
        found = [row["search_space"], row["search_algorithm"], row["child_evaluation"]]
        assert found == cells + [""] * (3 - len(cells))  # one cell for search and evaluation
