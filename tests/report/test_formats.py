import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import row, write_trials

from nasrun.report.experiment import write_report
from nasrun.report.formats import escaped

REPORT = {
    "name": "my_board", "title": "50% of #1 & more",
    "columns": ["score", "table_rank", "published"], "published": "nb201_baselines",
    "notes": ["a note\nof two lines"],
    "claims": [{"better": "rea", "worse": "random"}],
}  # fmt: skip
FORBIDDEN = re.compile(r"(?<!\\)[&%#_{}~^]")


@pytest.fixture
def text(tmp_path):
    rows = [
        row(name, seed, base + seed / 10, task, "cifar10")
        for task in ("cifar10", "cifar100")
        for name, base in (("random", 93.0), ("rea", 93.5), ("local_search", 93.2))
        for seed in range(6)
    ]
    write_trials(tmp_path, rows)
    write_report(tmp_path, REPORT)
    return (tmp_path / "my_board.tex").read_text(encoding="utf-8")


def test_tables_have_booktabs_rules_and_whole_rows(text):
    tables = re.findall(r"\\begin\{table\}.*?\\end\{table\}", text, re.S)
    assert len(tables) == 5  # the paper's; both tasks; claims; statistics; pairs
    for table in tables:
        for rule in (
            r"\toprule",
            r"\midrule",
            r"\bottomrule",
            r"\caption{",
            r"\label{tab:my_board",
        ):
            assert rule in table
        (columns,) = re.findall(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}", table)
        body = [line for line in table.splitlines() if line.endswith(r"\\")]
        for line in body:
            cells = len(re.findall(r"(?<!\\)&", line)) + 1
            assert cells == (1 if r"\multicolumn" in line else len(columns)), line
    labels = re.findall(r"\\label\{(.*?)\}", text)
    assert len(set(labels)) == len(labels)


def test_tasks_are_sections_of_one_table_and_notes_are_comments(text):
    first = text.split(r"\end{table}")[1]
    assert r"\emph{cifar10}" in first
    assert r"\emph{cifar10 $\to$ cifar100}" in first.replace("→", "$")
    assert r"\caption{50\% of \#1 \& more: cifar10; cifar10 $\to$ cifar100}" in first
    assert r"93.92 $\pm$ 0.30" in first
    comments = [line for line in text.splitlines() if line.startswith("%")]
    assert "% - a note of two lines" in comments


@given(st.text("ab \\&%$#_{}~^<>±\u00d7→ε"))
def test_escaped_text_has_no_active_character(text):
    printed = escaped(text)
    bare = re.sub(r"\\text(backslash|asciitilde|asciicircum)\{\}", "", printed)
    bare = re.sub(r"\$(<|>|\\[a-z]+)\$", "", bare)
    assert not FORBIDDEN.search(bare)
    assert "$" not in bare.replace(r"\$", "")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_latex_compiles_it(text, tmp_path):
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n"
        "\\input{my_board.tex}\\end{document}\n"
    )
    answer = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 0
