from itertools import islice

import numpy as np
import torch

from nasrun.algorithms.reduction import Reduction
from nasrun.algorithms.shared_data import SharedData
from nasrun.images import Images, SearchImages


def masked(n):
    return Images(np.zeros((n, 3, 8, 8), np.uint8), np.ones((n, 8, 8), np.int64))


def test_a_picture_that_joins_a_batch_leaves_steps_and_validation_batches_right(monkeypatch):
    """5 pictures with masks in batches of 4 are one batch of 5."""
    images = SearchImages(masked(5), masked(5), (0.0,) * 3, (1.0,) * 3, True, {})
    data = SharedData(images, Reduction(), 4, torch.device("cpu"), True, 0)
    assert data.steps == len(list(data.training(0))) == 1
    turns, epoch = iter(range(3)), data._valid.epoch
    # A fourth turn would end in an error, so that a search for whole batches is not endless.
    monkeypatch.setattr(data._valid, "epoch", lambda *given: (next(turns), epoch(*given))[1])
    assert [len(y) for _, y in islice(data.validating(0), 3)] == [5, 5, 5]
