"""HELP's own files of latencies: one list a device, and the numbers of the architectures.

``data/nasbench201/`` of github.com/HayeonLee/HELP has ``latency/DEVICE.pt``, lists of milliseconds
written by ``torch.save``, and ``str_arch2idx.pt``, which says at which place of these lists an
architecture stands. In ``data/fbnet/`` that is ``metainfo.pt``, whose ``arch`` lists the networks
as ``op_idx_list``.
"""

import hashlib
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nasrun.csv_input import CsvInput
from nasrun.errors import ConfigError, DataError
from nasrun.input_files import MIB, read_bytes, too_large

LIMIT = 256 * MIB  # bytes of a file, and of what it unpacks to
NUMBERS, NETWORKS = "str_arch2idx.pt", "metainfo.pt"


def is_help(path: Path) -> bool:
    """Whether this is one of HELP's files, or a folder with them."""
    return path.is_dir() or path.suffix == ".pt"


def read_help(path: Path, device: str, arch: str) -> tuple[CsvInput, dict[str, str]]:
    """The latencies of a device as a table, and the files that were read with their sha256.

    Args:
        path: ``data/nasbench201``, its folder ``latency``, or a file in that.
        device: whose latencies.
        arch: name of the table's column of architectures.

    Raises:
        ConfigError: there is no such device.
        DataError: files that are missing, damaged or of another format.
    """
    folder = path.parent if path.is_file() else path
    folder = folder / "latency" if (folder / "latency").is_dir() else folder
    others = (NUMBERS, NETWORKS)
    files = {file.stem: file for file in sorted(folder.glob("*.pt")) if file.name not in others}
    if path.is_file():
        files = {path.stem: path}
    if not files:
        raise DataError(f"{path}: expected HELP's files, latency/DEVICE.pt, found none")
    if device not in files:
        raise ConfigError(
            f"hardware.device={device} is not in {path}, which has {', '.join(files)}"
        )
    known = [place / name for name in others for place in (folder, folder.parent)]
    numbers = next((own for own in known if own.exists()), None)
    if numbers is None:
        raise DataError(
            f"{path}: {NUMBERS}, which says what architectures the latencies are of, is not in "
            f"{folder.parent}: copy HELP's whole folder data/nasbench201 there (or data/fbnet, "
            f"where {NETWORKS} says it)"
        )
    places, digest = _load(numbers)
    places = _places(places) if numbers.name == NETWORKS else places
    latencies, own = _load(files[device])
    rows = _rows(places, latencies, files[device], numbers)
    table = CsvInput(files[device], [arch, device], rows, list(range(1, len(rows) + 1)))
    return table, {numbers.name: digest, files[device].name: own}


def _places(networks: Any) -> Any:
    """Places of FBNets by their texts; what is not laid out as HELP's is handed back to refuse."""
    try:
        texts = ["-".join(str(int(at)) for at in one["op_idx_list"]) for one in networks["arch"]]
    except (KeyError, TypeError, ValueError):
        return networks
    return {text: at for at, text in enumerate(texts)}


def _rows(places: Any, latencies: Any, path: Path, numbers: Path) -> list[list[str]]:
    """Architecture and latency of each place, as texts."""
    if not isinstance(places, Mapping) or not all(isinstance(text, str) for text in places):
        raise DataError(f"{numbers}: expected a dict of architectures and their numbers")
    try:
        figures = np.asarray(latencies, np.float64)
        order = np.array(list(places.values()), np.int64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise DataError(f"{path}: expected a list of milliseconds ({error})") from None
    if figures.ndim != 1 or sorted(order.tolist()) != list(range(len(figures))):
        raise DataError(
            f"{path}: expected a latency for each of the {len(order)} architectures of "
            f"{numbers.name}, found an array of shape {figures.shape}"
        )
    return [[text, repr(figures[at].item())] for text, at in places.items()]


def _load(path: Path) -> tuple[Any, str]:
    """Plain data, numbers and tensors of a file, and its sha256; no code in the file is run."""
    import torch

    data = read_bytes(path, LIMIT)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if sum(member.file_size for member in archive.infolist()) > LIMIT:
                    raise too_large(path, "it unpacks to", LIMIT)
        with torch.serialization.safe_globals(_numbers()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except DataError:
        raise
    except Exception as error:  # a damaged file can fail in any way
        first, *_ = str(error).splitlines() or [type(error).__name__]
        code = isinstance(error, pickle.UnpicklingError)
        why = "it asks for more than plain data" if code else first
        raise DataError(f"{path}: not a file of torch.save with numbers alone ({why})") from None
    return content, hashlib.sha256(data).hexdigest()


def _numbers() -> list[Any]:
    """What numpy's numbers and arrays are made of when they are unpickled."""
    scalar: Any = np.float64(0).__reduce__()[0]
    rebuild: Any = np.zeros(1).__reduce__()[0]
    kinds = [type(np.dtype(code)) for code in ("f8", "f4", "i8", "i4")]
    # Under numpy's old name, too, by which older files ask for them.
    old = [(made, f"numpy.core.multiarray.{made.__name__}") for made in (scalar, rebuild)]
    return [scalar, rebuild, *old, np.ndarray, np.dtype, *kinds]
