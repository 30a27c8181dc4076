"""An architecture that a trial found: its text, its drawing, its network with trained weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrun.errors import ConfigError, DataError, UnsupportedError
from nasrun.files import CONF
from nasrun.record.status import without_config

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from torch import nn

    from nasrun.evaluators.training import Training
    from nasrun.experiment import Experiment
    from nasrun.spec import Archs, Edges, Evaluator, SearchSpace, Task


@dataclass(frozen=True)
class Found:
    """An architecture that a trial found.

    ``job``: folder of its run; ``row``: its first row of ``trials.csv``, as texts.
    """

    job: Path
    row: Mapping[str, str]

    @property
    def text(self) -> str:
        """The architecture in its space's notation."""
        return self.row["arch"]

    @property
    def seed(self) -> int:
        """Of the trial."""
        return int(self.row["seed"])

    @property
    def reward(self) -> float:
        """Of the search."""
        return float(self.row["reward"])

    @cached_property
    def config(self) -> "DictConfig":
        """The run's composed config.

        Raises:
            DataError: it is gone, or damaged.
        """
        return job_config(self.job)

    @cached_property
    def space(self) -> "SearchSpace":
        """The search space, as the run composed it."""
        from nasrun.config import build
        from nasrun.spec import SearchSpace

        return build(self.config.space, SearchSpace, f"{self.job}, space")

    @cached_property
    def arch(self) -> "Archs":
        """``(L,)`` the architecture as decisions of its space."""
        return self.space.parse(self.text)

    @property
    def edges(self) -> "Edges":
        """``(from, to, operation)`` of its cell.

        Raises:
            UnsupportedError: the space has no cells.
        """
        return self.space.graph(self.arch)

    def draw(self, path: "str | PathLike[str]") -> Path:
        """Draw the cell into a file that ends in .png or .svg; returns its path."""
        from nasrun.report.draw import draw_cell

        draw_cell(self.edges, Path(path), self.text)
        return Path(path)

    def network(self, task: str | None = None) -> "nn.Module":
        """The network with the weights of its final training, on the CPU, to be used.

        They come from ``networks/TASK/seed-N.safetensors`` in the run's folder
        (``retrain.export=[weights]``), else from the training's checkpoint in ``cache_dir``, for
        which the task's images have to be at hand. The network is that which was trained: another
        one of the same canonical form may stand for it.

        Args:
            task: one of the scored tasks; None: the first one.

        Raises:
            ConfigError: a task that was not scored.
            UnsupportedError: the run trained no network.
            DataError: the weights are gone.
        """
        experiment = job_experiment(self.config, self.job)
        scored = {each.name: each for each in experiment.final_tasks}
        if task is not None and task not in scored:
            raise ConfigError(f"{self.job} scored {', '.join(scored)}, not {task}")
        wanted = scored[task] if task else experiment.final_tasks[0]
        evaluator = experiment.scorer or experiment.evaluator
        training = trains(evaluator)
        if training is None or training.score_epochs is None:
            raise UnsupportedError(
                f"{self.job}: evaluator={evaluator.name} trained no network in full; what was "
                "found can be built without weights: space.build(arch, task, Scale())"
            )
        weights = self.job / "networks" / wanted.name / f"seed-{self.seed}.safetensors"
        if weights.exists():
            return self._with(weights, wanted, training)
        return training.opened(self.space, wanted).network(self.arch, wanted)

    def _with(self, weights: Path, task: "Task", training: "Training") -> "nn.Module":
        """The network with exported weights."""
        from safetensors import SafetensorError
        from safetensors.torch import load_model

        network = training.build(self.space, self.arch, task)
        try:
            load_model(network, weights)
        except (OSError, RuntimeError, SafetensorError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{weights}: not this network's weights ({reason})") from None
        return network.eval()


def job_config(job: Path) -> "DictConfig":
    """The config that a run was composed of.

    Raises:
        DataError: it is gone, or damaged.
    """
    import nasrun.__main__  # noqa: F401 - registers what the config's interpolations call

    return _saved(job, "config.yaml")


def _saved(job: Path, name: str) -> "DictConfig":
    """A file that Hydra has left in a run's folder."""
    from omegaconf import DictConfig, OmegaConf
    from yaml import YAMLError

    path = job / ".hydra" / name
    if not path.parent.exists():
        raise DataError(without_config(job))
    try:
        config = OmegaConf.load(path)
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    if not isinstance(config, DictConfig):
        raise DataError(f"{path}: expected the config of a run, found something else")
    return config


def job_experiment(config: "DictConfig", job: Path) -> "Experiment":
    """The run's parts, built anew; tasks come from its config folders, where they still are.

    Raises:
        DataError: what says where these are is gone, or damaged.
    """
    from omegaconf import OmegaConf

    from nasrun.config import check

    saved = _saved(job, "hydra.yaml")
    sources: Any = OmegaConf.select(saved, "hydra.runtime.config_sources") or []
    own = [Path(each.path) / "task" for each in sources if each.schema == "file"]
    return check(config, [*own, CONF / "task"])


def trains(evaluator: "Evaluator") -> "Training | None":
    """What trains networks: the evaluator, or the one behind it."""
    from nasrun.evaluators.training import Training
    from nasrun.evaluators.wrapping import behind

    found = behind(evaluator)
    return found if isinstance(found, Training) else None
