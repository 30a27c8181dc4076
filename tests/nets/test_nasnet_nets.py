"""Networks of the NASNet family's cells."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nasrun.nets import nasnet
from nasrun.nets.block_cells import OPERATIONS, Block
from nasrun.nets.classification import Classification
from nasrun.nets.nasnet import BlockCell, NASNetwork
from nasrun.nets.nasnet_operations import block_operation

NAMES = ["skip_connect", "avg_pool_3x3", "max_pool_5x5"]


def cell(blocks, **settings):
    sizes = {"widths": (4, 4, 4), "halves": False, "halved_before": False, **settings}
    made = BlockCell(blocks, NAMES, ["add", "concat"], **sizes).eval()
    made.first, made.second = nn.Identity(), nn.Identity()
    return made


def test_a_cell_computed_by_hand():
    """The first block is read, the second concatenates, the third reads neither."""
    blocks = [Block(((0, 0), (1, 1))), Block(((2, 2), (0, 1)), 1), Block(((1, 0), (1, 0)))]
    before, last = torch.randn(2, 2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    first = before + F.avg_pool2d(last, 3, 1, 1, count_include_pad=False)
    second = torch.cat([F.max_pool2d(first, 5, 1, 2), last], dim=1)
    third = 2 * F.avg_pool2d(before, 3, 1, 1, count_include_pad=False)
    made = cell(blocks)
    torch.testing.assert_close(made(before, last, 0.0), torch.cat([second, third], dim=1))
    assert made.width == 12


def test_only_what_reads_an_input_has_a_stride():
    blocks = [Block(((1, 0), (2, 1))), Block(((1, 2), (1, 0)))]
    before, last = torch.randn(2, 2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    first = F.avg_pool2d(before, 3, 2, 1, count_include_pad=False) + F.max_pool2d(last, 5, 2, 2)
    pooled = F.avg_pool2d(first, 3, 1, 1, count_include_pad=False)
    expected = pooled + F.avg_pool2d(before, 3, 2, 1, count_include_pad=False)
    torch.testing.assert_close(cell(blocks, halves=True)(before, last, 0.0), expected)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_fit_channels_and_halve(name, stride):
    x = torch.randn(2, 6, 9, 9)
    out = block_operation(name, 6, 4, stride)(x)
    assert out.shape == (2, 4, -(-9 // stride), -(-9 // stride))


def test_an_identity_at_stride_2_reads_every_other_pixel():
    made = block_operation("skip_connect", 8, 8, 2).eval()
    x = torch.randn(1, 8, 5, 5)
    [convolution] = [part for part in made.modules() if isinstance(part, nn.Conv2d)]
    expected = F.conv2d(F.relu(x), convolution.weight, stride=2)
    torch.testing.assert_close(made(x), expected / (1 + 1e-5) ** 0.5)


def test_later_cells_drop_more_paths(monkeypatch):
    """ScheduledDropPath; identities drop nothing, nor does a network that is judged."""
    rates = []
    monkeypatch.setattr(nasnet, "drop_path", lambda x, rate: rates.append(rate) or x)
    blocks = [Block(((0, 0), (1, 1)))]
    network = NASNetwork(blocks, blocks, NAMES, ["add"], 2, 1, Classification(3), auxiliary=False)
    network.drop_path = 0.5
    x = torch.randn(2, 3, 8, 8)
    network(x)
    # Reading an input, the second and the fourth cell's identities have a stride; still none drops.
    assert rates == pytest.approx([0.5 * (number + 1) / 5 for number in range(5)])
    network.eval()(x)
    assert len(rates) == 5
