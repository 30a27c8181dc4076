import csv
import json

import pytest
from sweeps import COLUMNS, job, row, sweep, write_trials

from nasrun.errors import DataError
from nasrun.report.experiment import write_report
from nasrun.report.trials import read_trials
from nasrun.verbs import perform

REPORT = {"name": "both", "title": "Both", "figures": ["anytime"]}


@pytest.fixture
def two(tmp_path):
    """Two sweeps of one method each, with the jobs that searched."""
    found = {"rea": [94.0, 94.5, 95.0], "random": [93.0, 93.5, 94.0]}
    folders = []
    for name, figures in found.items():
        folder = tmp_path / name
        folder.mkdir()
        job(folder / "job", name, [[figure - 1, figure] for figure in figures])
        sweep(folder, {name: figures})
        (folder / "report.json").write_text(json.dumps(REPORT))
        folders.append(folder)
    return folders


def rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_verb_joins_sweeps_and_still_knows_their_jobs(two, tmp_path, capsys):
    out = tmp_path / "out"
    assert perform(["report", *map(str, two), "--out", str(out)]) == 0
    assert [line["algorithm"] for line in rows(out / "trials.csv")] == ["rea"] * 3 + ["random"] * 3
    assert {line["algorithm"] for line in rows(out / "both.csv")} == {"rea", "random"}
    curves = (out / "both.svg").read_text(encoding="utf-8")
    assert ">rea</text>" in curves
    assert ">random</text>" in curves
    assert "finished jobs" in (out / "report.html").read_text(encoding="utf-8")
    assert "Both" in capsys.readouterr().out


def test_without_out_each_sweep_has_its_own(two):
    assert perform(["report", *map(str, two)]) == 0
    assert [len(rows(folder / "both.csv")) for folder in two] == [1, 1]


def test_a_trial_in_two_sweeps_is_refused_by_file_and_line(two, tmp_path):
    write_trials(two[1], [row("random", 0, 1.0), row("rea", 1, 1.0)])
    with pytest.raises(
        DataError, match=r"line 3 of .*rea/trials.csv and line 3 of .*random/trials.csv: rea on"
    ):
        read_trials(two)


def test_other_columns_are_refused_by_name(two, tmp_path):
    path = two[1] / "trials.csv"
    lines = [line.rpartition(",")[0] for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=f"they differ in {COLUMNS[-1]}"):
        read_trials(two)


def test_a_sweep_is_not_written_over(two):
    with pytest.raises(DataError, match="choose another folder"):
        write_report(two[0], REPORT, two)


def test_sweeps_without_trials_are_no_join(two, tmp_path):
    for folder in two:
        write_trials(folder, [])
    with pytest.raises(DataError, match="no trials"):
        read_trials(two)


def test_a_file_that_is_not_nasruns_is_refused(two, tmp_path):
    for folder in two:
        (folder / "trials.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no column space"):
        read_trials(two)


def test_a_sweep_of_an_earlier_version_is_refused_in_a_sentence(two):
    path = two[0] / "trials.csv"
    text = path.read_text(encoding="utf-8").replace(",metric,val_score,", ",val_acc_pct,")
    path.write_text(text.replace("test_score", "test_acc_pct").replace(",accuracy_pct,", ","))
    sentence = "is of an earlier nasrun, with val_acc_pct in place of metric and val_score"
    with pytest.raises(DataError, match=sentence):
        perform(["report", str(two[0])])
    assert not (two[0] / "both.csv").exists()


def test_a_refused_joint_report_leaves_nothing(two, tmp_path):
    out = tmp_path / "out"
    found = {"rea": "val@12", "random": "val@200"}
    for folder, (name, fidelity) in zip(two, found.items(), strict=True):
        write_trials(folder, [row(name, seed, 1.0, fidelity=fidelity) for seed in range(3)])
    with pytest.raises(DataError) as refused:
        perform(["report", *map(str, two), "--out", str(out)])
    assert not out.exists()
    message = str(refused.value)
    assert f"fidelity is 'val@12' in lines 2, 3, 4 of {two[0]}/trials.csv (rea)" in message
    assert f"'val@200' in lines 2, 3, 4 of {two[1]}/trials.csv (random)" in message


def test_folders_without_runs_are_named_before_anything_is_written(two, tmp_path):
    (tmp_path / "empty").mkdir()
    sentences = {
        tmp_path / "nowhere": "is no folder: expected that of a sweep",
        two[0] / "trials.csv": "is no folder: expected that of a sweep",
        tmp_path / "empty": "holds no trials.csv, which a sweep's folder has",
    }
    for folder, sentence in sentences.items():
        for out in ([], ["--out", str(tmp_path / "out")]):
            with pytest.raises(DataError) as refused:
                perform(["report", str(two[0]), str(folder), *out])
            assert str(refused.value).startswith(f"{folder} {sentence}")
    assert not (tmp_path / "out").exists()
    assert not (two[0] / "both.csv").exists()
