"""nasrun: neural architecture search experiments, driven by Hydra configs."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    from nasrun.results import Results

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(folder: "str | PathLike[str]") -> "Results":
    """What a finished run or sweep has left in its folder: data frames, and what was found.

    Raises:
        DataError: the folder holds no finished run.
    """
    from nasrun.results import Results  # pandas: nothing that a command line should wait for

    return Results.of(folder)
