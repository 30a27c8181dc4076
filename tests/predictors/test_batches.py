import numpy as np
import torch

from nasrun.predictors.batches import filled, glorot, taken, with_records
from nasrun.predictors.graph_layers import Linear
from nasrun.streams import Streams

SEEDS = [3, 5]


def test_first_weights_are_uniform_after_glorot():
    parts = glorot(Streams(SEEDS), 3, [6, 50, 1])
    assert [part.shape for part in parts] == [
        (2, 3, 8, 52),
        (2, 3, 1, 52),
        (2, 3, 52, 4),
        (2, 3, 1, 4),
    ]
    for part, (fan_in, fan_out) in zip(parts[::2], [(6, 50), (50, 1)], strict=True):
        real, limit = part[:, :, :fan_in, :fan_out], np.sqrt(6.0 / (fan_in + fan_out))
        assert real.abs().max() <= limit
        assert real.min() < -0.9 * limit
        assert real.max() > 0.9 * limit
        assert part.count_nonzero() == real.numel()  # surplus ones are zero
    assert not any(bias.any() for bias in parts[1::2])


def test_first_weights_of_a_linear_layer_are_those_of_pytorch():
    for limit, own in (
        (1 / 5, Linear(25, 30, Streams(SEEDS))),
        (0.3, Linear(25, 30, Streams(SEEDS), limit=0.3)),
    ):
        real = own.weight[:2, :25, :30]
        assert own.weight.shape == (4, 28, 32)  # two trials fill up, as do widths
        for part in (real, own.bias[:2, :, :30]):
            assert part.abs().max() <= limit
            assert part.min() < -0.8 * limit
            assert part.max() > 0.8 * limit
        # Each row and column has draws of its own.
        assert len(real.unique()) > 0.99 * real.numel()
        assert own.weight.count_nonzero() == 4 * 25 * 30


def test_rows_and_columns_of_zeros_fill_up_lines():
    features = np.arange(1.0, 31.0).reshape(1, 6, 5)
    found = with_records(features)
    assert found.shape == (1, 8, 8)
    np.testing.assert_array_equal(found[:, :6, :5], features)
    assert found.count_nonzero() == 30


def test_records_of_weight_zero_follow_up_to_whole_lines():
    weight = torch.tensor([[1.0, 1, 0, 1], [1, 1, 1, 1]])
    rows = torch.tensor([[2, 3], [1, 0]])
    kept, part = taken(rows, weight, torch.arange(8.0).view(2, 4))
    assert kept.tolist() == [[0, 1, 0, 0], [1, 1, 0, 0]]
    assert part[:, :2].tolist() == [[2, 3], [5, 4]]
    assert filled(part).tolist() == [*part.tolist(), *[part[0].tolist()] * 2]
