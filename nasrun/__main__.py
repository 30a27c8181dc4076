"""The command line: Hydra composes the config, nasrun plays it.

This module is all that ``nasrun --help`` and shell completion load, so it imports Hydra alone.
"""

import os
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

CONF = next(
    folder
    for folder in (Path(__file__).parent / "conf", Path(__file__).parents[1] / "conf")
    if folder.is_dir()
)


def _cache_dir() -> str:
    """Folder for parsed tables and downloads: NASRUN_CACHE, or the platform's own place."""
    from platformdirs import user_cache_dir

    return os.environ.get("NASRUN_CACHE") or user_cache_dir("nasrun", appauthor=False)


OmegaConf.register_new_resolver("nasrun.cache_dir", _cache_dir, replace=True)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def task(config: DictConfig) -> float | None:
    """Play one job; returns its objective, for sweepers."""
    from nasrun.job import play_job

    return play_job(config)


def main() -> None:
    """Entry point of the ``nasrun`` command."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    task()


if __name__ == "__main__":
    main()
