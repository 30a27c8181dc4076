"""ENAS for recurrent cells: shared weights of language models, and a controller with attention."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nasrun.algorithms.controlled_weights import ControlledWeights
from nasrun.errors import UnsupportedError
from nasrun.nets.controller import Controller
from nasrun.nets.language import NextToken
from nasrun.nets.language_supernet import SharedLanguageNetwork
from nasrun.spec import Archs, Task

GOOD = 80.0  # the perplexity whose reward is 1
NEARNESS = 1.0 / 6.0  # times the squared distance of two nodes, is taken from a logit


@dataclass
class ENASRNN(ControlledWeights):
    """ENAS on a text: the controller's reward is 80 over the perplexity of a validation batch.

    Pham et al., "Efficient Neural Architecture Search via Parameter Sharing" (ICML 2018), section
    2.1, as the authors' later ``enas_lm`` has it (its predecessor's language model was wrong, say
    they): every pair of nodes and activation has weights of its own; the controller is an LSTM of
    one layer, which chooses the node to read by attention, less a sixth of the squared distance.

    Departures, besides those of ``ENAS``: windows begin with a state of zeros and have one length;
    no dropout and no penalty on activations, so that shared weights overfit sooner; no averaged
    weights; the best cell is derived after every epoch by one validation batch for each of
    ``candidates`` cells. Of the controller: its baseline moves by a thousandth of the way in an
    epoch (the authors': with each of the epoch's 250 cells, from 0 on); its Adam has the decays 0
    and 0.999 and an epsilon of 1e-3 (theirs: 0.9, 0.999 and 1e-8), and gradients clipped at 5; it
    begins with PyTorch's own weights (theirs: in ±0.01); activations have logits of their own
    (theirs: by the embeddings that are read afterwards); after a node it reads half of that node's
    state (theirs: divided by 0.1 and the distance); the entropy is the whole distribution's
    (theirs: that of what was drawn).
    """

    name: str = "enas_rnn"

    def made_controller(self) -> nn.Module:
        """The policy with attention over earlier nodes.

        Raises:
            UnsupportedError: a space of other networks.
        """
        space, network = self.problem.space, self.network
        if not isinstance(network, SharedLanguageNetwork):
            raise UnsupportedError(
                f"algorithm={self.name} shares the weights of recurrent cells, got "
                f"space={space.name}: set space=rnn_cell"
            )
        return Controller(
            space.arity.tolist(),
            self.hidden,
            self.tanh_constant,
            self.temperature,
            layers=1,
            anchors=space.anchors,
            nearness=NEARNESS,
        )

    def check_task(self, task: Task) -> None:
        """Refuse a task that is no text.

        Raises:
            UnsupportedError: says so.
        """
        if not isinstance(task.objective, NextToken):
            raise UnsupportedError(
                "algorithm=enas_rnn shares the weights of language models, and "
                f"task={task.name} is no text: use task=text space=rnn_cell"
            )

    def accuracy(self, arch: Archs, batches: Iterator[tuple[Tensor, Tensor]]) -> float:
        """The perplexity of ``arch (L,)`` with the shared weights."""
        objective = self.problem.task.objective
        assert objective is not None
        rows, score = self.single_path(arch), objective.tally()
        self.network.eval()
        with torch.inference_mode(), self.processor.autocast():
            for x, y in batches:
                score.add(self.network(x, rows), y)
        self.network.train()
        return score.value

    def best_of(self, archs: Sequence[Archs]) -> Archs:
        """``(L,)`` that with the least perplexity, each on a validation batch of its own."""
        found = [self.accuracy(arch, self.data.glimpse(self.draws)) for arch in archs]
        return archs[int(np.argmin(np.nan_to_num(found, nan=np.inf)))]

    def _reward(self, arch: Archs) -> float:
        """80 over the perplexity of a validation batch; 0 where that is beyond all numbers."""
        perplexity = self.accuracy(arch, iter([self.valid_batch()]))
        return 0.0 if math.isnan(perplexity) else GOOD / perplexity
