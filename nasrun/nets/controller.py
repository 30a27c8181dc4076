"""A recurrent policy over architectures, decision by decision."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from nasrun.spec import Archs, Mask

Legal = Callable[[Archs], Mask]  # ``(n, options)`` what may follow ``(n, l)`` decisions


@dataclass(frozen=True)
class Drawn:
    """``archs (n, L)``, their log-probabilities ``(n,)``, and the policy's entropies ``(n,)``."""

    archs: Tensor
    log_p: Tensor
    entropy: Tensor


class Controller(nn.Module):
    """ENAS's policy, as [A] ``search_model_enas_utils.py`` has it.

    An LSTM of two layers reads the option that it took last and gives the next decision's logits.

    Args:
        arity: number of options per decision.
        hidden: units of each layer.
        tanh_constant: logits are this times a tanh of what the network gives ...
        temperature: ... divided by this.
    """

    def __init__(
        self, arity: Sequence[int], hidden: int, tanh_constant: float, temperature: float
    ) -> None:
        super().__init__()
        self._arity, self._tanh, self._temperature = arity, tanh_constant, temperature
        self.start = nn.Parameter(torch.zeros(1, hidden).uniform_(-0.1, 0.1))
        self.lstm = nn.ModuleList(nn.LSTMCell(hidden, hidden) for _ in range(2))
        self.taken = nn.Embedding(sum(arity), hidden)
        self.head = nn.Linear(hidden, max(arity))
        self._hidden = hidden

    def forward(self, count: int, generator: Generator, legal: Legal) -> Drawn:
        """Draw ``count`` architectures, among the options that are ``legal`` after a prefix."""
        x = self.start.expand(count, -1)
        states = [(x.new_zeros(count, self._hidden),) * 2 for _ in self.lstm]
        log_p, entropy = x.new_zeros(count), x.new_zeros(count)
        taken = torch.zeros((count, 0), dtype=torch.int64)
        for decision, arity in enumerate(self._arity):
            for layer, cell in enumerate(self.lstm):
                states[layer] = cell(x, states[layer])
                x = states[layer][0]
            logits = self._tanh * torch.tanh(self.head(x)[:, :arity] / self._temperature)
            closed = torch.from_numpy(~legal(taken.numpy()))
            p = F.log_softmax(logits.masked_fill(closed, -torch.inf), dim=-1)
            option = torch.multinomial(p.detach().exp(), 1, generator=generator)
            log_p = log_p + p.gather(1, option)[:, 0]
            entropy = entropy - (p.exp() * p.masked_fill(closed, 0.0)).sum(dim=-1)
            taken = torch.cat([taken, option], dim=1)
            x = self.taken(option[:, 0] + sum(self._arity[:decision]))
        return Drawn(taken, log_p, entropy)
