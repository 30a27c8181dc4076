"""The controller of EAS by the equations of its LSTMs, and what it draws by its probabilities."""

import numpy as np
import pytest
import torch
from differences import check_gradients
from equations import linear, lstm, sigmoid, softmax, weights
from torch import nn

from nasrun.nets.eas_controller import EASController

TOKENS = torch.tensor([1, 8, 4, 4])
CAN = torch.tensor([True, False, True, True])
WIDER = [True, False, False, True]
LEGAL = np.ones((2, 3, 2), bool)  # of three blocks that there can be
LEGAL[1, 1], LEGAL[1, 2, 0] = False, False
NEW = [1, 0, 1]


def controller():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        made = EASController(9, (3, 3, 2), embedding=4, hidden=3).double()
        nn.init.normal_(made.start)
    return made


def encoded(known):
    """``(n, 2 * hidden)`` what both directions say of each layer; what they end with."""
    layers, says, ends = known["embedding.weight"][TOKENS.numpy()], [], []
    for suffix, order in (("_l0", [0, 1, 2, 3]), ("_l0_reverse", [3, 2, 1, 0])):
        state, said = (np.zeros(3), np.zeros(3)), np.zeros((4, 3))
        for at in order:
            state = lstm(known, "encoder", layers[at], state, suffix)
            said[at] = state[0]
        says.append(said)
        ends.append(state)
    return np.concatenate(says, axis=1), [
        np.concatenate(parts) for parts in zip(*ends, strict=True)
    ]


def test_which_layers_get_wider_by_hand():
    """The second layer has no choice, and counts neither way."""
    made = controller()
    known = weights(made)
    p = sigmoid(np.array([linear(known, "wider", said)[0] for said in encoded(known)[0]]))
    step = made.widen(TOKENS, CAN, None, WIDER)
    assert step.log_p.item() == pytest.approx(np.log(p[0] * (1.0 - p[2]) * p[3]), rel=1e-9)
    q = p[[0, 2, 3]]
    entropy = -(q * np.log(q) + (1.0 - q) * np.log(1.0 - q)).sum()
    assert step.entropy.item() == pytest.approx(entropy, rel=1e-9)


def test_where_a_layer_is_added_by_hand():
    """Block, layer and kernel; each choice is what the decoder reads next."""
    made = controller()
    known = weights(made)
    state, x, log_p, entropy = encoded(known)[1], known["start"][0], 0.0, 0.0
    for at, open_ in enumerate(([True, True], [True, False, True], [True, True])):
        state = lstm(known, "decoder", x, state)
        p = softmax(linear(known, f"heads.{at}", state[0])[: len(open_)][open_])
        log_p += np.log(p[NEW[at] - (NEW[at] > 1)])
        entropy -= (p * np.log(p)).sum()
        x = known[f"chosen.{at}.weight"][NEW[at]]
    step = made.deepen(TOKENS, torch.from_numpy(LEGAL), None, NEW)
    assert step.log_p.item() == pytest.approx(log_p, rel=1e-9)
    assert step.entropy.item() == pytest.approx(entropy, rel=1e-9)


@pytest.mark.parametrize("what", ["log_p", "entropy"])
@pytest.mark.parametrize("actor", ["wider", "deeper"])
def test_gradients_are_those_of_differences(actor, what):
    made = controller()

    def total():
        if actor == "wider":
            return getattr(made.widen(TOKENS, CAN, None, WIDER), what)
        return getattr(made.deepen(TOKENS, torch.from_numpy(LEGAL), None, NEW), what)

    check_gradients(total, list(made.parameters()))


def test_layers_get_wider_by_their_probability():
    made, draws = controller(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        made.wider.weight.zero_()
        made.wider.bias.fill_(np.log(4.0))  # four to one
    drawn = np.array([made.widen(TOKENS, CAN, draws).choices for _ in range(300)])
    assert not drawn[:, 1].any()
    np.testing.assert_allclose(drawn[:, [0, 2, 3]].mean(axis=0), 0.8, atol=0.07)


def test_a_layer_is_added_by_its_probability():
    made, draws = controller(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for head in made.heads:
            head.weight.zero_()
            head.bias.copy_(torch.tensor([4.0, 1.0, 1.0][: len(head.bias)]).log())
    drawn = [made.deepen(TOKENS, torch.from_numpy(LEGAL), draws).choices for _ in range(400)]
    blocks = np.array([block for block, *_ in drawn])
    assert abs((blocks == 0).mean() - 0.8) < 0.06
    layers = np.array([layer for block, layer, _ in drawn if block == 0])
    assert abs((layers == 0).mean() - 4.0 / 6.0) < 0.08
    assert all(LEGAL[*choices] for choices in drawn)
