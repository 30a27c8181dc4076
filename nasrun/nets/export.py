"""Trained networks as files that other programs read."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nasrun.errors import ConfigError, DataError
from nasrun.files import write_bytes

TOLERANCE = 1e-4  # relative and absolute difference of logits that rounding explains
BATCH = 2  # images of the check: more than the one that a file might be fixed to


def export(network: nn.Module, px: int, stem: Path, formats: list[str]) -> list[Path]:
    """Write the network in these formats beside each other; returns the files.

    Every file but the weights is loaded again and must give the network's own logits.

    Args:
        network: on the CPU.
        px: width of its images.
        stem: path of the files without their endings.
        formats: some of ``FORMATS``.

    Raises:
        ConfigError: an unknown format, or a package that is not installed.
        DataError: a file cannot be written, or computes something else.
    """
    check_formats(formats)
    x = torch.randn(BATCH, 3, px, px, generator=torch.Generator().manual_seed(0))
    # Compared with float32 NCHW, which is what the files hold.
    network = network.float().eval()
    for parameter in network.parameters():
        parameter.data = parameter.data.contiguous()
    with torch.inference_mode():
        expected = network(x).numpy()
    paths = []
    for name in formats:
        ending, write, run = FORMATS[name]
        path = stem.with_name(stem.name + ending)
        write_bytes(path, write(network, x))
        if run is not None and not np.allclose(run(path, x), expected, TOLERANCE, TOLERANCE):
            raise DataError(f"{path}: computes other logits than the network; export another way")
        paths.append(path)
    return paths


def check_formats(formats: list[str]) -> None:
    """Refuse formats that cannot be written.

    Raises:
        ConfigError: an unknown format, or a package that is not installed.
    """
    if unknown := [name for name in formats if name not in FORMATS]:
        raise ConfigError(f"retrain.export names {unknown[0]!r}, which is none of "
                          f"{', '.join(FORMATS)}")  # fmt: skip
    if "onnx" in formats:
        try:
            import onnx
            import onnxruntime
        except ImportError as error:
            raise ConfigError(
                f"retrain.export=[onnx] needs a package that is not there ({error}): "
                'pip install "nasrun[export]"'
            ) from None
        del onnx, onnxruntime


def _weights(network: nn.Module, x: Tensor) -> bytes:
    from safetensors.torch import save

    return save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})


def _torchscript(network: nn.Module, x: Tensor) -> bytes:
    buffer = io.BytesIO()
    with _quiet(), torch.inference_mode():
        torch.jit.save(torch.jit.trace(network, x), buffer)
    return buffer.getvalue()


def _run_torchscript(path: Path, x: Tensor) -> np.ndarray:
    with _quiet(), torch.inference_mode():
        return torch.jit.load(str(path))(x).numpy()


def _onnx(network: nn.Module, x: Tensor) -> bytes:
    buffer: Any = io.BytesIO()  # which torch takes, though its type says a path
    with _quiet():
        # The exporter that torch now prefers needs two more packages and half a minute.
        torch.onnx.export(
            network,
            (x,),
            buffer,
            dynamo=False,
            input_names=["images"],
            output_names=["logits"],
            dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}},
        )
    return buffer.getvalue()


def _run_onnx(path: Path, x: Tensor) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"images": x.numpy()})[0])


def _quiet() -> warnings.catch_warnings:
    """Context in which torch does not say that these exporters are its older ones."""
    return warnings.catch_warnings(
        action="ignore"  # DeprecationWarning and its relatives; the check is what counts
    )


Write = Callable[[nn.Module, Tensor], bytes]
Run = Callable[[Path, Tensor], np.ndarray]
FORMATS: dict[str, tuple[str, Write, Run | None]] = {
    "weights": (".safetensors", _weights, None),
    "torchscript": (".torchscript", _torchscript, _run_torchscript),
    "onnx": (".onnx", _onnx, _run_onnx),
}
