import torch

from nasrun.nets.controller import Controller

ARITY = (2, 5, 3)


def controller():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return Controller(ARITY, 8, 2.5, 5.0)


def test_architectures_have_options_that_exist():
    drawn = controller()(500, torch.Generator().manual_seed(0))
    assert drawn.archs.shape == (500, 3)
    assert (drawn.archs.amax(0) == torch.tensor(ARITY) - 1).all()
    assert (drawn.archs >= 0).all()


def test_probabilities_of_all_architectures_sum_to_one():
    drawn = controller()(3000, torch.Generator().manual_seed(1))
    archs, first = {}, drawn.log_p.exp()
    for arch, p in zip(drawn.archs.tolist(), first.tolist(), strict=True):
        archs[tuple(arch)] = p
    assert len(archs) == 30  # all of them
    assert abs(sum(archs.values()) - 1.0) < 1e-4


def test_a_rewarded_option_becomes_likelier():
    policy, generator = controller(), torch.Generator().manual_seed(2)
    optimizer = torch.optim.Adam(policy.parameters(), 0.01)
    for _ in range(60):
        drawn = policy(20, generator)
        reward = (drawn.archs[:, 1] == 3).float()
        optimizer.zero_grad()
        (-(drawn.log_p * (reward - reward.mean())).mean()).backward()
        optimizer.step()
    share = (policy(500, generator).archs[:, 1] == 3).float().mean()
    assert share > 0.5, share
