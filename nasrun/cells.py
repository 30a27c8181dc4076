"""The cell of an architecture, by the config of the job that found it."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from nasrun.config import build
from nasrun.errors import NasrunError
from nasrun.spec import Edges, SearchSpace


def job_edges(folder: Path, arch: str) -> Edges | None:
    """Edges of the cell of ``arch``, in the search space that the job in ``folder`` composed.

    None where there is no cell to draw: the job's config is gone, its space lies in a module that
    is not at hand, or the space has no cells. A report goes on without the drawing.
    """
    path = folder / ".hydra" / "config.yaml"
    try:
        config = OmegaConf.load(path)
    except (OSError, YAMLError):
        return None
    node = config.get("space") if isinstance(config, DictConfig) else None
    if not isinstance(node, DictConfig):
        return None
    try:
        space = build(node, SearchSpace, f"{path}, space")
        return space.graph(space.parse(arch))
    except NasrunError:
        return None
