import numpy as np
import pytest
from toys import TASK, Rewarding

from nasrun.algorithms.nash import NASH
from nasrun.errors import ConfigError
from nasrun.experiment import problem_of
from nasrun.hardware.none import NoHardware
from nasrun.spaces.net2net import Net2Net
from nasrun.spec import Phase
from nasrun.streams import Streams

SPACE = Net2Net(blocks=2, depth=3, filters=[16, 32, 48, 64])


def width(archs):
    return np.array(
        [sum(at.units for own in SPACE.chain(arch).blocks for at in own) for arch in archs]
    )


class Widths(Rewarding):
    """The score is the sum of filters; what networks began with is noted."""

    def __init__(self):
        super().__init__(width)
        self.asked = []

    def evaluate(self, archs, *, epochs, streams, parents=None):
        self.asked.append((archs, parents))
        return super().evaluate(archs, epochs=epochs, streams=streams)


def played(steps, children=4, seeds=(1, 2, 3)):
    measuring, streams, algorithm = Widths(), Streams(seeds), NASH(children=children, morphisms=2)
    device = NoHardware().opened(SPACE, TASK)
    algorithm.start(problem_of(SPACE, TASK, measuring, device, streams), streams, Phase.SEARCH)
    for _ in range(steps):
        algorithm.step()
    return algorithm, measuring.asked


def test_the_best_child_is_the_next_parent_and_is_trained_on_last():
    _, asked = played(1 + 3 * 4)
    (first, none), *rest = asked
    assert none is None
    assert (first == SPACE.first).all()
    parents = first
    for generation in range(3):
        own = rest[4 * generation : 4 * generation + 4]
        for archs, said in own:
            assert (said == parents).all()
            assert SPACE.exists(archs).all()
        assert (own[-1][0] == parents).all()
        assert all((archs != parents).any(axis=1).all() for archs, _ in own[:-1])
        scores = np.stack([width(archs) for archs, _ in own])
        parents = np.stack([own[best][0][at] for at, best in enumerate(scores.argmax(axis=0))])


def test_it_climbs_to_networks_that_cannot_grow():
    algorithm, _ = played(1 + 40 * 4, seeds=(1,))
    assert width(algorithm.recommend()).tolist() == [6 * 64]
    algorithm.step()  # children of what cannot grow are itself


def test_too_few_children_are_refused():
    with pytest.raises(ConfigError, match=r"algorithm\.children must be at least 2"):
        NASH(children=1)
