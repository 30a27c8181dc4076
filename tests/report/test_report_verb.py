import json
import shutil

import pytest
from sweeps import job, row, sweep, write_trials

from nasrun.errors import ConfigError, DataError
from nasrun.files import CONF, read_csv
from nasrun.report.experiment import write_report
from nasrun.verbs import perform

BOARD = {"name": "board", "title": "A board", "columns": ["trials", "score"], "figures": ["box"]}


@pytest.fixture
def folder(tmp_path):
    sweep(tmp_path, {"rea": [94.0, 94.5, 95.0], "random": [93.0, 93.5, 94.0]})
    return tmp_path


def test_a_report_is_made_again_byte_by_byte(folder, capsys):
    written = write_report(folder, BOARD).files
    before = {path: path.read_bytes() for path in written}
    (folder / "board.csv").unlink()
    assert perform(["report", str(folder)]) == 0
    assert "A board" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in written} == before


def test_an_experiment_file_says_what_to_make(folder):
    experiment = CONF / "experiment" / "nb201_leaderboard.yaml"
    assert perform(["report", str(folder), "--report", str(experiment)]) == 0
    assert (folder / "nb201_leaderboard.png").exists()


@pytest.mark.parametrize("content", [None, "a: [", "a: 1", "[]"])
def test_a_file_without_a_report_is_refused(folder, content):
    path = folder / "x.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match="--report"):
        perform(["report", str(folder), "--report", str(path)])


def test_a_folder_without_trials_is_refused(tmp_path):
    with pytest.raises(DataError, match=f"{tmp_path} holds no trials.csv"):
        perform(["report", str(tmp_path)])


def test_a_sweep_needs_no_earlier_report(folder):
    assert perform(["report", str(folder)]) == 0
    assert {"report.html", "report.tex", "report.png"} <= {path.name for path in folder.iterdir()}


def test_a_run_has_a_page_of_its_own_and_nothing_else_is_added(tmp_path):
    folder = job(tmp_path / "run", "rea", [[93.0, 94.0], [92.0, 95.0]])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert perform(["report", str(folder)]) == 0
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    page = after.pop("report.html").decode()
    assert after == before
    for text in ("rea on cifar10, nb201", "2 trials", "Anytime performance", "94.50 ± 0.71"):
        assert text in page
    assert "Methods by task" not in page  # there is nothing to compare
    assert len(page) < 100_000


def test_runs_are_joined_in_one_report(tmp_path):
    job(tmp_path / "a", "rea", [[93.0], [94.0]])
    job(tmp_path / "b", "random", [[92.0], [91.0]])
    both = [str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "both")]
    assert perform(["report", *both]) == 0
    table = (tmp_path / "both" / "report.md").read_text(encoding="utf-8")
    assert "| rea | **93.50 ± 0.71** |" in table
    assert "Anytime" in (tmp_path / "both" / "report.html").read_text(encoding="utf-8")


def test_a_join_says_where_different_settings_count_as_one_search(tmp_path, capsys):
    request = {"conf": None, "data": "", "trials": 1}
    for name, seed, size in (("a", 0, 5), ("b", 1, 5), ("c", 2, 7)):
        job(tmp_path / name, "rea", [[93.0]], first_seed=seed)
        own = {"overrides": [f"population={size}"], "composed": str(size), "seed": seed}
        status = {"state": "complete", "request": {**request, **own}}
        (tmp_path / name / "status.json").write_text(json.dumps(status))
    sweep = tmp_path / "sweep"  # in which they have names of their own, though they found the same
    for at, size in enumerate((5, 7)):
        shutil.copytree(tmp_path / "ac"[at], sweep / str(size))
        (sweep / str(size) / ".hydra").mkdir()
        (sweep / str(size) / ".hydra" / "overrides.yaml").write_text(f"- x.population={size}\n")
    write_trials(sweep, [row(f"rea[population={size}]", size, 93.0) for size in (5, 7)])
    pairs = ("ab", False), ("ac", True), (("sweep", "b"), False)
    for number, (names, said) in enumerate(pairs):
        folders = [str(tmp_path / name) for name in names]
        assert perform(["report", *folders, "--out", str(tmp_path / f"both{number}")]) == 0
        assert ("c have rea on cifar10 by different settings" in capsys.readouterr().err) is said


def test_a_sweep_of_settings_has_the_curves_and_the_agents_of_each(tmp_path):
    rows, meta = [], {"agents": 2, "cost_s": 7200}
    for size, rewards in ((5, [[90.0], [91.0]]), (7, [[92.0], [93.0]])):
        place = job(tmp_path / f"of{size}", "catch", rewards, meta=meta)
        (place / ".hydra").mkdir()
        (place / ".hydra" / "overrides.yaml").write_text(f"- algorithm.population={size}\n")
        name = f"catch[population={size}]"
        rows += [row(name, seed, trial[-1]) for seed, trial in enumerate(rewards)]
    write_trials(tmp_path, rows)
    assert perform(["report", str(tmp_path)]) == 0
    [first, second] = read_csv(tmp_path / "report.csv")
    assert (first["algorithm"], first["meta_agents"]) == ("catch[population=5]", "2")
    assert (second["algorithm"], second["meta_agents"]) == ("catch[population=7]", "2")
    curves = (tmp_path / "report_anytime.svg").read_text(encoding="utf-8")
    assert "catch[population=5]" in curves
    assert "catch[population=7]" in curves


def test_a_join_replaces_no_trials_of_a_run_or_a_sweep(tmp_path):
    for name, column in (("a", [93.0]), ("b", [92.0]), ("c", [91.0])):
        job(tmp_path / name, f"of_{name}", [column])
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    (sweep / "multirun.yaml").write_text("")
    kept = (tmp_path / "c" / "trials.csv").read_bytes()
    for place in (tmp_path / "c", sweep):
        joined = [str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(place)]
        with pytest.raises(DataError, match="holds a run or a sweep, whose own trials"):
            perform(["report", *joined])
    assert (tmp_path / "c" / "trials.csv").read_bytes() == kept
    assert not (sweep / "trials.csv").exists()
