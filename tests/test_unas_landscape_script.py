"""scripts/unas_landscape.py: the figures of architectures, by hand."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        return importlib.import_module("unas_landscape")


def test_objectives_and_gaps_are_those_of_the_losses(script):
    """Two architectures, two pairs of images; losses are an image times its row's weight."""
    train, valid = torch.tensor([1.0, 4.0]), torch.tensor([2.0, 1.0])
    data = SimpleNamespace(
        training=lambda _: iter([(train, None)]), validating=lambda _: iter([(valid, None)])
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


def test_the_lowest_mean_of_what_was_drawn_is_derived(script):
    archs = np.array([[0, 2], [0, 1], [1, 2], [1, 1]])
    assert script.derived(archs, np.array([5.0, 1.0, 3.0, 2.0]), [2, 3]).tolist() == [1, 1]


def test_operations_without_weights_are_counted(script):
    decisions = [("0", "1"), ("skip_connect", "sep_conv_3x3"), ("max_pool_3x3", "none")]
    archs = np.array([[0, 0, 0], [1, 1, 1], [1, 1, 0]])
    assert script.without_weights(archs, decisions).tolist() == [2, 1, 1]
