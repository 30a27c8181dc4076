"""What the command line notes of a sweep, whoever plays it."""

import pytest
from omegaconf import OmegaConf

from nasrun import sweep
from nasrun.sweep import SweepCallback

OURS = ("hydra_plugins.nasrun.SplitSweeper", "nasrun.sweepers.split.SplitSweeper")
THEIRS = "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"


def begun(folder, target, split=1):
    hydra = {"sweeper": {"_target_": target}, "sweep": {"dir": str(folder)}}
    config = {"hydra": hydra, "sweep": {"split": split}}
    SweepCallback().on_multirun_start(OmegaConf.create(config))


@pytest.fixture(autouse=True)
def forgotten():
    yield
    sweep._current.clear()


@pytest.mark.parametrize("folder", ["x" * 300, "${nowhere}"])
def test_a_run_folder_that_cannot_be_is_left_to_hydra_to_refuse(folder):
    SweepCallback().on_run_start(OmegaConf.create({"hydra": {"run": {"dir": folder}}}))


def test_a_plug_in_with_a_sweeper_of_our_name_does_not_split(tmp_path, capsys):
    with pytest.raises(SystemExit) as answer:
        begun(tmp_path, THEIRS, split=2)
    assert answer.value.code == 2
    assert "sweep.split=2 would be ignored" in capsys.readouterr().err


@pytest.mark.parametrize("target", OURS)
def test_our_sweepers_may_split_and_a_refused_sweep_of_theirs_is_not_collected(
    tmp_path, target, capsys
):
    begun(tmp_path, target, split=2)
    sweep.withdraw()
    assert sweep.close() == 0
    assert not capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_what_a_sweeper_of_others_played_before_it_was_refused_is_collected(tmp_path, capsys):
    begun(tmp_path, THEIRS)
    sweep.withdraw()
    assert sweep.close() == 0
    assert "wrote" in capsys.readouterr().out
