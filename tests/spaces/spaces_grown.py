"""Networks as after a training, for tests of spaces that hand weights on."""

import torch


def unlike_new(network, seed=0):
    """Weights and running statistics of no special values."""
    draws = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            noise = torch.randn(value.shape, generator=draws).to(value)
            value.add_(0.2 * noise.abs() if name.endswith("running_var") else 0.2 * noise)
    return network
