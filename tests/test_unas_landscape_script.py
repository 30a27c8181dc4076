"""scripts/unas_landscape.py: the figures of architectures, by hand."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasrun.errors import DataError
from nasrun.spaces.darts import DARTS, Kind
from nasrun.spaces.nb201 import NB201
from nasrun.spaces.nb301 import OPERATIONS
from nasrun.spec import Scale, Task

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        return importlib.import_module("unas_landscape")


def test_objectives_and_gaps_are_those_of_the_losses(script):
    """Two architectures, two pairs of images; losses are an image times its row's weight."""
    train, valid, y = torch.tensor([1.0, 4.0]), torch.tensor([2.0, 1.0]), torch.zeros(2)
    data = SimpleNamespace(
        training=lambda _: iter([(train, y)] * 3), validating=lambda _: iter([(valid, y)] * 3)
    )
    method = SimpleNamespace(
        data=data, network=SimpleNamespace(train=lambda: None), gap_weight=0.5,
        losses=lambda x, y, rows: x * rows[0][0],
    )  # fmt: skip
    found = script.landscape(method, [torch.tensor([[1.0], [2.0]])])
    wanted = {
        "L_train": 2.5, "L_val": 1.5, "gap by pair": 2.0, "gap of the batch": 1.0,
        "L_gen by pair": 3.5, "L_gen of the batch": 3.0,
    }  # fmt: skip
    assert {name: values.tolist() for name, values in found.items()} == {
        name: [value, 2 * value] for name, value in wanted.items()
    }


def test_batches_are_judged_together(script):
    batches = iter([(torch.ones(2) * n, torch.ones(2) + n) for n in range(3)])
    x, y = script.first(batches, 2)
    assert (x.tolist(), y.tolist()) == ([0, 0, 1, 1], [1, 1, 2, 2])


def test_the_lowest_mean_of_what_was_drawn_is_derived(script):
    archs = np.array([[0, 2], [0, 1], [1, 2], [1, 1]])
    assert script.derived(archs, np.array([5.0, 1.0, 3.0, 2.0]), [2, 3]).tolist() == [1, 1]


def test_operations_without_weights_are_counted(script):
    decisions = [("0", "1"), ("skip_connect", "sep_conv_3x3"), ("max_pool_3x3", "none")]
    archs = np.array([[0, 0, 0], [1, 1, 1], [1, 1, 0]])
    assert script.without_weights(archs, decisions).tolist() == [2, 1, 1]


def test_listed_cells_are_read_with_their_accuracies(script, tmp_path):
    cell = "[(0, 4), (1, 3), (0, 2), (2, 3), (2, 3), (0, 3), (2, 6), (3, 5)]"
    text = f"[{cell}, {cell}]"
    file = tmp_path / "cells.csv"
    file.write_text(f'arch,val_accuracy,plain\n"{text}",93.5,1\n')
    space = DARTS(kind=Kind.factorised, operations=list(reversed(OPERATIONS)))
    archs, worth = script.listed([file], space)
    assert worth.tolist() == [93.5]
    assert "normal=[('sep_conv_5x5', 0), ('sep_conv_3x3', 1)" in space.text(archs[0])
    with pytest.raises(DataError, match=r"needs space\.operations"):
        script.listed([file], DARTS(kind=Kind.factorised, operations=["skip_connect"]))


def test_noise_is_found_that_leads_to_given_architectures(script):
    logits = torch.zeros(2, 3)
    method = SimpleNamespace(
        softened=lambda: list(logits), logits=logits, temperature=0.4,
        noise=torch.Generator().manual_seed(0),
    )  # fmt: skip
    archs = np.array([[0, 2], [1, 1], [2, 0]] * 200)
    drawn = script.drawn_as(method, archs)
    assert [row.argmax(dim=-1).tolist() for row in drawn.hard] == archs.T.tolist()
    highest = torch.stack([row.max(dim=-1).values for row in drawn.soft])
    assert float(highest.std()) > 0.05  # relaxed by noise of its own each
    rank = torch.stack([row.gather(1, at[:, None])[:, 0] for row, at in
                        zip(drawn.soft, torch.from_numpy(archs).T, strict=True)])  # fmt: skip
    assert torch.equal(rank, highest)


@pytest.mark.parametrize(
    "space", [NB201(), DARTS(kind=Kind.factorised, operations=list(OPERATIONS))]
)
def test_poolings_are_normalised(script, space):
    torch.manual_seed(0)
    network = space.supernet(Task("toy", 3, 8, "toy", "toy", 8, 8), Scale(channels=4, cells=3))
    seen: list[Tensor] = []
    script.norm_pools(network)
    pools = [
        module
        for module in network.modules()
        if isinstance(module, nn.Sequential) and isinstance(module[0], nn.AvgPool2d | nn.MaxPool2d)
    ]
    for pool in pools:
        pool.register_forward_hook(lambda _, __, y: seen.append(y.detach()))
    rows = [torch.full((len(row),), 1.0 / len(row)) for row in network.rows]
    network(torch.rand(8, 3, 8, 8) * 9.0, rows)
    assert seen
    for y in seen:
        assert y.mean(dim=(0, 2, 3)).abs().max() < 1e-3
        torch.testing.assert_close(y.var(dim=(0, 2, 3), correction=0), torch.ones(y.shape[1]),
                                   atol=2e-2, rtol=0)  # fmt: skip


def test_a_mean_has_its_t_interval(script):
    assert script.mean_of([1.0, 2.0, 3.0], 2) == "+2.00 ± 2.48"  # 4.303 / sqrt(3)
    assert script.mean_of([0.5], 1) == "+0.5"


def test_overrides_may_stand_behind_a_list_of_numbers(script):
    options, overrides = script.read(["--epochs", "1", "6", "task=cifar10", "scale=small"])
    assert options.epochs == [1, 6]
    assert overrides == ["task=cifar10", "scale=small"]
