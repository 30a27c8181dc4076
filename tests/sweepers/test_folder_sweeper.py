"""How both sweepers hand jobs over, and where they go on."""

import pytest
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import OmegaConf

from nasrun.errors import ConfigError, DataError, NasrunError
from nasrun.sweepers.base import FolderSweeper


class Noting(Launcher):
    """Notes what it is given, or fails."""

    def __init__(self, error=None):
        self.batches, self.error = [], error

    def setup(self, **kwargs):
        pass

    def launch(self, job_overrides, initial_job_idx):
        if self.error is not None:
            raise self.error
        self.batches.append((initial_job_idx, job_overrides))
        return [JobReturn() for _ in job_overrides]


class Sweeping(FolderSweeper):
    """A sweeper in a folder, as ``setup`` would leave it."""

    def __init__(self, folder, launcher=None, resume=None):
        hydra = {"sweep": {"dir": str(folder)}}
        self.config = OmegaConf.create({"hydra": hydra, "resume": resume})
        self.launcher, self._launched = launcher or Noting(), 0

    def sweep(self, arguments):
        return [self._launch([(each,)]) for each in arguments]


def test_jobs_are_numbered_on_from_batch_to_batch_and_know_their_mode(tmp_path):
    launcher = Noting()
    Sweeping(tmp_path, launcher).sweep(["a=1", "a=2"])
    mode = "hydra.mode=MULTIRUN"
    assert launcher.batches == [(0, [["a=1", mode]]), (1, [["a=2", mode]])]


def test_a_launcher_that_gives_up_is_a_sentence_and_a_refusal_stays_one(tmp_path):
    gone = Noting(RuntimeError("no node left\nTraceback"))
    with pytest.raises(NasrunError, match=r"gave up \(RuntimeError: no node left\); start the"):
        Sweeping(tmp_path, gone).sweep(["a=1"])
    with pytest.raises(DataError, match="no such file"):
        Sweeping(tmp_path, Noting(DataError("no such file"))).sweep(["a=1"])


def test_only_a_folder_with_a_sweep_can_be_gone_on_with(tmp_path):
    place = tmp_path / "deep" / "folder"
    with pytest.raises(ConfigError, match="holds no sweep"):
        Sweeping(place, resume=str(place))._folder()
    begun = Sweeping(place)
    begun._save_config(begun._folder())
    assert OmegaConf.load(place / "multirun.yaml") == begun.config
    assert Sweeping(place, resume=str(place))._folder() == place
