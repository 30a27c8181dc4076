"""Recurrent policies of many trials at once, and the steps that they learn by."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from nasrun.nets.cohort import padded
from nasrun.nets.controller import Attention, Controller, Drawn, Legal

BETAS = 0.9, 0.999  # Adam's (Kingma and Ba, ICLR 2015, Algorithm 1)
EPSILON = 1e-8


class CohortController(Controller):
    """``T`` controllers of one shape, each with weights of its own, in lock step.

    Architectures are ``(T, n, L)``, log-probabilities and entropies ``(T, n)``. The walk is that of
    ``Controller``; its layers are those below, which keep the rules of ``nets/cohort.py``: widths
    are whole cache lines, and a lone trial is to be given twice. What is drawn by a trial's
    generator is what its controller would draw by itself.

    Args:
        own: the trials' controllers, whose weights are copied; at least two.
    """

    def __init__(self, own: Sequence[Controller]) -> None:
        nn.Module.__init__(self)
        first = own[0]
        self._arity, self._anchors = first._arity, first._anchors
        self._tanh, self._temperature = first._tanh, first._temperature
        self._hidden = padded(first._hidden)
        self.start = nn.Parameter(_wide([each.start for each in own]))
        cells = zip(*(each.lstm for each in own), strict=True)
        self.lstm = nn.ModuleList(_LSTMCells(cell) for cell in cells)
        self.taken = _Embeddings([each.taken.weight for each in own])
        self.head = _Linears([each.head for each in own])
        if self._anchors is not None:
            self.attention = _Attentions([each.attention for each in own])

    def draw(self, count: int, generators: Sequence[Generator | None], legal: Legal) -> Drawn:
        """``count`` architectures a trial; that of None draws nothing that is of any use."""

        def draw(_: int, log_p: Tensor) -> Tensor:
            p = log_p.detach().exp()
            noise = torch.ones_like(p)
            for own, generator in zip(noise, generators, strict=True):
                if generator is not None:
                    own.copy_(torch.empty_like(own).exponential_(1, generator=generator))
            # As torch.multinomial draws one: the option whose exponential clock rings first.
            return (p / noise).argmax(dim=-1, keepdim=True)

        return self._walk(count, legal, draw)


class CohortAdam:
    """Adam (Kingma and Ba, ICLR 2015), whose steps are counted by trial.

    A trial that has nothing to learn keeps its weights and its moments.

    Args:
        weights: with the trials as their leading axis.
        rate: the learning rate.
    """

    def __init__(self, weights: Sequence[Tensor], rate: float) -> None:
        self._weights, self._rate = list(weights), rate
        self._moments = [(torch.zeros_like(own), torch.zeros_like(own)) for own in weights]
        self._steps = torch.zeros(len(weights[0]), dtype=torch.int64)

    @torch.no_grad()
    def step(self, learning: Tensor) -> None:
        """One step of the trials ``learning (T,)``, after which no weight has a gradient."""
        rows = None if learning.all() else learning.nonzero()[:, 0]
        self._steps += learning
        first, second = BETAS
        steps = self._steps if rows is None else self._steps[rows]
        size = self._rate / (1.0 - first ** steps.double())
        scale = (1.0 - second ** steps.double()).sqrt()
        for weight, (mean, square) in zip(self._weights, self._moments, strict=True):
            gradient, weight.grad = weight.grad, None
            if gradient is None:  # what a single decision took is read by nobody
                continue
            axes = (-1,) + (1,) * (weight.dim() - 1)
            own = (weight, mean, square, gradient)
            w, m, v, g = own if rows is None else [part[rows] for part in own]
            m.lerp_(g, 1.0 - first)
            v.mul_(second).addcmul_(g, g, value=1.0 - second)
            w.sub_(m / (v.sqrt() / scale.view(axes).to(v)).add_(EPSILON) * size.view(axes).to(m))
            if rows is not None:
                weight[rows], mean[rows], square[rows] = w, m, v


class _LSTMCells(nn.Module):
    """LSTM cells side by side: ``(T, n, hidden)``; gates i, f, g, o as PyTorch orders them."""

    def __init__(self, own: Sequence[nn.LSTMCell]) -> None:
        super().__init__()
        self.of_input, self.of_state = (
            nn.Parameter(_wide([_gates(getattr(cell, name)) for cell in own], rows=True))
            for name in ("weight_ih", "weight_hh")
        )
        # Two, as PyTorch's cell has: each is moved by Adam, so that their sum moves twice as far.
        self.bias_of_input, self.bias_of_state = (
            nn.Parameter(_wide([_gates(getattr(cell, name)[:, None]) for cell in own]))
            for name in ("bias_ih", "bias_hh")
        )

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """``h, c``, the next state."""
        h, c = state
        gates = torch.baddbmm(self.bias_of_input, x, self.of_input)
        i, f, g, o = (gates + torch.baddbmm(self.bias_of_state, h, self.of_state)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class _Embeddings(nn.Module):
    """Tables ``(T, options, hidden)`` of which each trial reads its own."""

    def __init__(self, own: Sequence[Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(_wide(own))

    def forward(self, option: Tensor) -> Tensor:
        """``(T, n, hidden)`` of ``option (T, n)``."""
        trials, options, hidden = self.weight.shape
        first = torch.arange(0, trials * options, options)[:, None]
        return F.embedding(option + first, self.weight.view(-1, hidden))


class _Linears(nn.Module):
    """Linear layers side by side; outputs beyond those of the layers are 0."""

    def __init__(self, own: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(_wide([layer.weight.T for layer in own], rows=True))
        biases = [layer.bias[None] for layer in own if layer.bias is not None]
        self.bias = nn.Parameter(_wide(biases)) if biases else None

    def forward(self, x: Tensor) -> Tensor:
        """``(T, ..., outputs)`` of ``x (T, ..., inputs)``."""
        flat = x.flatten(1, -2)
        if self.bias is None:
            found = torch.bmm(flat, self.weight)
        else:
            found = torch.baddbmm(self.bias, flat, self.weight)
        return found.view(*x.shape[:-1], -1)


class _Attentions(Attention):
    """As ``Attention``, side by side."""

    def __init__(self, own: Sequence[Attention]) -> None:
        nn.Module.__init__(self)
        self.before, self.here, self.worth = (
            _Linears([getattr(each, name) for each in own]) for name in ("before", "here", "worth")
        )
        self.nearness = own[0].nearness


def _gates(weight: Tensor) -> Tensor:
    """``(inputs, 4 widths)`` of ``weight (4 hidden, inputs)``, each gate in whole cache lines."""
    gates = [F.pad(gate.T, (0, padded(len(gate)) - len(gate))) for gate in weight.chunk(4)]
    return torch.cat(gates, dim=1)


def _wide(weights: Sequence[Tensor], rows: bool = False) -> Tensor:
    """``(T, rows, columns)`` of matrices, with zeros to whole cache lines; of rows, if asked."""
    stacked = torch.stack([weight.detach() for weight in weights])
    more = padded(stacked.shape[1]) - stacked.shape[1] if rows else 0
    return F.pad(stacked, (0, padded(stacked.shape[2]) - stacked.shape[2], 0, more)).contiguous()
