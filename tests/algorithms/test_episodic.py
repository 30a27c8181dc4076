"""What EAS and path-level share: a controller of one weight whose lessons are computed by hand."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from toys import TASK, Rewarding, ToySpace

from nasrun.algorithms.episodic import Episodic
from nasrun.experiment import problem_of
from nasrun.hardware.none import NoHardware
from nasrun.spec import Phase
from nasrun.streams import Streams

WORTH = (100.0, 1.0, math.nan, 3.0, 5.0, 9.0)  # of the first network, and of each episode's
LOG_P = (math.nan, 2.0, 50.0, -1.0, 4.0, 1.0, 0.0)  # a weight's factors; the first is not drawn
ENTROPY = (math.nan, 3.0, 70.0, 5.0, 7.0, 10.0, 0.0)
SPACE = ToySpace((8, 2))


@dataclass
class Numbered(Episodic):
    """The episode's number is its architecture."""

    name: str = "numbered"

    def prepare(self, problem, streams):
        self.episode = 0
        return np.array([0, 0])

    def make(self):
        self.made = nn.Linear(1, 1, bias=False)
        return self.made

    def played(self):
        self.episode += 1
        weight = self.made.weight[0, 0]
        arch = np.array([self.episode, 0])
        return arch, weight * LOG_P[self.episode], weight * ENTROPY[self.episode]


def accuracy(archs):
    """Hundredths whose tangent is the worth of an architecture."""
    return [200.0 / math.pi * math.atan(WORTH[arch[0]]) for arch in archs]


def started(**settings):
    algorithm, streams = Numbered(**settings), Streams([0])
    device = NoHardware().opened(SPACE, TASK)
    problem = problem_of(SPACE, TASK, Rewarding(accuracy), device, streams)
    algorithm.start(problem, streams, Phase.SEARCH)
    return algorithm


def test_a_batch_of_measured_episodes_teaches_and_is_forgotten():
    """The first network and the failed second episode teach nothing.

    Of worths 1 and 3 the baseline is 2. Of 5 and 9 it is 2 + 0.75 (7 - 2) = 5.75.
    """
    algorithm = started(batch=2, entropy=0.1, renewal=0.75)
    weight = algorithm.made.weight
    weight.data.fill_(1.0)
    algorithm._optimizer = torch.optim.SGD([weight], 0.5)
    learnt = []
    for _ in range(6):
        algorithm.step()
        learnt.append(float(weight.detach()))
    first = (2.0 * (1.0 - 2.0) - 1.0 * (3.0 - 2.0)) / 2.0 + 0.1 * (3.0 + 5.0) / 2.0
    second = (4.0 * (5.0 - 5.75) + 1.0 * (9.0 - 5.75)) / 2.0 + 0.1 * (7.0 + 10.0) / 2.0
    after = 1.0 + 0.5 * first
    assert learnt == pytest.approx([1.0, 1.0, 1.0, after, after, after + 0.5 * second])
    assert algorithm._baseline == pytest.approx(5.75)


def test_the_controllers_optimiser_is_adam_at_the_given_rate():
    algorithm = started(learning_rate=0.25)
    [group] = algorithm._optimizer.param_groups
    assert isinstance(algorithm._optimizer, torch.optim.Adam)
    assert group["params"] == [algorithm.made.weight]
    assert group["lr"] == 0.25


def test_what_is_maximised_is_a_tangent_with_an_end_on_either_side():
    worth = Numbered().worth
    end = math.tan(0.999 * math.pi / 2.0)
    wanted = [-end, -1.0, 0.0, math.tan(math.pi / 8.0), 1.0, end]
    found = [worth(reward) for reward in (-500.0, -50.0, 0.0, 25.0, 50.0, 100.0)]
    assert found == pytest.approx(wanted)
