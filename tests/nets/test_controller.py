import numpy as np
import torch

from nasrun.nets.controller import Controller

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
    (found,) = torch.autograd.grad(drawn.log_p.sum(), policy.head.bias)
    inner = 2.5 * (1 - torch.tanh(bias / 5.0) ** 2) / 5.0
    wanted = torch.zeros(5)
    for row, options in zip(rows, drawn.archs.T, strict=True):
        score = torch.nn.functional.one_hot(options, len(row)) - row
        wanted[: len(row)] += score.sum(0)
    torch.testing.assert_close(found, wanted * inner, atol=1e-5, rtol=1e-4)


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
