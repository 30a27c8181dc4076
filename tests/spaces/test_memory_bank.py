import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.nets.memory_bank import run_block
from nasrun.nets.memory_banks import Operation
from nasrun.spaces.memory_bank import MemoryBank
from nasrun.spec import Scale, Task
from nasrun.streams import Streams

SPACE = MemoryBank()
TASK = Task("toy", 4, 8, "toy-valid", "toy", 50, 100)
X = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def operations(*banks):
    return [Operation(1, 3, 1, reads, writes) for reads, writes in banks]


class Layers(nn.Module):
    """A 3x3 convolution for each operation, which has no more to it."""

    def __init__(self, own, channels=5):
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(len(o.reads) * channels, len(o.writes) * channels, 3, padding=1) for o in own
        )

    def forward(self, at, x):
        return F.relu(self.convs[at](x))


def test_residual_dense_and_plain_networks_are_ways_to_use_banks():
    """As in the paper's Figure 2: hand-made modules give the same."""
    x = torch.randn(2, 5, 4, 4)
    zeros = torch.zeros_like(x)

    def banked(own, layers):
        return torch.stack(run_block(x, 3, own, layers).chunk(3, dim=1))

    own = operations(((0,), (0,)), ((0,), (0,)))  # residual: what is read is added to
    layers = Layers(own)
    y = x + layers(0, x)
    torch.testing.assert_close(banked(own, layers), torch.stack([y + layers(1, y), zeros, zeros]))
    own = operations(((0,), (1,)), ((0, 1), (2,)))  # dense: all that was written is read
    layers = Layers(own)
    y = layers(0, x)
    z = layers(1, torch.cat([x, y], dim=1))
    torch.testing.assert_close(banked(own, layers), torch.stack([x, y, z]))
    own = operations(((0,), (1,)), ((1,), (2,)))  # plain: the last alone is read
    layers = Layers(own)
    y = layers(0, x)
    torch.testing.assert_close(banked(own, layers), torch.stack([x, y, layers(1, y)]))


def test_rules_of_reading_and_writing():
    good = ["op(0, 1, 3, 1, 0)", "op(0, 1, 3, 1, 1)", "op(0, 1, 3, 1, 0+1+2), op(0+2, 4, 7, 2, 3)"]
    bad = [
        "op(1, 1, 3, 1, 0)", "op(0, 1, 3, 1, 2)", "op(0, 1, 3, 1, 0), op(1, 1, 3, 1, 0)",
        "op(0, 1, 4, 1, 0)", "op(0, 3, 3, 1, 0)", "op(1+0, 1, 3, 1, 0)", "op(, 1, 3, 1, 0)",
    ]  # fmt: skip
    for block in good:
        arch = SPACE.parse(f"[] [{block}] []")
        assert SPACE.text(arch) == f"[] [{block}] []"
    for block in bad:
        with pytest.raises(ConfigError, match="at character"):
            SPACE.parse(f"[] [{block}] []")


def test_samples_obey_the_rules():
    for arch in SPACE.sample(Streams(range(50))):
        for block in SPACE.operations(arch):
            filled = {0}
            for operation in block:
                assert operation.reads
                assert set(operation.reads) <= filled
                filled |= set(operation.writes)
                assert operation.writes
                assert filled == set(range(len(filled)))
        assert (SPACE.of_operations(SPACE.operations(arch)) == arch).all()


def rows(arch):
    return [
        torch.eye(len(options))[option]
        for options, option in zip(SPACE.decisions, arch, strict=True)
    ]


def test_networks_of_both_kinds_have_the_right_shapes():
    shared = SPACE.supernet(TASK, Scale(4))
    for arch in SPACE.sample(Streams(range(8))):
        assert SPACE.build(arch, TASK, Scale(4))(X).shape == (6, 4)
        assert shared(X, rows(arch)).shape == (6, 4)
    for arch in SPACE.sample(Streams(range(200)))[::10]:
        for number, block in enumerate(SPACE.operations(arch)):
            for slot, own in enumerate(block):
                weight = shared.hyper(number, slot, own)
                assert weight.shape == (4 * own.units, 4 * len(own.reads), 1, 1)
                norms = weight.flatten(1).norm(dim=1)
                torch.testing.assert_close(norms, torch.ones_like(norms))


def test_written_weights_depend_on_the_operation_and_learn():
    torch.manual_seed(0)
    shared = SPACE.supernet(TASK, Scale(4))
    one, other = operations(((0,), (0,)), ((0,), (1,)))
    assert not torch.allclose(shared.hyper(0, 0, one), shared.hyper(0, 0, other))
    arch = SPACE.parse("[op(0, 2, 5, 2, 0+1), op(0+1, 1, 3, 1, 2)] [] []")
    labels, optimiser = torch.arange(6) % 4, torch.optim.Adam(shared.parameters(), 3e-3)
    losses = []
    for _ in range(15):
        loss = F.cross_entropy(shared(X, rows(arch)), labels)
        optimiser.zero_grad()
        loss.backward()
        assert shared.hyper.layers[0].weight.grad.abs().sum() > 0
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_mixtures_cells_and_bypasses_are_refused():
    shared = SPACE.supernet(TASK, Scale(4))
    mixed = [torch.full((len(options),), 0.5) for options in SPACE.decisions]
    with pytest.raises(UnsupportedError, match="one architecture at a time"):
        shared(X, mixed)
    with pytest.raises(UnsupportedError, match="leave cells at null"):
        SPACE.supernet(TASK, Scale(cells=1))
    with pytest.raises(UnsupportedError, match="no operations to bypass"):
        SPACE.supernet(TASK, Scale(), share=4)


def test_a_drawing_shows_banks_as_they_are_written():
    edges = SPACE.graph(SPACE.parse("[op(0, 1, 3, 1, 0+1)] [] []"))
    assert ("0:0", "3x3 1", "read") in edges
    assert ("0:0", "0:0 (1)", "keep") in edges
    assert ("3x3 1", "0:1 (1)", "write") in edges
    assert ("0:1 (1)", "1:0", "transition") in edges


@pytest.mark.parametrize(
    "wrong", [{"units": [2, 1]}, {"kernels": [2]}, {"banks": 0}, {"dilations": []}], ids=str
)
def test_bad_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match=rf"space\.{next(iter(wrong))}"):
        MemoryBank(**wrong)


def test_the_first_encoding_is_a_network():
    assert SPACE.exists(np.zeros((1, len(SPACE.decisions)), np.int64))[0]
