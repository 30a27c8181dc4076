from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.autograd import grad
from toys import TASK, Rewarding

from nasrun.algorithms.path_level import PathLevel, _Decisions
from nasrun.errors import ConfigError
from nasrun.experiment import problem_of
from nasrun.hardware.none import NoHardware
from nasrun.nets.tree_controller import TreeController, chosen, edges, replaced
from nasrun.nets.trees import MERGES, OPERATIONS, Edge, Node, opened
from nasrun.spaces.path_tree import PathTree
from nasrun.spec import Phase
from nasrun.streams import Streams

SPACE = PathTree(depth=2)
CONV = OPERATIONS.index("conv_1x1")
SMALL = {"hidden": 16, "head": 16}


def convolutions(archs):
    """The share of three branches that have a 1x1 convolution, in per cent."""
    ops = archs.reshape(len(archs), -1, 4)[:, :, 1:]
    return 100 * (ops == CONV).sum(axis=(1, 2)) / 3


class Noting(Rewarding):
    def __init__(self):
        super().__init__(convolutions)
        self.asked = []

    def evaluate(self, archs, *, epochs, streams, parents=None):
        self.asked.append((archs, parents))
        return super().evaluate(archs, epochs=epochs, streams=streams)


def played(steps, space=SPACE, **settings):
    measuring, streams, algorithm = Noting(), Streams([0]), PathLevel(**SMALL, **settings)
    problem = problem_of(space, TASK, measuring, NoHardware().opened(space, TASK), streams)
    algorithm.start(problem, streams, Phase.SEARCH)
    rewards = [float(algorithm.step().reward[0]) for _ in range(steps)]
    return measuring.asked, rewards


def test_episodes_begin_with_the_first_cell_and_its_weights():
    (first, none), *rest = played(8)[0]
    assert (first == SPACE.first).all()
    assert none is None
    for archs, parents in rest:
        assert (parents == SPACE.first).all()
        assert SPACE.exists(archs).all()
    assert len({archs.tobytes() for archs, _ in rest}) > 4


def test_it_learns_which_operation_is_rewarded():
    _, rewards = played(121, PathTree(depth=1), learning_rate=0.02, entropy=0.0)
    assert np.mean(rewards[-30:]) > np.mean(rewards[1:31]) + 10


def test_elsewhere_decisions_are_branches_by_hand():
    """Options are numbered through, and those that lead nowhere are closed."""
    space = SimpleNamespace(arity=np.array([2, 3, 4]), exists=lambda archs: archs[:, 1] != 2)
    decisions = _Decisions(space, np.array([1, 0, 3]))
    tree = decisions.tree(decisions.first)
    assert MERGES[tree.merge] == "add2"
    assert [edge.op for edge in tree.branches] == [1, 2 + 0, 5 + 3]
    assert decisions.of_tree(tree).tolist() == [1, 0, 3]
    assert decisions.legal(tree, 1).tolist() == [True, True, False]
    assert decisions.legal(decisions.tree(np.array([1, 2, 3])), 1).tolist() == [True] * 3


class Tabular:
    """Logits by place, each a weight of one times a number: gradients are known by hand."""

    def __init__(self, options):
        self.weight, self._options = torch.tensor(1.0, requires_grad=True), options

    def numbers(self, kind, place):
        """``(options,)`` from -1 to 1, others at each place."""
        count = len(MERGES) if kind == "merge" else self._options
        seed = [len(kind), *(1 + at for at in place)]
        return np.random.default_rng(seed).uniform(-1.0, 1.0, count)

    def merge_logits(self, tree, place):
        return self.weight * torch.from_numpy(self.numbers("merge", place))

    def operation_logits(self, tree, place):
        return self.weight * torch.from_numpy(self.numbers("operation", place))


def sums(choices):
    """Log-probability and entropy of ``(numbers, choice)``, and their derivatives by the weight."""
    found = np.zeros(4)
    for numbers, choice in choices:
        q = np.exp(numbers) / np.exp(numbers).sum()
        centred = numbers - q @ numbers
        entropy, slope = -(q @ np.log(q)), -(q * centred) @ np.log(q)
        found += [np.log(q[choice]), entropy, centred[choice], slope]
    return found


def check_sums(algorithm, log_p, entropy, wanted):
    weight = algorithm._controller.weight
    slopes = [grad(total, weight, retain_graph=True)[0].item() for total in (log_p, entropy)]
    assert [log_p.item(), entropy.item(), *slopes] == pytest.approx(wanted.tolist(), rel=1e-5)


def visited(numbers, node, place=()):
    """What was chosen below a node, from the tree that it has become."""
    if len(place) < SPACE.depth:
        yield numbers("merge", place), node.merge
    for at, edge in enumerate(node.branches):
        yield numbers("operation", (*place, at)), edge.op
        yield from visited(numbers, edge.node, (*place, at))


def test_an_episode_adds_up_its_choices_in_a_tree():
    algorithm = PathLevel()
    algorithm.first, algorithm._space = SPACE.first, SPACE
    algorithm._controller = actors = Tabular(len(OPERATIONS))
    algorithm.generator, branches = torch.Generator().manual_seed(0), []
    for _ in range(8):
        arch, log_p, entropy = algorithm.played()
        tree = SPACE.tree(arch)
        check_sums(algorithm, log_p, entropy, sums(visited(actors.numbers, tree)))
        branches += [sum(1 for _ in edges(tree))]
    assert max(branches) >= 4  # some have branches of branches


def test_an_episode_adds_up_its_choices_among_options_that_exist():
    """The second option of the second decision exists only beside the first of the first."""
    space = SimpleNamespace(
        arity=np.array([2, 3, 2]), exists=lambda archs: (archs[:, 0] == 0) | (archs[:, 1] != 1)
    )
    algorithm = PathLevel()
    algorithm.first = np.array([0, 0, 0])
    algorithm._space, algorithm._controller = _Decisions(space, algorithm.first), Tabular(3)
    algorithm.generator, seen = torch.Generator().manual_seed(0), set()
    for _ in range(12):
        arch, log_p, entropy = algorithm.played()
        legal = [[0, 1], [0, 1, 2] if arch[0] == 0 else [0, 2], [0, 1]]
        choices = [
            (algorithm._controller.numbers("operation", (at,))[options], options.index(arch[at]))
            for at, options in enumerate(legal)
        ]
        check_sums(algorithm, log_p, entropy, sums(choices))
        seen.add(int(arch[0]))
    assert seen == {0, 1}


def test_states_tell_branches_and_merges_apart():
    torch.manual_seed(0)
    controller = TreeController(7, 7, hidden=8, head=8)
    joined, added = (opened(MERGES.index(name)) for name in ("concat2", "add2"))
    for tree, same in ((joined, False), (added, True)):
        tree = replaced(tree, (0,), Edge(CONV, joined))
        other = replaced(replaced(tree, (0,), Edge()), (1,), Edge(CONV, joined))
        one, two = controller.merge_logits(tree, ()), controller.merge_logits(other, ())
        assert torch.allclose(one, two) == same  # the order of what is joined matters
        below = controller.operation_logits(tree, (0, 1))
        deeper = replaced(tree, (1,), Edge(CONV))  # is heard of on the way back
        assert torch.allclose(below, controller.operation_logits(tree, (0, 1)))
        assert not torch.allclose(below, controller.operation_logits(deeper, (0, 1)))


def test_choices_by_hand():
    draws = torch.Generator().manual_seed(0)
    logits, legal = torch.tensor([0.0, 5.0, 1.0, 9.0]), torch.tensor([True, False, True])
    p = torch.tensor([1.0, np.e]) / (1 + np.e)
    option, log_p, entropy = chosen(logits, legal, draws)
    assert option in (0, 2)
    assert log_p.exp().item() == pytest.approx(p[option // 2].item())
    assert entropy.item() == pytest.approx(-(p * p.log()).sum().item())
    assert {chosen(logits, legal, draws)[0] for _ in range(40)} == {0, 2}


def test_a_branch_is_replaced_in_its_place():
    tree = Node(1, (Edge(), Edge(2, opened(1))))
    assert replaced(tree, (1, 0), Edge(3)) == Node(1, (Edge(), Edge(2, Node(1, (Edge(3), Edge())))))


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match=r"algorithm\.head must be at least 1"):
        PathLevel(head=0)
