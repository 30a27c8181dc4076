import subprocess
import sys

import pytest
import torch

from nasrun.nets.fused_adam import FusedAdam

SETTINGS = {"betas": (0.8, 0.95), "eps": 1e-5, "weight_decay": 0.1}


def weights():
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(shape, generator=generator) for shape in ((7, 3, 16), (40,))]


@pytest.mark.parametrize("settings", [{}, SETTINGS])
def test_it_moves_weights_as_pytorchs_class_does(settings):
    """Also where a rate changes, and where an array has no gradient for a while."""
    ours, theirs = ([own.clone().requires_grad_() for own in weights()] for _ in "ab")
    names = {"betas": "betas", "eps": "epsilon", "weight_decay": "decay"}
    mine = FusedAdam(ours, 0.1, **{names[key]: value for key, value in settings.items()})
    reference = torch.optim.Adam(theirs, 0.1, fused=True, **settings)
    for step in range(6):
        mine.rate = reference.param_groups[0]["lr"] = 0.1 / (1 + step)
        for one, other in (ours, theirs):
            loss = (one - 0.3).square().sum() * (step + 1)
            (loss if step == 2 else loss + other.sin().sum()).backward()
        mine.step()
        reference.step()
        reference.zero_grad()
        for own, other in zip(ours, theirs, strict=True):
            assert own.grad is None
            assert torch.equal(own, other)


def test_a_step_by_hand():
    weight = torch.tensor([1.0, -2.0], requires_grad=True)
    optimiser = FusedAdam([weight], 0.5, (0.9, 0.99), epsilon=0.25)
    weight.grad = torch.tensor([0.5, -3.0])
    optimiser.step()
    # Bias-corrected moments of a first step are the gradient and its square.
    torch.testing.assert_close(
        weight.detach(), torch.tensor([1 - 0.5 * 0.5 / 0.75, -2 + 1.5 / 3.25])
    )


def test_pytorchs_compiler_stays_unloaded():
    code = (
        "import sys, torch\n"
        "from nasrun.nets.fused_adam import FusedAdam\n"
        "weight = torch.ones(3, requires_grad=True)\n"
        "weight.sum().backward()\n"
        "FusedAdam([weight], 0.1).step()\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
