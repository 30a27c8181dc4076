"""The equations of what controllers are made of, in NumPy; weights by their names in torch."""

import numpy as np


def weights(module):
    return {name: weight.detach().numpy() for name, weight in module.named_parameters()}


def linear(known, name, x):
    return known[f"{name}.weight"] @ x + known[f"{name}.bias"]


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum()


def lstm(known, name, x, state, suffix=""):
    """What an LSTM gives on and what it remembers, after ``state`` of both."""
    of_input, of_state = (known[f"{name}.{part}{suffix}"] for part in ("weight_ih", "weight_hh"))
    bias = known[f"{name}.bias_ih{suffix}"] + known[f"{name}.bias_hh{suffix}"]
    enter, keep, new, leave = np.split(of_input @ x + of_state @ state[0] + bias, 4)
    memory = sigmoid(keep) * state[1] + sigmoid(enter) * np.tanh(new)
    return sigmoid(leave) * np.tanh(memory), memory
