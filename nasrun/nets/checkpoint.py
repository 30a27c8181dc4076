"""Files from which a training goes on after it was stopped."""

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from nasrun.errors import DataError
from nasrun.files import write_bytes


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values; the file is whole or not there.

    Raises:
        DataError: the disk is full or the folder cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(path, buffer.getvalue())


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """What ``save_checkpoint`` wrote. No code in the file is run.

    Raises:
        DataError: the file is damaged.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: not a checkpoint ({reason}); delete it to train anew") from None
