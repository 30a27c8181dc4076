"""The network of NAO and SemiNAS: an encoder of texts of cells, a perceptron, and a decoder.

Every weight has the trials as its leading axis. Numbers of texts are ``(R, S, B)``: trials, places,
texts, so that what all texts have at one place is a block of memory.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nasrun.predictors.batches import MULTIPLE, filled
from nasrun.predictors.graph_layers import Linear
from nasrun.spec import Dag, Ints, Streams

ABSENT = 0  # what stands for an edge or a name of a vertex that is not there, and in front
NO_EDGE, EDGE, FIRST_NAME = 1, 2, 3
HALF = math.sqrt(0.5)

Drop = Callable[[Tensor], Tensor]


def texts(dag: Dag) -> Ints:
    """``(n, V (V + 1) / 2)``: vertex by vertex, an edge or none from all before it, and its name.

    Followed by absent ones up to whole lines of memory.
    """
    adjacency, names = dag
    there, columns = names >= 0, []
    for vertex in range(names.shape[1]):
        both = there[:, :vertex] & there[:, [vertex]]
        columns.append(
            np.where(both, np.where(adjacency[:, :vertex, vertex], EDGE, NO_EDGE), ABSENT)
        )
        columns.append(np.where(there[:, [vertex]], names[:, [vertex]] + FIRST_NAME, ABSENT))
    found = np.concatenate(columns, axis=1).astype(np.int64)
    return np.pad(found, ((0, 0), (0, -found.shape[1] % MULTIPLE)), constant_values=ABSENT)


class SequenceNetwork:
    """Encoder, perceptron and decoder of ``R`` trials.

    Luo et al., "Neural Architecture Optimization" (NeurIPS 2018), section 3, as NASLib has it: a
    bidirectional LSTM beside the embedded text, whose normalised mean is the architecture's
    embedding; two layers beside that one and a linear head; an LSTM that begins at the embedding
    and attends to the encoder's outputs.

    Args:
        names: symbols of the texts.
        hidden: width of all but the perceptron, a multiple of four.
        head: width of the perceptron.
        streams: of the trials.
        beside: numbers that the perceptron reads beside an embedding.
    """

    def __init__(
        self, names: int, hidden: int, head: int, streams: Streams, beside: int = 0
    ) -> None:
        self._names = names
        limit = 1.0 / math.sqrt(hidden)

        def linear(
            fan_in: int, fan_out: int, bias: bool = True, limit: float | None = None
        ) -> Linear:
            return Linear(fan_in, fan_out, streams, bias, limit)

        self._read, self._written = (_embedding(names, hidden, streams) for _ in range(2))
        self._into = [linear(hidden, 4 * hidden, limit=limit) for _ in range(3)]
        self._again = [linear(hidden, 4 * hidden, limit=limit) for _ in range(3)]
        self._joined = linear(2 * hidden, hidden)
        self._head = [linear(hidden + beside, head), linear(head, hidden), linear(hidden, 1)]
        self._asks = linear(hidden, hidden, bias=False)
        self._answers = linear(2 * hidden, hidden, bias=False)
        self._out = linear(hidden, names)

    @property
    def parameters(self) -> list[Tensor]:
        """All that is learnt."""
        layers = [*self._into, *self._again, self._joined, *self._head]
        layers += [self._asks, self._answers, self._out]
        own = [part for layer in layers for part in layer.parameters]
        return [self._read, self._written, *own]

    def encode(
        self, text: Tensor, drop: Drop, beside: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Figures ``(R, B)``, embeddings ``(R, B, W)`` and outputs ``(R, S, B, W)`` of texts.

        ``beside (R, B, E)`` are other numbers, with columns of zeros up to whole lines.
        """
        x = drop(self._looked_up(text, self._read))
        outputs = torch.cat(self._both_ways(x), dim=3)
        outputs = F.normalize(self._joined(outputs) + x, dim=3)
        embedding = F.normalize(outputs.mean(dim=1), dim=2)
        inner, outer, last = self._head
        known = embedding if beside is None else torch.cat([embedding, beside], dim=2)
        more = drop(outer(drop(inner(known, True)), True))
        return last((embedding + more) * HALF)[..., 0], embedding, outputs

    def decode(self, text: Tensor, embedding: Tensor, outputs: Tensor, drop: Drop) -> Tensor:
        """``(R, S, B, names)`` logarithms of the probability of each symbol, given those before."""
        before = F.pad(text[:, :-1], (0, 0, 1, 0), value=ABSENT)
        x = drop(self._looked_up(before, self._written))
        into, again = self._into[2], self._again[2]
        state = embedding, embedding
        x = (x + _lstm(into(x), again.weight, again.bias, state)) * HALF
        x = (x + self._attended(x, outputs)) * HALF
        logits = self._out(x)
        return logits[..., : self._names].log_softmax(dim=3)

    def _looked_up(self, text: Tensor, table: Tensor) -> Tensor:
        """``(R, S, B, W)`` rows of ``table (R, names, W)``, whose gradients are products, too."""
        chosen = F.one_hot(text.flatten(1), table.shape[1]).to(table.dtype)
        return torch.bmm(chosen, table).view(*text.shape, table.shape[2])

    def _both_ways(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(R, S, B, W)`` states from the front and from the back, in one loop."""
        parts = [self._into[0](x), self._into[1](x).flip(1)]
        weight = torch.cat([own.weight for own in self._again[:2]])
        bias = torch.cat([own.bias for own in self._again[:2]])
        begin = torch.zeros(len(weight), x.shape[2], x.shape[3])
        front, back = _lstm(torch.cat(parts), weight, bias, (begin, begin)).chunk(2)
        return front, back.flip(1)

    def _attended(self, x: Tensor, outputs: Tensor) -> Tensor:
        """``(R, S, B, W)`` of states and what they attend to."""
        trials, places, many, width = x.shape
        asked, keys = (
            own.transpose(1, 2).reshape(trials * many, places, width)
            for own in (self._asks(x), outputs)
        )
        share = torch.bmm(asked, keys.transpose(1, 2)).softmax(dim=2)
        mixed = torch.bmm(share, keys).view(trials, many, places, width).transpose(1, 2)
        return self._answers(torch.cat([mixed, x], dim=3)).tanh()


def _embedding(names: int, hidden: int, streams: Streams) -> Tensor:
    """``(R, names, W)`` standard normal, with rows of zeros up to whole lines."""
    drawn = streams.normal(names * hidden).reshape(len(streams), names, hidden)
    table = np.pad(drawn, ((0, 0), (0, -names % MULTIPLE), (0, 0)))
    return filled(torch.from_numpy(table.astype(np.float32))).clone().requires_grad_()


def _lstm(gates: Tensor, weight: Tensor, bias: Tensor, state: tuple[Tensor, Tensor]) -> Tensor:
    """``(R, S, B, W)`` states of an LSTM whose inputs give ``gates (R, S, B, 4 W)``.

    Input, forget and output gates first, then what is written.
    """
    (hidden, cell), found = state, []
    width = hidden.shape[2]
    for into in (gates + bias[:, None]).unbind(1):
        own, new = torch.baddbmm(into, hidden, weight).split([3 * width, width], dim=2)
        keep, forget, show = own.sigmoid().chunk(3, dim=2)
        cell = forget * cell + keep * new.tanh()
        hidden = show * cell.tanh()
        found.append(hidden)
    return torch.stack(found, dim=1)
