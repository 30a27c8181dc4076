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


Choose = Callable[[int, Tensor], Tensor]  # (n, 1) options of a decision with log p (n, options)


class Controller(nn.Module):
    """A policy over the decisions in their order: an LSTM that reads the option that it took last.

    ENAS's as [A] ``search_model_enas_utils.py`` has it (Pham et al., ICML 2018); with
    ``tanh_constant=None`` that of Zoph and Le (ICLR 2017, section 3.2) and of NASNet (Zoph et al.,
    CVPR 2018, appendix A), whose logits are those of the network. Options of every decision have
    embeddings of their own.

    Args:
        arity: number of options per decision.
        hidden: units of each layer.
        tanh_constant: logits are this times a tanh of what the network gives, divided by
            ``temperature``; None: what the network gives.
        temperature: see there.
        layers: of the LSTM.
        spread: all weights are drawn uniformly in plus or minus this; None: PyTorch's own.
    """

    def __init__(
        self,
        arity: Sequence[int],
        hidden: int,
        tanh_constant: float | None = None,
        temperature: float = 1.0,
        layers: int = 2,
        spread: float | None = None,
    ) -> None:
        super().__init__()
        self._arity, self._tanh, self._temperature = arity, tanh_constant, temperature
        self.start = nn.Parameter(torch.zeros(1, hidden).uniform_(-0.1, 0.1))
        self.lstm = nn.ModuleList(nn.LSTMCell(hidden, hidden) for _ in range(layers))
        self.taken = nn.Embedding(sum(arity), hidden)
        self.head = nn.Linear(hidden, max(arity))
        self._hidden = hidden
        if spread is not None:
            for parameter in self.parameters():
                nn.init.uniform_(parameter, -spread, spread)

    def forward(self, count: int, generator: Generator, legal: Legal) -> Drawn:
        """Draw ``count`` architectures, among the options that are ``legal`` after a prefix."""

        def draw(_: int, log_p: Tensor) -> Tensor:
            return torch.multinomial(log_p.detach().exp(), 1, generator=generator)

        return self._walk(count, legal, draw)

    def judge(self, archs: Tensor, legal: Legal) -> Drawn:
        """Log-probabilities and entropies on the way to ``archs (n, L)``."""
        return self._walk(len(archs), legal, lambda decision, _: archs[:, [decision]])

    def _walk(self, count: int, legal: Legal, choose: Choose) -> Drawn:
        x = self.start.expand(count, -1)
        states = [(x.new_zeros(count, self._hidden),) * 2 for _ in self.lstm]
        log_p, entropy = x.new_zeros(count), x.new_zeros(count)
        taken = torch.zeros((count, 0), dtype=torch.int64)
        for decision, arity in enumerate(self._arity):
            for layer, cell in enumerate(self.lstm):
                states[layer] = cell(x, states[layer])
                x = states[layer][0]
            closed = torch.from_numpy(~legal(taken.numpy()))
            logits = self._logits(self.head(x)[:, :arity])
            p = F.log_softmax(logits.masked_fill(closed, -torch.inf), dim=-1)
            option = choose(decision, p)
            log_p = log_p + p.gather(1, option)[:, 0]
            entropy = entropy - (p.exp() * p.masked_fill(closed, 0.0)).sum(dim=-1)
            taken = torch.cat([taken, option], dim=1)
            x = self.taken(option[:, 0] + sum(self._arity[:decision]))
        return Drawn(taken, log_p, entropy)

    def _logits(self, given: Tensor) -> Tensor:
        if self._tanh is None:
            return given
        return self._tanh * torch.tanh(given / self._temperature)


def clipped_surrogate(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """PPO's objective, to be maximised (Schulman et al., 2017, eq. 7), element by element."""
    return torch.minimum(ratio * advantage, ratio.clamp(1.0 - clip, 1.0 + clip) * advantage)
