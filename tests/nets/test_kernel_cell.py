"""A GPU's kernels on a CPU, by Triton's interpreter, against the cells by themselves.

Whether Triton interprets is decided when it is imported, so a process of its own does. bfloat16 is
for a GPU to test (test_on_a_gpu.py): the interpreter multiplies its bits as if they were numbers.
"""

import copy
import os
import subprocess
import sys
from importlib.util import find_spec

import fused_cells
import numpy as np
import pytest
import torch
from torch import nn

from nasrun.nets import fused_cell, kernel_cell
from nasrun.nets.classification import Classification
from nasrun.nets.fused import Fuser
from nasrun.nets.fused_cell import link
from nasrun.nets.nb201 import Cell, Skeleton
from nasrun.nets.operations import AvgPool, ReLUConvNorm

interprets = os.environ.get("TRITON_INTERPRET") == "1"
if interprets:
    from nasrun.nets import cell_kernels
interpreted = pytest.mark.skipif(not interprets, reason="the test below runs it")


@pytest.mark.slow  # the interpreter takes most of a minute
@pytest.mark.skipif(interprets, reason="this is that process")
@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_kernels_as_triton_interprets_them():
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", __file__]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "13 passed" in done.stdout, done.stdout[-400:]


@pytest.fixture
def small_blocks(monkeypatch):
    """So that there are several, the last one not full."""
    monkeypatch.setattr(kernel_cell, "ROWS", 32)
    monkeypatch.setattr(kernel_cell, "NUMBERS", 1)
    monkeypatch.setattr(kernel_cell, "MANY", 2 * 16)


@interpreted
@pytest.mark.parametrize("seed", [2, 3])
def test_kernels_compute_what_cells_compute(small_blocks, seed):
    cells, x, gradient = fused_cells.made(seed, 16)
    wanted = fused_cells.by_themselves(cells, x, gradient)
    assert any(name.startswith("0.") and "norm.bias" in name for name in wanted)
    # What float32 itself loses differs by a factor of ten from seed to seed: kernels, which sum in
    # another order, may lose some times as much as PyTorch (2.0 and 2.3 were seen).
    lost = fused_cells.distance(fused_cells.by_themselves(cells, x, gradient, True), wanted)
    assert lost < 2e-5
    fused_cells.assert_equal(fused_cells.by_kernels(cells, x, gradient), wanted, 4 * lost)


@interpreted
def test_there_are_no_kernels_without_a_gpu_or_for_other_cells(monkeypatch):
    wide, halved = (fused_cells.SPACE.graph(fused_cells.SPACE.parse(fused_cells.BIASED)),) * 2
    assert Fuser([Cell(wide, 16, 16), Cell(wide, 16, 16)]).network.kernels is not None
    assert Fuser([Cell(wide, 12, 12), Cell(wide, 12, 12)]).network.kernels is None
    assert Fuser([Cell(halved, 16, 16, 2), Cell(halved, 16, 16, 2)]).network.kernels is None
    monkeypatch.delenv("TRITON_INTERPRET")
    assert Fuser([Cell(wide, 16, 16), Cell(wide, 16, 16)]).network.kernels is None


@interpreted
def test_operations_without_a_kernel_are_known():
    kinds = [
        kernel_cell._kind(module)
        for module in (
            nn.Identity(), AvgPool(16, 16, 1, True, True),
            ReLUConvNorm(1, 16, 16, 1, True, True), ReLUConvNorm(3, 16, 16, 1, True, True),
            AvgPool(16, 16, 2, True, True), AvgPool(16, 32, 1, True, True),
            ReLUConvNorm(3, 16, 16, 2, True, True), ReLUConvNorm(3, 16, 16, 1, False, True),
            ReLUConvNorm(3, 16, 16, 1, True, False), ReLUConvNorm(5, 16, 16, 1, True, True),
        )
    ]  # fmt: skip
    assert kinds[:4] == [1, 2, 3, 4]
    assert kinds[4:] == [None] * 6


def test_maps_too_large_for_32_bits_go_another_way():
    kernels = kernel_cell.KernelCell("0123", 4, 16)  # each within the most programs of a grid
    assert kernels.takes(torch.empty(1, device="meta").expand(2**29))
    assert not kernels.takes(torch.empty(1, device="meta").expand(2**30))
    assert not kernels.takes(torch.empty(1, device="meta", dtype=torch.float16))
    few = kernel_cell.KernelCell("0123", 1, 16)
    assert few.takes(torch.empty(1, device="meta").expand(2**28 - 2**16))
    assert not few.takes(torch.empty(1, device="meta").expand(2**28))


@pytest.mark.parametrize(
    ("blocks", "programs", "each"), [(512, 16, 2), (512, 16 * 9, 32), (1, 5, 1), (48, 5000, 64)]
)
def test_a_gpu_is_busy_with_few_kernels(blocks, programs, each):
    assert kernel_cell._blocks_each(blocks, programs) == each


@interpreted
def test_kernels_that_compute_something_else_are_not_used(monkeypatch, caplog):
    where, cpu, kernel = (16, torch.float32), torch.device("cpu"), "node_gradient"
    assert fused_cell.kernels_agree.__wrapped__(*where, cpu)
    assert not caplog.text
    launched = getattr(cell_kernels, kernel)

    class Wrong:
        def __getitem__(self, grid):
            def launch(*given, **more):
                launched[grid](*given, **more)
                given[10].mul_(1.1)  # what it writes

            return launch

    monkeypatch.setattr(cell_kernels, kernel, Wrong())
    assert not fused_cell.kernels_agree.__wrapped__(*where, cpu)
    assert "the kernels of cells with 16 channels are" in caplog.text


@interpreted
def test_kernels_that_cannot_be_made_are_not_used(monkeypatch, caplog):
    class Broken:
        def __getitem__(self, grid):
            raise RuntimeError("no C compiler was found\nand more")

    monkeypatch.setattr(cell_kernels, "sum_terms", Broken())
    assert not fused_cell.kernels_agree.__wrapped__(16, torch.float32, torch.device("cpu"))
    assert "cannot be made (no C compiler was found): networks" in caplog.text


@interpreted
def test_a_cohort_whose_first_cell_has_no_weights_has_kernels(monkeypatch):
    """The processor is known by the weights of any of them."""
    seen = []
    monkeypatch.setattr(fused_cell, "available", lambda where: seen.append(where.type) or True)
    skips = [(*ends, "skip_connect") for ends in fused_cell.EDGES]
    wide = [(*ends, "nor_conv_3x3") for ends in fused_cell.EDGES]
    fused = Fuser([Cell(skips, 16, 16).to("meta"), Cell(wide, 16, 16).to("meta")]).network
    assert fused.kernels is not None
    assert seen == ["meta"]


@interpreted
def test_cells_that_follow_each_other_pass_their_maps_on(small_blocks):
    archs = fused_cells.SPACE.at(np.array([9000, 14321]))
    singles = [skeleton_of(arch) for arch in archs]
    fused = Fuser(copy.deepcopy(singles)).network
    link(fused)
    assert [cell.followed for cell in fused.cells] == [True, False]
    x = torch.randn(2, 6, 4, 4, generator=torch.Generator().manual_seed(0))
    parts = [one(part) for one, part in zip(singles, x.chunk(2, dim=1), strict=True)]
    torch.testing.assert_close(fused(x), torch.cat(parts, dim=1), rtol=1e-4, atol=1e-5)


def skeleton_of(arch):
    edges = fused_cells.SPACE.graph(arch)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return Skeleton(lambda c_in, c_out: Cell(edges, c_in, c_out), [[16, 16]], Classification(3))
