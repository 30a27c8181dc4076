"""Trained networks as files that other programs read."""

import io
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nasrun.errors import ConfigError, DataError
from nasrun.files import write_bytes
from nasrun.images import Pictures

TOLERANCE = 1e-4  # relative and absolute difference of logits that rounding explains
PIXELS = "(B, 3, px, px) RGB pixel values, 0 to 255; normalised in the graph"
TORCHSCRIPT_FACTS = "nasrun.json"  # name of the file inside the archive
BATCH = 2  # images of the check: more than the one that a file might be fixed to


class OfPixels(nn.Module):
    """A network that takes pixel values ``(B, 3, px, px)``, RGB, 0 to 255, of any type."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, pictures: Pictures) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(pictures.mean).reshape(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(pictures.std).reshape(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Normalise as in training."""
        return self.network((images.to(torch.float32) - self.mean) / self.std)


def export(
    network: nn.Module,
    pictures: Pictures,
    stem: Path,
    formats: list[str],
    about: Mapping[str, str],
) -> list[Path]:
    """Write the network in these formats beside each other; returns the files.

    TorchScript and ONNX take pixel values and normalise by themselves; weights are those of the
    network alone, which takes normalised pictures. Every file says what it takes, what its outputs
    mean and what the network is. Every file but the weights is loaded again and must give the
    network's own logits.

    Args:
        network: on the CPU.
        pictures: its input and output.
        stem: path of the files without their endings.
        formats: some of ``FORMATS``.
        about: what else to write into the files.

    Raises:
        ConfigError: an unknown format, or a package that is not installed.
        DataError: a file cannot be written, or computes something else.
    """
    check_formats(formats)
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (BATCH, 3, pictures.px, pictures.px), generator=generator).float()
    # Compared with float32 NCHW, which is what the files hold.
    whole = OfPixels(network, pictures).float().eval()
    for parameter in whole.parameters():
        parameter.data = parameter.data.contiguous()
    with torch.inference_mode():
        expected = whole(x).numpy()
    described = {key: json.dumps(value) for key, value in pictures.described.items()}
    facts = {**about, **described}
    paths = []
    for name in formats:
        ending, write, run = FORMATS[name]
        path = stem.with_name(stem.name + ending)
        write_bytes(path, write(whole, x, facts))
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


Facts = Mapping[str, str]


def _weights(whole: OfPixels, x: Tensor, facts: Facts) -> bytes:
    from safetensors.torch import save

    weights = whole.network.state_dict()
    facts = {**facts, "input": "(B, 3, px, px) RGB pixel values less mean, divided by std"}
    return _in_order(save({name: own.contiguous() for name, own in weights.items()}, dict(facts)))


def _in_order(content: bytes) -> bytes:
    """A safetensors file whose facts stand in order: the library's own has another in each process.

    So the same weights are the same bytes. A file is its header's length in eight bytes, the header
    as JSON with blanks behind it, up to a multiple of eight, and the numbers.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]


def _torchscript(whole: OfPixels, x: Tensor, facts: Facts) -> bytes:
    buffer = io.BytesIO()
    with _quiet(), torch.inference_mode():
        extra = {TORCHSCRIPT_FACTS: json.dumps({**facts, "input": PIXELS})}
        torch.jit.save(torch.jit.trace(whole, x), buffer, extra)
    return buffer.getvalue()


def _run_torchscript(path: Path, x: Tensor) -> np.ndarray:
    with _quiet(), torch.inference_mode():
        return torch.jit.load(str(path))(x).numpy()


def _onnx(whole: OfPixels, x: Tensor, facts: Facts) -> bytes:
    import onnx

    buffer: Any = io.BytesIO()  # which torch takes, though its type says a path
    with _quiet():
        # The exporter that torch now prefers needs two more packages and half a minute.
        torch.onnx.export(
            whole,
            (x,),
            buffer,
            dynamo=False,
            input_names=["images"],
            output_names=["logits"],
            dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}},
        )
    model = onnx.load_from_string(buffer.getvalue())
    onnx.helper.set_model_props(model, {**facts, "input": PIXELS})
    return model.SerializeToString()


def _run_onnx(path: Path, x: Tensor) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"images": x.numpy()})[0])


def _quiet() -> warnings.catch_warnings:
    """Context in which torch does not say that these exporters are its older ones."""
    return warnings.catch_warnings(
        action="ignore"  # DeprecationWarning and its relatives; the check is what counts
    )


Write = Callable[[OfPixels, Tensor, Facts], bytes]
Run = Callable[[Path, Tensor], np.ndarray]
FORMATS: dict[str, tuple[str, Write, Run | None]] = {
    "weights": (".safetensors", _weights, None),
    "torchscript": (".torchscript", _torchscript, _run_torchscript),
    "onnx": (".onnx", _onnx, _run_onnx),
}
