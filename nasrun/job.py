"""One Hydra job: from a composed config to a run folder and a table on the screen."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from nasrun import config as configs
from nasrun.pipeline import run
from nasrun.record.provenance import config_hash, provenance
from nasrun.record.recorder import Recorder


def play_job(config: DictConfig) -> float | None:
    """Play the run that ``config`` describes in Hydra's output folder."""
    settings = HydraConfig.get()
    folders = [
        Path(source.path) / "task"
        for source in settings.runtime.config_sources
        if source.schema == "file"
    ]
    experiment = configs.check(config, folders)
    identity = config_hash(configs.identity(config))
    folder = Path(settings.runtime.output_dir)
    with Recorder(folder, identity) as recorder:
        run(experiment, recorder, lambda: provenance(identity, experiment.evaluator.files()))
    print((folder / "summary.csv").read_text())
    return None
