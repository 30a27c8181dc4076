import math

import numpy as np
import pytest
import torch
from torch.autograd import grad
from toys import TASK, Rewarding

from nasrun.algorithms.eas import EAS
from nasrun.errors import ConfigError
from nasrun.experiment import problem_of
from nasrun.hardware.none import NoHardware
from nasrun.nets.eas_controller import EASController, Step
from nasrun.spaces.net2net import Net2Net
from nasrun.spec import Phase
from nasrun.streams import Streams

SPACE = Net2Net(blocks=2, depth=3, filters=[16, 32, 48, 64], units=[32, 64])


def width(archs):
    """A share of the widest there is, in per cent."""
    chains = map(SPACE.chain, archs)
    sums = [sum(own.units for block in chain.blocks for own in block) for chain in chains]
    return 100 * np.array(sums) / (6 * 64)


class Noting(Rewarding):
    def __init__(self):
        super().__init__(width)
        self.asked = []

    def evaluate(self, archs, *, epochs, streams, parents=None):
        self.asked.append((archs, parents))
        return super().evaluate(archs, epochs=epochs, streams=streams)


def played(steps, seed=0, **settings):
    measuring, streams, algorithm = Noting(), Streams([seed]), EAS(**settings)
    problem = problem_of(SPACE, TASK, measuring, NoHardware().opened(SPACE, TASK), streams)
    algorithm.start(problem, streams, Phase.SEARCH)
    rewards = [float(algorithm.step().reward[0]) for _ in range(steps)]
    return algorithm, measuring.asked, rewards


def test_episodes_begin_with_the_first_network_and_its_weights():
    _, asked, _ = played(12)
    (first, none), *rest = asked
    assert (first == SPACE.first).all()
    assert none is None
    for archs, parents in rest:
        assert (parents == SPACE.first).all()
        assert SPACE.exists(archs).all()
        assert sum(map(len, SPACE.chain(archs[0]).blocks)) == 6  # two layers, and room for four
    assert len({archs.tobytes() for archs, _ in rest}) > 6


def test_it_learns_to_widen_where_width_is_rewarded():
    *_, rewards = played(121, learning_rate=0.02, wider=1, deeper=1, batch=5)
    assert np.mean(rewards[-30:]) > np.mean(rewards[1:31]) + 3


def test_what_is_maximised_is_a_tangent_and_the_baseline_follows_the_newest():
    algorithm, *_ = played(1, batch=2)
    assert algorithm.worth(50.0) == pytest.approx(1.0)
    assert algorithm.worth(100.0) == pytest.approx(math.tan(0.999 * math.pi / 2))
    *_, rewards = played(5, batch=2)
    algorithm, *_ = played(5, batch=2)
    worth = [algorithm.worth(reward) for reward in rewards]
    first, second = (worth[1] + worth[2]) / 2, (worth[3] + worth[4]) / 2
    assert algorithm._baseline == pytest.approx(0.05 * first + 0.95 * second)


def test_a_batch_of_episodes_moves_along_its_advantages_and_its_entropy():
    algorithm = EAS(entropy=0.1, renewal=0.75, learning_rate=0.5)
    weight = torch.tensor([1.0, 2.0], requires_grad=True)
    algorithm._optimizer = torch.optim.SGD([weight], 0.5)
    algorithm._baseline = 2.0
    log_p, entropy = weight * torch.tensor([3.0, -1.0]), weight * torch.tensor([2.0, 6.0])
    algorithm._gains = [(log_p[at], entropy[at], reward) for at, reward in enumerate((4.0, 8.0))]
    algorithm._learn()
    assert algorithm._baseline == 2.0 + 0.75 * (6.0 - 2.0)
    gain = torch.tensor([3.0 * (4 - 5) + 0.1 * 2.0, -1.0 * (8 - 5) + 0.1 * 6.0]) / 2
    torch.testing.assert_close(weight.detach(), torch.tensor([1.0, 2.0]) + 0.5 * gain)
    assert algorithm._gains == []


class Scripted:
    """Actors that do as they are told; what they see is noted, and gives a weight its factors."""

    def __init__(self, *choices):
        self.weight, self.seen = torch.tensor(1.0, requires_grad=True), []
        self._choices = iter(choices)
        self._numbers = iter([2.0, 11.0, 3.0, 13.0, 5.0, 17.0, 7.0, 19.0])

    def widen(self, tokens, can, generator):
        self.seen.append((tokens.tolist(), can.tolist()))
        log_p, entropy = (self.weight * next(self._numbers) for _ in range(2))
        return Step(next(self._choices), log_p, entropy)

    deepen = widen


def test_an_episode_adds_up_what_each_step_makes_of_what_the_one_before_left():
    first, *rest = map(
        SPACE.parse,
        (
            "[C(3,16), C(5,64)] [C(5,48)] [FC(32)]",
            "[C(3,32), C(5,64)] [C(5,48)] [FC(64)]",
            "[C(3,32), C(5,64)] [C(5,64)] [FC(64)]",
            "[C(3,32), C(1,32), C(5,64)] [C(5,64)] [FC(64)]",
            "[C(3,32), C(1,32), C(5,64)] [C(5,64)] [FC(64), FC(64)]",
        ),
    )
    algorithm = EAS(wider=2, deeper=2)
    algorithm.first, algorithm._space, algorithm.generator = first, SPACE, None
    algorithm._controller = actors = Scripted(
        [True, False, False, False, True], [False, False, False, True, False], [0, 0, 0], [2, 0, 0]
    )
    arch, log_p, entropy = algorithm.played()
    assert SPACE.text(arch) == SPACE.text(rest[-1])
    see = [SPACE.can_widen, SPACE.can_widen, SPACE.can_deepen, SPACE.can_deepen]
    befores = [first, *rest[:3]]
    wanted = [
        (SPACE.tokens(arch).tolist(), can(arch).tolist())
        for can, arch in zip(see, befores, strict=True)
    ]
    assert actors.seen == wanted
    assert log_p.item() == 2.0 + 3.0 + 5.0 + 7.0
    assert entropy.item() == 11.0 + 13.0 + 17.0 + 19.0
    slopes = [grad(total, actors.weight, retain_graph=True)[0] for total in (log_p, entropy)]
    assert [slope.item() for slope in slopes] == [17.0, 60.0]


def test_drawn_choices_have_the_probability_that_they_are_judged_by():
    torch.manual_seed(0)
    controller, draws = EASController(9, (2, 3, 2)), torch.Generator().manual_seed(1)
    tokens, can = torch.tensor([1, 8, 4]), torch.tensor([True, False, True])
    drawn = controller.widen(tokens, can, draws)
    assert not drawn.choices[1]
    ways = [[a, False, b] for a in (False, True) for b in (False, True)]
    judged = [controller.widen(tokens, can, None, way).log_p.exp().item() for way in ways]
    assert sum(judged) == pytest.approx(1.0, rel=1e-5)
    assert drawn.log_p.exp().item() == pytest.approx(judged[ways.index(drawn.choices)])
    entropy = -sum(p * math.log(p) for p in judged)
    assert drawn.entropy.item() == pytest.approx(entropy, rel=1e-5)
    legal = torch.tensor([[[1, 1], [0, 1], [0, 0]], [[0, 0], [0, 0], [1, 0]]], dtype=torch.bool)
    drawn = controller.deepen(tokens, legal, draws)
    ways = legal.nonzero().tolist()
    judged = [controller.deepen(tokens, legal, None, way).log_p.exp().item() for way in ways]
    assert sum(judged) == pytest.approx(1.0, rel=1e-5)
    assert drawn.log_p.exp().item() == pytest.approx(judged[ways.index(drawn.choices)])


def test_layers_that_a_skip_joins_get_wider_together():
    arch = SPACE.parse("[C(3,16), C(1,16)+] [C(5,64)] [FC(32)]")
    assert SPACE.can_widen(arch).tolist() == [True, True, False, False, True]
    wider = SPACE.widened(arch, np.array([False, True, False, False, True]))
    assert SPACE.text(wider) == "[C(3,32), C(1,32)+] [C(5,64)] [FC(64)]"
    assert len(np.unique(SPACE.tokens(arch))) == 5
    assert SPACE.tokens(arch).max() < SPACE.vocabulary
    deeper = SPACE.deepened(arch, 2, 0, 0)
    assert SPACE.text(deeper) == "[C(3,16), C(1,16)+] [C(5,64)] [FC(32), FC(32)]"


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match=r"algorithm\.renewal"):
        EAS(renewal=0.0)
