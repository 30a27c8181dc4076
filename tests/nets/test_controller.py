import numpy as np
import pytest
import torch
from differences import check_gradients
from toys import ToySpace

from nasrun.nets.controller import Controller, policy_of
from nasrun.spec import Anchors

ARITY = (2, 5, 3)


def all_legal(prefix):
    return np.ones((len(prefix), ARITY[prefix.shape[1]]), bool)


def ascending(prefix):
    """No option is below the one before it, and none is above 2."""
    options, least = np.arange(ARITY[prefix.shape[1]]), prefix.max(axis=1, initial=0)
    return (options >= least[:, None]) & (options <= 2)


def ones(prefix):
    return all_legal(prefix) & (np.arange(ARITY[prefix.shape[1]]) == 1)


def controller():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return Controller(ARITY, 8, 2.5, 5.0)


def test_architectures_have_options_that_exist():
    drawn = controller()(500, torch.Generator().manual_seed(0), all_legal)
    assert drawn.archs.shape == (500, 3)
    assert (drawn.archs.amax(0) == torch.tensor(ARITY) - 1).all()
    assert (drawn.archs >= 0).all()


def test_probabilities_of_all_architectures_sum_to_one():
    drawn = controller()(3000, torch.Generator().manual_seed(1), all_legal)
    archs, first = {}, drawn.log_p.exp()
    for arch, p in zip(drawn.archs.tolist(), first.tolist(), strict=True):
        archs[tuple(arch)] = p
    assert len(archs) == 30  # all of them
    assert abs(sum(archs.values()) - 1.0) < 1e-4


def test_a_rewarded_option_becomes_likelier():
    policy, generator = controller(), torch.Generator().manual_seed(2)
    optimizer = torch.optim.Adam(policy.parameters(), 0.01)
    for _ in range(60):
        drawn = policy(20, generator, all_legal)
        reward = (drawn.archs[:, 1] == 3).float()
        optimizer.zero_grad()
        (-(drawn.log_p * (reward - reward.mean())).mean()).backward()
        optimizer.step()
    share = (policy(500, generator, all_legal).archs[:, 1] == 3).float().mean()
    assert share > 0.5, share


def test_options_that_are_not_legal_have_no_probability():
    """All that ascend are drawn, and nothing else has a chance."""
    policy = controller()
    legal = [(a, b, c) for a in range(2) for b in range(a, 3) for c in range(b, 3)]
    drawn = policy(4000, torch.Generator().manual_seed(3), ascending)
    chances = {
        tuple(a): p for a, p in zip(drawn.archs.tolist(), drawn.log_p.exp().tolist(), strict=True)
    }
    assert sorted(chances) == legal
    assert abs(sum(chances.values()) - 1.0) < 1e-4
    assert torch.isfinite(drawn.entropy).all()
    (drawn.log_p + drawn.entropy).sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in policy.parameters())


def test_no_choice_has_no_entropy():
    drawn = controller()(4000, torch.Generator().manual_seed(3), ones)
    assert (drawn.archs == 1).all()
    torch.testing.assert_close(drawn.log_p, torch.zeros(4000))
    torch.testing.assert_close(drawn.entropy, torch.zeros(4000))


def test_log_probabilities_entropies_and_gradients_by_hand():
    """A head of biases alone: every decision has the softmax of 2.5 tanh(bias / 5)."""
    policy = controller()
    with torch.no_grad():
        policy.head.weight.zero_()
        policy.head.bias.copy_(bias := torch.tensor([0.5, -1.0, 2.0, 7.0, -3.0]))
    drawn = policy(6, torch.Generator().manual_seed(3), all_legal)
    logits = 2.5 * torch.tanh(bias / 5.0)
    rows = [torch.softmax(logits[:n], dim=0) for n in ARITY]
    log_p = sum(row.log()[options] for row, options in zip(rows, drawn.archs.T, strict=True))
    torch.testing.assert_close(drawn.log_p, log_p)
    entropy = sum(-(row * row.log()).sum() for row in rows)
    torch.testing.assert_close(drawn.entropy, entropy.expand(6))
    bias_of_head = policy.head.bias
    (found,) = torch.autograd.grad(drawn.log_p.sum(), bias_of_head, retain_graph=True)
    inner = 2.5 * (1 - torch.tanh(bias / 5.0) ** 2) / 5.0
    wanted = torch.zeros(5)
    for row, options in zip(rows, drawn.archs.T, strict=True):
        score = torch.nn.functional.one_hot(options, len(row)) - row
        wanted[: len(row)] += score.sum(0)
    torch.testing.assert_close(found, wanted * inner, atol=1e-5, rtol=1e-4)
    (found,) = torch.autograd.grad(drawn.entropy[0], bias_of_head)
    wanted = torch.zeros(5)
    for row in rows:
        wanted[: len(row)] -= row * (row.log() - (row * row.log()).sum())
    torch.testing.assert_close(found, wanted * inner, atol=1e-5, rtol=1e-4)


def test_the_first_input_is_drawn_around_zero():
    start = Controller(ARITY, 1000).start.detach().numpy()
    assert start.min() == pytest.approx(-0.1, abs=0.01)
    assert start.max() == pytest.approx(0.1, abs=0.01)


def test_what_was_drawn_is_judged_as_it_was_drawn():
    policy = controller()
    drawn = policy(20, torch.Generator().manual_seed(5), ascending)
    judged = policy.judge(drawn.archs, ascending)
    torch.testing.assert_close(judged.log_p, drawn.log_p, rtol=0, atol=0)
    torch.testing.assert_close(judged.entropy, drawn.entropy, rtol=0, atol=0)


def test_plain_logits_of_one_layer_by_the_equations_of_an_lstm():
    """Hochreiter and Schmidhuber's cell, as PyTorch orders its gates: i, f, g, o."""
    with torch.random.fork_rng([]):
        torch.manual_seed(4)
        policy = Controller(ARITY, 6, layers=1, spread=0.5)
    assert all(weight.abs().max() <= 0.5 for weight in policy.parameters())
    assert max(weight.abs().max() for weight in policy.parameters()) > 0.3  # of all, heads too
    [cell], arch = policy.lstm, torch.tensor([1, 2, 0])
    x, h, c, log_p = policy.start[0], torch.zeros(6), torch.zeros(6), 0.0
    for decision, option in enumerate(arch.tolist()):
        gates = cell.weight_ih @ x + cell.bias_ih + cell.weight_hh @ h + cell.bias_hh
        i, f, g, o = gates.reshape(4, 6)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        logits = (policy.head.weight @ h + policy.head.bias)[: ARITY[decision]]
        log_p = log_p + logits[option] - torch.logsumexp(logits, 0)
        x = policy.taken.weight[sum(ARITY[:decision]) + option]
    found = policy.judge(arch[None], all_legal).log_p[0]
    torch.testing.assert_close(found, log_p)


def anchored(tanh_constant=None, temperature=1.0):
    """Two layers of an operation and a skip, and a third that chooses between layers 0 to 2."""
    points = np.full((6, 3), -1)
    points[2, 1] = 1  # the second layer's skip: none, or layer 1
    points[4] = (0, 1, 2)
    anchors = Anchors(np.array([1, 2, 2, 3, 3, 3]), points)
    with torch.random.fork_rng([]):
        torch.manual_seed(4)
        return Controller((2, 2, 2, 2, 3, 2), 6, tanh_constant, temperature, layers=1,
                          spread=0.8, anchors=anchors, nearness=0.1)  # fmt: skip


def free(prefix):
    return np.ones((len(prefix), (2, 2, 2, 2, 3, 2)[prefix.shape[1]]), bool)


@pytest.mark.parametrize("tanh_constant", [None, 1.5])
def test_attention_over_earlier_layers_by_hand(tanh_constant):
    """The distance is taken from a logit after the tanh that bounds it."""
    policy, arch = anchored(tanh_constant, 0.5), torch.tensor([1, 0, 1, 1, 2, 0])
    [cell], attention = policy.lstm, policy.attention
    offsets = np.cumsum([0, 2, 2, 2, 2, 3])

    def embedded(decision):
        return policy.taken.weight[offsets[decision] + arch[decision]][None]

    def bounded(logits):
        return logits if tanh_constant is None else 1.5 * torch.tanh(logits / 0.5)

    def worth(state, h):
        inner = torch.tanh(attention.before.weight @ state[0] + attention.here.weight @ h[0])
        return bounded(attention.worth.weight[0] @ inner)

    def plain(h, decision):
        size = free(np.zeros((1, decision))).shape[1]
        logits = (policy.head.weight @ h[0] + policy.head.bias)[:size]
        return torch.log_softmax(bounded(logits), 0)[arch[decision]]

    def steps(x, state):
        state = cell(x, state)
        return state[0], state

    h1, state = steps(policy.start, None)  # layer 1: its only step
    h2, state = steps(embedded(0), state)  # layer 2: the operation
    anchor2, state = steps(embedded(1), state)  # and its anchor point
    skip = torch.nn.functional.logsigmoid(worth(h1, anchor2) - 0.1)
    h3, state = steps(h1 / 2.0, state)  # one layer was pointed to
    anchor3, state = steps(embedded(3), state)
    worths = torch.stack([worth(own, anchor3) for own in (torch.zeros(1, 6), h1, anchor2)])
    choice = torch.log_softmax(worths - 0.1 * torch.tensor([9.0, 4.0, 1.0]), 0)[2]
    h4, state = steps(anchor2 / 2.0, state)
    wanted = plain(h1, 0) + plain(h2, 1) + skip + plain(h3, 3) + choice + plain(h4, 5)
    torch.testing.assert_close(policy.judge(arch[None], free).log_p[0], wanted)


def test_several_skips_are_decided_in_one_step_that_hands_on_all_that_was_pointed_to():
    points = np.full((4, 2), -1)
    points[2, 1], points[3, 1] = 1, 2
    anchors = Anchors(np.array([1, 2, 3, 3]), points)
    policy = Controller((2, 2, 2, 2), 5, layers=1, anchors=anchors)
    calls = []
    policy.lstm[0].register_forward_hook(lambda *_: calls.append(1))
    policy.judge(torch.tensor([[0, 0, 1, 1]]), lambda prefix: np.ones((1, 2), bool))
    assert len(calls) == 3


def test_chances_of_what_points_sum_to_one_and_gradients_are_those_of_differences():
    policy = anchored()
    everything = torch.cartesian_prod(*(torch.arange(size) for size in (2, 2, 2, 2, 3, 2)))
    assert abs(float(policy.judge(everything, free).log_p.exp().sum().detach()) - 1.0) < 1e-4
    policy = policy.double()
    archs, weights = everything[[5, 40, 95]], list(policy.parameters())
    check_gradients(lambda: policy.judge(archs, free).log_p.sum(), weights)
    check_gradients(lambda: policy.judge(archs, free).entropy.sum(), weights)


def test_a_layer_has_the_state_of_its_anchor_point_or_of_its_last_step():
    """Also where the anchor point is not the last one, or belongs to the layer before."""
    points = np.full((6, 3), -1)
    points[1, 1] = 1  # the second layer's skip, before its operation; the third has none
    points[5] = (1, 2, 3)
    anchors = Anchors(np.array([1, 2, 2, 3, 3, 4]), points)
    with torch.random.fork_rng([]):
        torch.manual_seed(4)
        policy = Controller((3,) * 6, 6, layers=1, spread=0.8, anchors=anchors)
    arch, [cell], attention = [2, 1, 0, 2, 1, 2], policy.lstm, policy.attention

    def step(x, state):
        state = cell(x, state)
        return state[0], state

    def embedded(decision):
        return policy.taken.weight[3 * decision + arch[decision]][None]

    h1, state = step(policy.start, None)
    anchor2, state = step(embedded(0), state)
    _, state = step(h1 / 2.0, state)  # one layer was pointed to
    _, state = step(embedded(2), state)
    h3, state = step(embedded(3), state)
    anchor4, state = step(embedded(4), state)
    worths = []
    for own in (h1, anchor2, h3):
        inner = torch.tanh(attention.before.weight @ own[0] + attention.here.weight @ anchor4[0])
        worths.append(attention.worth.weight[0] @ inner)
    chances, before = torch.softmax(torch.stack(worths), 0), torch.tensor([arch] * 3)
    before[:, 5] = torch.arange(3)
    log_p = policy.judge(before, lambda prefix: np.ones((len(prefix), 3), bool)).log_p
    torch.testing.assert_close(torch.softmax(log_p, 0), chances)


def test_the_record_has_the_shares_of_200_draws():
    policy, generator = controller(), torch.Generator().manual_seed(0)
    archs = policy(200, generator, all_legal).archs
    shares = policy_of(policy, ToySpace(ARITY)).probabilities
    for place, arity in enumerate(ARITY):
        wanted = np.bincount(archs[:, place], minlength=arity) / 200
        np.testing.assert_allclose(shares[place], [wanted])
