"""What the sweepers of this package share: a folder, a launcher, and how jobs are handed to it.

Every program that knows the sweepers imports this module, so it imports nothing heavy.
"""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from nasrun import sweep
from nasrun.errors import ConfigError, NasrunError
from nasrun.files import atomic

EXTRAS = {
    "joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit", "ray": "ray",
}  # fmt: skip
CONFIG = "multirun.yaml"  # as Hydra's own sweeper calls it
# A job must know that it is one of a sweep even where ``sweep.split`` or a launcher made the
# command a sweep: it fails without ending the rest.
MULTIRUN = "hydra.mode=MULTIRUN"


class FolderSweeper(Sweeper):
    """A sweeper whose sweep lies in ``hydra.sweep.dir`` and can be gone on with there."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what Hydra hands over, and make the launcher.

        Raises:
            ConfigError: the launcher's plug-in is not installed.
        """
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = _make_launcher(hydra_context, task_function, config)
        self._launched = 0

    def _folder(self) -> Path:
        """Where the sweep is to lie.

        Raises:
            ConfigError: ``resume`` names a folder without a sweep.
        """
        assert self.config is not None
        folder = Path(self.config.hydra.sweep.dir)
        if self.config.get("resume") is not None and not (folder / CONFIG).exists():
            raise ConfigError(f"resume={self.config.resume} holds no sweep: leave resume out")
        return folder

    def _save_config(self, folder: Path) -> None:
        """Write ``multirun.yaml``."""
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(folder / CONFIG) as stream:
            stream.write(OmegaConf.to_yaml(self.config))

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        """The config of a job with these overrides."""
        assert self.hydra_context is not None
        assert self.config is not None
        return self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))

    def _tell_launcher(self, claim: Path) -> None:
        """Where a launcher whose jobs outlive this process is to note them."""
        if hasattr(self.launcher, "claim"):
            setattr(self.launcher, "claim", claim)  # noqa: B010 - Hydra's type has no such field

    def _launch(self, jobs: Sequence[Sequence[str]]) -> Sequence[JobReturn]:
        """Hand jobs to the launcher, numbered from where the last ones ended.

        Raises:
            NasrunError: the launcher gave up before the jobs ended.
        """
        assert isinstance(self.launcher, Launcher)
        first, self._launched = self._launched, self._launched + len(jobs)
        try:
            return self.launcher.launch([[*job, MULTIRUN] for job in jobs], initial_job_idx=first)
        except (NasrunError, HydraException):
            raise
        except Exception as error:  # whatever a plug-in, its library or the cluster may raise
            reason = next(iter(str(error).splitlines()), "")
            raise NasrunError(
                f"the launcher gave up ({type(error).__name__}: {reason}); {sweep.way_on()}"
            ) from error


def succeeded(returned: JobReturn) -> bool:
    """Whether a job was played: one that fails returns None, and has said why itself."""
    return returned.status is JobStatus.COMPLETED and returned.return_value is not None


def _make_launcher(
    hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
) -> Launcher:
    """The launcher that ``hydra/launcher`` names."""
    plugins = Plugins.instance()
    name = config.hydra.runtime.choices["hydra/launcher"]
    if name in EXTRAS and config.hydra.launcher._target_ not in plugins.class_name_to_class:
        raise ConfigError(
            f"hydra/launcher={name} needs a plug-in that is not installed: "
            f'pip install "nasrun[{EXTRAS[name]}]"'
        )
    return plugins.instantiate_launcher(
        hydra_context=hydra_context, task_function=task_function, config=config
    )
