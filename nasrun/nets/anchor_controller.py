"""ENAS's controller of macro networks: an LSTM whose attention decides on the skips."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from nasrun.nets.controller import Drawn, Legal

# (layer, log-probabilities (n, options) or (n, skips, 2)) -> options (n,) or bits (n, skips)
Choose = Callable[[int, Tensor], Tensor]


@dataclass(frozen=True)
class AnchorsDrawn(Drawn):
    """What was drawn, and ``skip_kl (n,)``: how far skips are from their prior, see below."""

    skip_kl: Tensor


class AnchorController(nn.Module):
    """A policy over operations and skips, layer by layer.

    [EN] ``general_controller.py`` (Pham et al., ICML 2018): one LSTM step gives the operation from
    what was read last, another one, which reads the operation's embedding, the layer's anchor. A
    skip from an earlier layer ``j`` has the logits ``-q, q`` with
    ``q = v tanh(W_1 anchor_j + W_2 h)``; read next is the sum of the anchors that are skipped to,
    divided by one more than their number. All logits are ``tanh_constant`` times a tanh of what
    they would be, divided by ``temperature``.

    ``Controller`` with ``anchors`` does the same in other spaces, but not as [EN] has it: there a
    skip has the logits ``0, q``, options of each decision have embeddings of their own, the input
    is a layer with a state, and skips have no prior.

    ``skip_kl`` is the mean over layers of the sum of ``s log(s / prior)`` over both logits of each
    skip, ``s`` their sigmoids: the authors' penalty, which is not quite a divergence.

    Args:
        layers: of a network.
        operations: of a layer.
        hidden: units of the LSTM.
        tanh_constant: see above.
        temperature: see above.
        skip_prior: the share of skips that costs nothing.
    """

    def __init__(
        self,
        layers: int,
        operations: int,
        hidden: int,
        tanh_constant: float,
        temperature: float,
        skip_prior: float,
    ) -> None:
        super().__init__()
        self._layers, self._hidden = layers, hidden
        self._tanh, self._temperature = tanh_constant, temperature
        self.start = nn.Parameter(torch.empty(1, hidden))
        self.lstm = nn.LSTMCell(hidden, hidden, bias=False)
        self.taken = nn.Embedding(operations, hidden)
        self.operation = nn.Linear(hidden, operations, bias=False)
        self.earlier = nn.Linear(hidden, hidden, bias=False)
        self.here = nn.Linear(hidden, hidden, bias=False)
        self.weigh = nn.Linear(hidden, 1, bias=False)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)
        self.register_buffer("_prior", torch.tensor([1.0 - skip_prior, skip_prior]), False)

    def forward(self, count: int, generator: Generator, legal: Legal) -> AnchorsDrawn:
        """Draw ``count`` architectures; all options are legal in a macro space."""

        def draw(_: int, log_p: Tensor) -> Tensor:
            p = log_p.detach().exp()
            drawn = torch.multinomial(p.flatten(0, -2), 1, generator=generator)
            return drawn.view(p.shape[:-1])

        return self._walk(count, draw)

    def judge(self, archs: Tensor, legal: Legal) -> AnchorsDrawn:
        """Log-probabilities, entropies and ``skip_kl`` on the way to ``archs (n, L)``."""

        def follow(place: int, log_p: Tensor) -> Tensor:
            return archs[:, place] if log_p.dim() == 2 else archs[:, place : place + log_p.shape[1]]

        return self._walk(len(archs), follow)

    def _walk(self, count: int, choose: Choose) -> AnchorsDrawn:
        x = self.start.expand(count, -1)
        state = (x.new_zeros(count, self._hidden),) * 2
        log_p, entropy, skip_kl = (x.new_zeros(count) for _ in range(3))
        anchors, taken = list[Tensor](), list[Tensor]()
        place = 0
        for layer in range(self._layers):
            state = self.lstm(x, state)
            p = F.log_softmax(self._bounded(self.operation(state[0])), dim=-1)
            option = choose(place, p)
            taken.append(option[:, None])
            log_p = log_p + p.gather(1, option[:, None])[:, 0]
            entropy = entropy - (p.exp() * p).sum(dim=1)
            state = self.lstm(self.taken(option), state)
            if layer:
                before = torch.stack(anchors, dim=1)
                logits = self._skip_logits(before, state[0])
                p = F.log_softmax(logits, dim=-1)
                skips = choose(place + 1, p)
                taken.append(skips)
                log_p = log_p + p.gather(2, skips[..., None]).sum(dim=(1, 2))
                entropy = entropy - (p.exp() * p).sum(dim=(1, 2))
                skip_kl = skip_kl + self._distance(logits) / (self._layers - 1)
                share = skips.to(x.dtype)[..., None]
                x = (share * before).sum(dim=1) / (1.0 + share.sum(dim=1))
            else:
                x = self.start.expand(count, -1)
            anchors.append(state[0])
            place += 1 + layer
        return AnchorsDrawn(torch.cat(taken, dim=1), log_p, entropy, skip_kl)

    def _skip_logits(self, before: Tensor, here: Tensor) -> Tensor:
        """``(n, skips, 2)`` of earlier anchors ``(n, skips, hidden)`` and ``here (n, hidden)``."""
        q = self.weigh(torch.tanh(self.earlier(before) + self.here(here)[:, None]))
        return self._bounded(torch.cat([-q, q], dim=-1))

    def _bounded(self, logits: Tensor) -> Tensor:
        return self._tanh * torch.tanh(logits / self._temperature)

    def _distance(self, logits: Tensor) -> Tensor:
        """``(n,)`` of a layer's logits ``(n, skips, 2)``."""
        share = torch.sigmoid(logits)
        prior = self.get_buffer("_prior")
        return (share * torch.log(share / prior)).sum(dim=(1, 2))
