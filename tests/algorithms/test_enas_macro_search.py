"""What ENAS's macro search adds: the skips' penalty, restarts, and the space that it needs."""

import math
from types import SimpleNamespace

import pytest
import torch

from nasrun.algorithms.enas_macro import ENASMacroSearch
from nasrun.errors import UnsupportedError
from nasrun.nets.anchor_controller import AnchorController, AnchorsDrawn
from nasrun.spaces.enas_macro import ENASMacro
from nasrun.spaces.nb201 import NB201


def test_the_rate_falls_along_cosines_each_twice_as_long():
    method, found = ENASMacroSearch(half_period=10), []
    for method.progress in (0.0, 5.0, 10.0, 20.0, 30.0, 50.0, 150.0):
        found.append(method.cosine(1.0, 0.0, method.half_period))
    assert found == pytest.approx([1.0, 0.5, 1.0, 0.5, 1.0, 0.5, 1.0])


def test_the_loss_of_the_controller_has_the_distance_from_the_prior():
    """Two networks; by hand: weight x mean distance less the mean of log p x advantage."""
    method = ENASMacroSearch(updates=1, samples=2, entropy=0.0, skip_weight=0.5)
    log_p = torch.nn.Parameter(torch.tensor([-1.0, -2.0]))
    distance = torch.nn.Parameter(torch.tensor([3.0, 5.0]))

    class Policy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.log_p, self.distance = log_p, distance

        def forward(self, count, generator, legal):
            archs = torch.tensor([[0], [1]])
            return AnchorsDrawn(archs, self.log_p * 1.0, torch.zeros(2), self.distance * 1.0)

    method.controller, method.baseline, method.noise = Policy(), torch.tensor(math.nan), None
    method.optimizer_c = torch.optim.SGD(method.controller.parameters(), 1.0)
    space = SimpleNamespace(legal=None)
    method.problem = SimpleNamespace(space=space, task=SimpleNamespace(train_images=10))
    method._reward = lambda arch: [0.2, 0.8][int(arch[0])]
    method.end_epoch()
    assert distance.tolist() == pytest.approx([3.0 - 0.25, 5.0 - 0.25])
    assert log_p.tolist() == pytest.approx([-1.0 - 0.15, -2.0 + 0.15])


def test_the_controller_is_that_of_the_space():
    method = ENASMacroSearch()
    method.problem = SimpleNamespace(space=ENASMacro(layers=5))
    made = method.made_controller()
    assert isinstance(made, AnchorController)
    drawn = made(2, torch.Generator().manual_seed(0), None)
    assert ENASMacro(layers=5).exists(drawn.archs.numpy()).all()
    method.problem = SimpleNamespace(space=NB201())
    with pytest.raises(UnsupportedError, match="set space=enas_macro, or algorithm=enas"):
        method.made_controller()
