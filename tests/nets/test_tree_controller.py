"""The controller of path-level EAS by the equations of its tree LSTM (Tai et al., 2 to 14)."""

import math

import numpy as np
import pytest
import torch
from differences import check_gradients
from equations import linear, lstm, sigmoid, weights

from nasrun.nets.tree_controller import TreeController, chosen
from nasrun.nets.trees import MERGES, Edge, Node

HIDDEN = 3
CONCAT = MERGES.index("concat2")
BELOW = Node(CONCAT, (Edge(3), Edge(4, Node(MERGES.index("add2"), (Edge(5), Edge(6))))))
TREE = Node(MERGES.index("add3"), (Edge(1), Edge(2, BELOW), Edge(0)))
PLACES = [(), (1,), (1, 0), (1, 1), (1, 1, 0)]


def controller():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return TreeController(7, 7, embedding=4, hidden=HIDDEN, head=5).double()


def upwards(known, node, place, nodes, branches):
    """What nodes and branches say, by place, each after all below it."""
    for at, edge in enumerate(node.branches):
        below = (*place, at)
        upwards(known, edge.node, below, nodes, branches)
        x = known["operation.weight"][edge.op]
        branches[below] = lstm(known, "up_branch", x, nodes[below])
    x = known["merge.weight"][node.merge]
    enter, leave, new = np.split(linear(known, "gates", x), 3)
    memory = np.zeros(HIDDEN)
    for at in range(len(node.branches)):
        slot = 1 + at if node.merge == CONCAT else 0  # a sum's branches have the same weights
        given, kept = branches[*place, at]
        more = np.split(known[f"gates_of.{slot}.weight"] @ given, 3)
        enter, leave, new = enter + more[0], leave + more[1], new + more[2]
        forget = linear(known, "forget", x) + known[f"forget_of.{slot}.weight"] @ given
        memory += sigmoid(forget) * kept
    memory += sigmoid(enter) * np.tanh(new)
    nodes[place] = sigmoid(leave) * np.tanh(memory), memory


def logits(known, place, of_node):
    """What the actor makes of both directions, at a branch or at the node at its end."""
    nodes, branches = {}, {}
    upwards(known, TREE, (), nodes, branches)
    state = lstm(known, "down_node", nodes[()][0], (np.zeros(HIDDEN), np.zeros(HIDDEN)))
    for level in range(len(place)):
        here = place[: level + 1]
        state = lstm(known, "down_branch", branches[here][0], state)
        if here != place or of_node:
            state = lstm(known, "down_node", nodes[here][0], state)
    says = np.concatenate([(nodes if of_node else branches)[place][0], state[0]])
    actor = "merging" if of_node else "replacing"
    return linear(known, f"{actor}.2", np.maximum(linear(known, f"{actor}.0", says), 0.0))


@pytest.mark.parametrize("place", PLACES)
def test_what_a_node_is_to_be_by_hand(place):
    made = controller()
    found = made.merge_logits(TREE, place).detach().numpy()
    np.testing.assert_allclose(found, logits(weights(made), place, True), rtol=1e-9)


@pytest.mark.parametrize("place", PLACES[1:])
def test_what_a_branch_is_to_do_by_hand(place):
    made = controller()
    found = made.operation_logits(TREE, place).detach().numpy()
    np.testing.assert_allclose(found, logits(weights(made), place, False), rtol=1e-9)


@pytest.mark.parametrize("of_node", [True, False])
def test_gradients_are_those_of_differences(of_node):
    made = controller()
    says = made.merge_logits if of_node else made.operation_logits

    def total():
        found = says(TREE, (1, 1))
        return (found * torch.arange(1.0, len(found) + 1.0)).sum()

    check_gradients(total, list(made.parameters()))


def test_an_option_and_its_gradients_by_hand():
    """Of two options p and 1 - p; p' = p (1 - p) by a logit, and H' = -p' log(p / (1 - p))."""
    logits = torch.tensor([0.0, 5.0, math.log(3.0), 9.0], requires_grad=True)
    draws = torch.Generator().manual_seed(0)
    option, log_p, entropy = chosen(logits, torch.tensor([True, False, True]), draws)
    p = [0.25, 0.0, 0.75]
    assert log_p.item() == pytest.approx(math.log(p[option]))
    assert entropy.item() == pytest.approx(-0.25 * math.log(0.25) - 0.75 * math.log(0.75))
    own = [float(at == option) - p[at] for at in range(3)]
    by_log_p = torch.autograd.grad(log_p, logits, retain_graph=True)[0]
    assert by_log_p.tolist() == pytest.approx([*own, 0.0], abs=1e-6)
    slope = 0.25 * 0.75 * math.log(3.0)
    by_entropy = torch.autograd.grad(entropy, logits)[0]
    assert by_entropy.tolist() == pytest.approx([slope, 0.0, -slope, 0.0], abs=1e-6)


def test_options_are_drawn_by_their_probability():
    draws, legal = torch.Generator().manual_seed(0), torch.tensor([True, True, False])
    logits = torch.tensor([math.log(4.0), 0.0, 9.0])
    drawn = np.array([chosen(logits, legal, draws)[0] for _ in range(400)])
    assert abs((drawn == 0).mean() - 0.8) < 0.06
    assert drawn.max() == 1
