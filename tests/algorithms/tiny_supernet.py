"""One-shot methods on a supernet so small that their losses and steps are computed by hand."""

from contextlib import nullcontext
from types import SimpleNamespace

import torch
from torch import nn

ROWS = (("a", "b"), ("c", "d", "e"))
ARITY = (2, 3)
WORTH = (torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0, -1.0]))
LOGITS = ((0.3, -0.5, 0.0), (0.2, 0.9, -0.4))  # the third of the first row is idle
TRAIN, VALID = torch.tensor([1.0]), torch.tensor([10.0])  # images: what they weigh in the loss
LABEL = torch.zeros(1, dtype=torch.int64)


class TinyNet(nn.Module):
    """One weight."""

    rows = ROWS

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def probing(self, rows):
        self.probed = rows
        return nullcontext()

    def sizes(self):
        return [torch.tensor([1.0, 3.0]), torch.tensor([0.0, 2.0, 4.0])]

    def branch_overlap(self, rows):
        return None


def worth(rows):
    """What the loss is made of: linear in the rows, one architecture or a batch of them."""
    return sum(row @ each for row, each in zip(rows, WORTH, strict=True))


def slope(soft, values=WORTH):
    """Joined gradients of linear functions of softmax rows, ``s (v - s v)``."""
    pairs = zip(soft, values, strict=True)
    return torch.cat([s * (v - (s @ v)[..., None]) for s, v in pairs], dim=-1)


def joined(values):
    """``(5,)`` what belongs to an option, of ``(2, 3)`` numbers."""
    return torch.cat([row[:n] for row, n in zip(values, ARITY, strict=True)])


def noise():
    """The numbers that ``tiny`` draws from, once more."""
    return torch.Generator().manual_seed(0)


def tiny(method, epoch=0):
    """A method before a step whose rates are all 1; the loss is weight x image x worth of rows.

    ``method.seen`` gets the rows that each loss was asked for.
    """
    method.network, method.noise = TinyNet(), noise()
    method.processor = SimpleNamespace(processor=torch.device("cpu"))
    method.problem = SimpleNamespace(space=SimpleNamespace(decisions=ROWS))
    method.epoch, method.progress, method._kept = epoch, float(epoch), {}
    method.max_gradient, method.weights = None, [method.network.weight]
    method.weight_optimizer = torch.optim.SGD(method.weights, 1.0)
    method.logits = torch.tensor(LOGITS, requires_grad=True)
    method.arch_optimizer = torch.optim.SGD([method.logits], 1.0)
    method.seen = []

    def losses(x, y, rows):
        method.seen.append(list(rows))
        return method.network.weight * x * worth(rows)

    method.losses = losses
    method.valid_batch = lambda: (VALID, LABEL)
    return method


def carry_gradients(method):
    """Of each loss that was asked for, whether its rows teach the logits."""
    return [any(row.requires_grad for row in rows) for rows in method.seen]
