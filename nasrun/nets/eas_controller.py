"""The controller of efficient architecture search: an encoder of layers, and two actors."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Step:
    """What an actor has drawn: the choices, their log-probability ``()`` and the entropy ``()``."""

    choices: list[int]
    log_p: Tensor
    entropy: Tensor


class EASController(nn.Module):
    """A bidirectional LSTM reads a network's layers; a wider and a deeper actor act on it.

    Cai et al., "Efficient Architecture Search by Network Transformation" (AAAI 2018), section 3.
    The wider actor is one sigmoid that all layers share. The deeper actor is an LSTM that begins
    with the encoder's last state and chooses, one after another, the block, the layer and the
    kernel; each choice is what it reads next.

    Args:
        vocabulary: of the layers.
        choices: how many blocks, layers of a block and kernels there are at most.
        embedding: width of a layer's embedding.
        hidden: units of the encoder in each direction.
    """

    def __init__(
        self, vocabulary: int, choices: Sequence[int], embedding: int = 16, hidden: int = 50
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.encoder = nn.LSTM(embedding, hidden, bidirectional=True, batch_first=True)
        self.wider = nn.Linear(2 * hidden, 1)
        self.decoder = nn.LSTMCell(embedding, 2 * hidden)
        self.start = nn.Parameter(torch.zeros(1, embedding))
        self.heads = nn.ModuleList(nn.Linear(2 * hidden, most) for most in choices)
        self.chosen = nn.ModuleList(nn.Embedding(most, embedding) for most in choices)

    def widen(
        self, tokens: Tensor, can: Tensor, generator: Generator | None, given: Sequence[int] = ()
    ) -> Step:
        """Which of the layers ``tokens (n,)`` get wider, of those that ``can (n,)``.

        Drawn with a generator; without one the ``given`` choices are judged.
        """
        states, _ = self.encoder(self.embedding(tokens)[None])
        logit = self.wider(states)[0, :, 0]
        p = logit.sigmoid()
        if generator is None:
            drawn = torch.tensor(list(given), dtype=torch.bool)
        else:
            drawn = (torch.rand(len(tokens), generator=generator) < p.detach()) & can
        log_p = torch.where(drawn, F.logsigmoid(logit), F.logsigmoid(-logit))
        entropy = -(p * F.logsigmoid(logit) + (1 - p) * F.logsigmoid(-logit))
        free = can.to(p.dtype)
        return Step(drawn.tolist(), (log_p * free).sum(), (entropy * free).sum())

    def deepen(
        self,
        tokens: Tensor,
        legal: Tensor,
        generator: Generator | None,
        given: Sequence[int] = (),
    ) -> Step:
        """Block, layer and kernel of a new layer among ``legal (blocks, layers, kernels)``."""
        _, (last, memory) = self.encoder(self.embedding(tokens)[None])
        state = last.transpose(0, 1).reshape(1, -1), memory.transpose(0, 1).reshape(1, -1)
        x, choices, open_ = self.start, list[int](), legal
        log_p = entropy = x.new_zeros(())
        for at, (head, chosen) in enumerate(zip(self.heads, self.chosen, strict=True)):
            state = self.decoder(x, state)
            rest = open_.reshape(len(open_), -1).any(dim=1)
            logits = head(state[0])[0, : len(rest)].masked_fill(~rest, -torch.inf)
            p = F.log_softmax(logits, dim=0)
            if generator is None:
                choice = given[at]
            else:
                choice = int(torch.multinomial(p.detach().exp(), 1, generator=generator))
            choices.append(choice)
            log_p = log_p + p[choice]
            entropy = entropy - (p.exp() * p.masked_fill(~rest, 0.0)).sum()
            x = chosen(torch.tensor([choice]))
            open_ = open_[choice]
        return Step(choices, log_p, entropy)
