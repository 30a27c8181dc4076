"""Where networks are trained, and how fast or how exactly."""

import gc
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nasrun.errors import ConfigError
from nasrun.nets.recipe import Precision
from nasrun.ranges import require_at_least

DTYPES = {
    Precision.float32: torch.float32,
    Precision.bfloat16: torch.bfloat16,
    Precision.float16: torch.float16,
}
ONE_VALUE = "more than 1 value per channel"  # in what torch's batch normalisation says then


@dataclass(frozen=True)
class Device:
    """A processor and the way it computes.

    ``where`` is torch's name of it, ``auto`` the GPU if there is one. ``threads`` are a CPU's; None
    leaves PyTorch's number. ``deterministic`` repeats a GPU's results bit by bit and is slower; a
    CPU repeats them in any case, given the same number of threads. Where ``dtype`` is float32, a
    GPU does not round to TF32 either. ``group`` is where a config has these settings.

    Raises:
        ConfigError: a device that is not there, or float16 on a CPU.
    """

    where: str = "auto"
    precision: Precision = Precision.auto
    deterministic: bool = False
    compile: bool = False
    threads: int | None = None
    group: str = "evaluator"

    def __post_init__(self) -> None:
        if self.on_gpu:
            # PyTorch reads it at the first matrix product of the process and never again; without
            # it, a deterministic training after one that is not would be refused.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        try:
            torch.empty(0, device=self.processor)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"{self.group}.device={self.where} cannot be used ({reason}): set it to auto or cpu"
            ) from None
        if not self.on_gpu and self.dtype is torch.float16:
            raise ConfigError(
                f"{self.group}.precision=float16 needs a GPU: use auto, bfloat16 or float32"
            )
        require_at_least(self, self.group, 1, "threads")

    @cached_property
    def processor(self) -> torch.device:
        """The device as torch knows it."""
        if self.where == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            return torch.device(self.where)
        except RuntimeError:
            raise ConfigError(
                f"{self.group}.device={self.where} is no device: use auto, cpu or cuda"
            ) from None

    @property
    def on_gpu(self) -> bool:
        """Whether it is a CUDA device."""
        return self.processor.type == "cuda"

    @cached_property
    def dtype(self) -> torch.dtype:
        """Number format of the activations."""
        if self.precision is not Precision.auto:
            return DTYPES[self.precision]
        if self.on_gpu:
            return torch.bfloat16 if self._gpu_has_bfloat16() else torch.float16
        return torch.bfloat16 if _cpu_has_bfloat16() else torch.float32

    def _gpu_has_bfloat16(self) -> bool:
        """Whether this GPU multiplies bfloat16 numbers; emulating them would be slow."""
        with torch.cuda.device(self.processor):
            return torch.cuda.is_bf16_supported(including_emulation=False)

    @property
    def label(self) -> str:
        """Such as ``cpu/bfloat16``, or the GPU's own name in front; whether a GPU is exact."""
        name = torch.cuda.get_device_name(self.processor) if self.on_gpu else self.processor.type
        exact = "/deterministic" if self.on_gpu and self.deterministic else ""
        return f"{name}/{str(self.dtype).removeprefix('torch.')}{exact}"

    def autocast(self, cached: bool = True) -> torch.autocast:
        """Context in which networks compute in ``dtype``."""
        mixed = self.dtype is not torch.float32
        return torch.autocast(self.processor.type, self.dtype, enabled=mixed, cache_enabled=cached)

    def place(self, network: nn.Module) -> nn.Module:
        """The network on the device, its convolutions' weights with channels last."""
        moved = network.to(self.processor)
        for parameter in moved.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return moved

    def put(self, x: Tensor) -> Tensor:
        """Images ``(B, C, H, W)`` on the device, channels last."""
        return x.to(self.processor, non_blocking=True, memory_format=torch.channels_last)

    def generator(self, seed: int) -> torch.Generator:
        """Random numbers that are drawn on the device itself."""
        return torch.Generator(self.processor).manual_seed(seed)

    def free(self) -> None:
        """Give back the memory of what nobody needs any more."""
        if self.on_gpu:
            gc.collect()  # a recorded graph holds on to itself
            torch.cuda.empty_cache()

    def wait(self) -> None:
        """Return when all work that was given to the device is done."""
        if self.on_gpu:
            torch.cuda.synchronize(self.processor)

    @contextmanager
    def seeded(self, *key: int) -> Generator[None]:
        """Context with random numbers of their own; the global generators stay as they were."""
        with torch.random.fork_rng([self.processor] if self.on_gpu else []):
            torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1))
            yield

    @contextmanager
    def computing(self) -> Generator[None]:
        """Context with the device's threads and kernels; what was set before comes back after.

        Raises:
            ConfigError: a batch of one picture whose maps of one pixel cannot be normalised.
        """
        threads, exact = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        cudnn: Any = torch.backends.cudnn
        matmul = torch.backends.cuda.matmul
        before = cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32
        torch.set_num_threads(self.threads or threads)
        torch.use_deterministic_algorithms(self.deterministic)
        cudnn.benchmark = not self.deterministic
        if self.on_gpu:
            _begin_backward(self.processor)
        cudnn.allow_tf32 = matmul.allow_tf32 = self.dtype is not torch.float32
        try:
            yield
        except ValueError as error:
            if ONE_VALUE not in str(error):
                raise
            key = "algorithm.batch" if self.group == "algorithm" else "evaluator.recipe.batch"
            raise ConfigError(
                "batch normalisation needs more than one value a channel, but a batch has one "
                f"picture, whose maps are of one pixel: set {key} so that the number of pictures "
                "leaves no rest of 1"
            ) from error
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(exact)
            cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = before


@cache
def _begin_backward(processor: torch.device) -> None:
    """Run a kernel in the thread of backward passes, where cuBLAS warns if it is the first."""
    torch.ones(1, device=processor, requires_grad=True).mul(2.0).sum().backward()


def _cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 numbers; emulating them would be slow."""
    if not hasattr(torch.cpu, "get_capabilities"):
        return False  # torch before 2.10 does not say
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
