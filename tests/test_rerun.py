import shutil
import subprocess
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from toys import toy_experiment

from nasrun.algorithms.random_search import RandomSearch
from nasrun.errors import ConfigError
from nasrun.pipeline import run
from nasrun.record.recorder import Recorder
from nasrun.rerun import differences, rerun
from nasrun.resume import ALONE, RUN, SWEEP, folder_of


def test_differences_are_named_by_column():
    first = [{"seed": "1", "a": "2.0", "wall_s": "5"}, {"seed": "2", "a": "", "wall_s": "5"}]
    again = [{"seed": "1", "a": "2.0", "wall_s": "6"}, {"seed": "2", "a": "3", "wall_s": "6"}]
    assert [str(each) for each in differences(first, again)] == [
        "a differs in 1 rows, first in line 3 (seed 2): empty and 3"
    ]
    assert not list(differences(first, first))


def test_measured_seconds_do_not_repeat_and_simulated_ones_do():
    rows = [{"cost_s": cost, "clock": clock} for clock in ("measured: x", "table") for cost in "1"]
    other = [{**row, "cost_s": "2"} for row in rows]
    assert [(each.column, each.rows) for each in differences(rows, other)] == [("cost_s", 1)]


def test_a_column_that_one_file_lacks_is_a_difference():
    (found,) = differences([{"a": "1"}], [{"a": "1", "b": "2"}])
    assert (found.column, found.first, found.again) == ("b", "", "2")


def test_the_count_of_evaluations_that_an_earlier_version_left_out_is_no_difference():
    rows, again = [{"arch": "a"}], [{"arch": "a", "evaluations": "1"}]
    assert not list(differences(rows, again))
    assert [each.column for each in differences(again, rows)] == ["evaluations"]


@pytest.fixture
def finished(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    with Recorder(folder, "one") as recorder:
        run(toy_experiment(RandomSearch(), trials=2).opened(), recorder, dict)
    node = {
        "overrides": {"task": ["trials=2"], "hydra": []}, "job": {"config_name": "config"},
        "runtime": {"config_sources": [], "cwd": "/"},
    }  # fmt: skip
    (folder / RUN).parent.mkdir()
    OmegaConf.save({"hydra": node}, folder / RUN)
    return folder


@pytest.fixture
def playing(monkeypatch, finished):
    """In the command's place: leaves a copy, with a text replaced; returns the commands."""
    commands = []

    def set_up(old="", new="", code=0):
        def play(command, check):
            commands.append(command[3:])
            made = folder_of("hydra.run.dir", command[-1:])
            assert made is not None, command
            shutil.copytree(finished, made)
            text = (made / "trials.csv").read_text()
            (made / "trials.csv").write_text(text.replace(old, new))
            return subprocess.CompletedProcess(command, code)

        monkeypatch.setattr(subprocess, "run", play)
        return commands

    return set_up


def test_equal_figures_are_said_to_be_equal(finished, playing, capsys):
    commands = playing()
    assert rerun(finished, ["cohort=1"]) == 0
    assert rerun(finished, []) == 0
    new = [f"hydra.run.dir={finished}-rerun{number}" for number in (1, 2)]
    assert commands == [["trials=2", ALONE, "cohort=1", new[0]], ["trials=2", ALONE, new[1]]]
    assert "trials.csv: the same figures in all 2 rows of" in capsys.readouterr().out


def test_a_folder_of_any_name_is_played_again(finished, playing, tmp_path):
    playing()
    odd = shutil.copytree(finished, tmp_path / "größe [1], it's")
    assert rerun(odd, []) == 0
    assert (tmp_path / f"{odd.name}-rerun1").is_dir()
    assert rerun(odd, ["hydra.run.dir='new one'"]) == 0
    assert Path("new one").is_dir()


def test_a_job_is_played_again_beside_its_sweep(finished, playing, tmp_path):
    commands = playing()
    job = tmp_path / "sweep" / "part" / "job"
    shutil.copytree(finished, job)
    (tmp_path / "sweep" / SWEEP).touch()
    assert rerun(job, []) == 0
    assert commands[0][-1] == f"hydra.run.dir={tmp_path}/sweep-rerun1/part/job"


def test_other_figures_are_named_and_fail(finished, playing, capsys, tmp_path):
    playing("accuracy_pct", "error")
    assert rerun(finished, [f"hydra.run.dir={tmp_path / 'new'}"]) == 1
    assert (tmp_path / "new").is_dir()
    out = capsys.readouterr().out
    assert "trials.csv: metric differs in 2 rows, first in line 2 (seed 0): accuracy_pct" in out
    assert "evaluations.csv: the same" in out


def test_a_run_that_fails_ends_with_its_own_code(finished, playing):
    playing(code=2)
    assert rerun(finished, []) == 2


def test_only_a_finished_folder_is_played_again(finished, playing, tmp_path):
    commands = playing()
    with pytest.raises(ConfigError, match="holds neither a run nor a sweep"):
        rerun(tmp_path / "nowhere", [])
    with pytest.raises(ConfigError, match="trials=9 cannot be"):
        rerun(finished, ["trials=9"])
    with pytest.raises(ConfigError, match="is not empty"):
        rerun(finished, [f"hydra.run.dir={finished}"])
    (finished / "trials.csv").unlink()
    with pytest.raises(ConfigError, match="is not finished: go on with nasrun resume="):
        rerun(finished, [])
    assert not commands
