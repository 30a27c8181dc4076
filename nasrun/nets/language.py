"""Language models: what they are trained for, and the network around a recurrent cell."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrun.errors import UnsupportedError
from nasrun.nets.recurrent import Cell
from nasrun.spec import Metric, SummedObjective, Task, metric_named

SPREAD = 0.05  # of embeddings, uniform; enas_lm of Pham et al.


@dataclass(frozen=True)
class NextToken(SummedObjective):
    """Cross-entropy of the token that follows each one, judged by perplexity.

    Outputs are ``(B, vocabulary, T)`` logits, targets ``(B, T)`` tokens.
    """

    vocabulary: int

    metric: ClassVar[Metric] = metric_named("perplexity")

    def head(self, channels: int) -> nn.Module:
        """There is none on maps of a picture.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(
            "a text has no pictures for this space's networks: set space=rnn_cell or space=rnn_tree"
        )

    def loss(self, output: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
        """Means over a window's tokens, summed over windows."""
        by_token = F.cross_entropy(output, target, reduction="none", label_smoothing=smoothing)
        return by_token.mean(dim=1).sum()

    def sums(self, output: Tensor, target: Tensor) -> Tensor:
        """``(2,)`` summed losses and number of tokens."""
        loss = F.cross_entropy(output, target, reduction="sum")
        return torch.stack([loss.double(), loss.new_full((), target.numel(), dtype=torch.float64)])

    def score(self, sums: Tensor, images: int) -> float:
        """``exp`` of the mean loss; NaN without tokens, or where it is beyond all numbers."""
        mean = float(sums[0]) / float(sums[1]) if float(sums[1]) else math.nan
        return math.exp(mean) if mean < 700.0 else math.nan


def vocabulary_of(task: Task, space: str) -> int:
    """Number of tokens of a task of language modelling.

    Raises:
        UnsupportedError: it is none.
    """
    if isinstance(task.objective, NextToken):
        return task.objective.vocabulary
    raise UnsupportedError(
        f"space={space} holds recurrent cells of language models, and task={task.name} is no text: "
        "use task=text"
    )


class LanguageNetwork(nn.Module):
    """Embeddings, a recurrent cell, and logits by the same embeddings.

    As in the language models of Pham et al. (``enas_lm``), without their dropout.

    Args:
        cell: of ``hidden`` units.
        hidden: units.
        vocabulary: number of tokens.
    """

    def __init__(self, cell: Cell, hidden: int, vocabulary: int) -> None:
        super().__init__()
        self.cell, self._hidden, self._parts = cell, hidden, cell.parts
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.decoder = nn.Linear(hidden, vocabulary)
        self.decoder.weight = self.embedding.weight
        nn.init.uniform_(self.embedding.weight, -SPREAD, SPREAD)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, vocabulary, T)`` logits of the tokens after each of ``x (B, T)``."""
        state = [self.embedding.weight.new_zeros(len(x), self._hidden)] * self._parts
        outputs: list[Tensor] = []
        for token in self.embedding(x).unbind(dim=1):
            state = self.cell(token, state)
            outputs.append(state[0])
        return self.decoder(torch.stack(outputs, dim=1)).transpose(1, 2)

    def example(self) -> Tensor:
        """A text of one token, by which parameters and FLOPs are counted."""
        return torch.zeros((1, 1), dtype=torch.int64, device=self.embedding.weight.device)
