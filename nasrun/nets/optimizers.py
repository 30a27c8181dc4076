"""The optimiser that a recipe asks for."""

import torch
from torch import nn

from nasrun.nets.recipe import Optimizer, Recipe


def make_optimizer(network: nn.Module, recipe: Recipe, scales: bool) -> torch.optim.Optimizer:
    """The optimiser of a network's weights; ``scales``: losses are scaled, as float16 needs it."""
    weights, rate, decay = network.parameters(), recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer is Optimizer.rmsprop:
        return torch.optim.RMSprop(
            weights, rate, recipe.squares_decay, recipe.epsilon, decay, recipe.momentum
        )
    if recipe.optimizer in (Optimizer.adam, Optimizer.adamw):
        kind = torch.optim.Adam if recipe.optimizer is Optimizer.adam else torch.optim.AdamW
        betas = (recipe.momentum, recipe.squares_decay)
        return kind(weights, rate, betas, recipe.epsilon, decay, fused=True)
    made = torch.optim.SGD(
        weights, rate, recipe.momentum, nesterov=recipe.nesterov, weight_decay=decay, fused=True
    )
    if scales and recipe.momentum:
        # A scale too large skips the first step, after which the optimiser would go on from
        # momentum that it never set. Zero is what it begins with otherwise.
        for parameter in network.parameters():
            made.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return made
