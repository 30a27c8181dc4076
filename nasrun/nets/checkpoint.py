"""Files from which a training goes on after it was stopped."""

import io
from pathlib import Path
from typing import Any

import torch

from nasrun.errors import DataError
from nasrun.files import write_bytes
from nasrun.input_files import require_file


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values; the file is whole or not there.

    Raises:
        DataError: the disk is full or the folder cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(path, buffer.getvalue())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What ``save_checkpoint`` wrote, on the CPU. No code in the file is run.

    Whoever takes it over copies it to where it belongs: Adam counts its steps on the CPU, and on a
    GPU it would wait for that number at every step.

    Raises:
        DataError: the file is damaged.
    """
    require_file(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise TypeError(f"it holds a {type(state).__name__}")
    except Exception as error:  # a damaged file can fail in any way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: not a checkpoint ({reason}); delete it to train anew") from None
    return state
