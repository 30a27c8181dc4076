"""NAO: an LSTM reads the text of a cell, and must be able to write it again."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nasrun.errors import ConfigError
from nasrun.nets.cohort import clip_parts, side_by_side
from nasrun.nets.fused_adam import FusedAdam
from nasrun.predictors.base import Targets, scaled
from nasrun.predictors.batches import MULTIPLE, filled, padded, taken
from nasrun.predictors.graph_cohort import dropping
from nasrun.predictors.graphs import Graphs
from nasrun.predictors.sequence_network import FIRST_NAME, Drop, SequenceNetwork, texts
from nasrun.ranges import require_at_least, require_not_negative, require_positive, require_within
from nasrun.spec import (
    Archs,
    Floats,
    Inputs,
    Mask,
    Model,
    Prediction,
    Predictor,
    SearchSpace,
    Streams,
)

AT_ONCE = 8  # trials whose networks are trained together; more wait for memory
PREDICTED = 100  # architectures of a trial that are read together


@dataclass
class NAO(Predictor):
    """Encoder, predictor and decoder of Neural Architecture Optimization, as a predictor.

    Luo et al., "Neural Architecture Optimization" (NeurIPS 2018), section 3, with the settings that
    NASLib's ``seminas.py`` has for it: widths of 64 and 16, dropout 0.1, ``trade_off`` times the
    squared error plus the rest times the mean negative log-likelihood of the written symbols,
    gradients cut at a norm of 5, Adam with rate 0.001 and an L2 penalty of 1e-4, batches of 100;
    ``pretraining`` epochs on the records, then ``epochs`` on ``repeats`` copies of them, with
    Adam anew.

    Departures: the search along the gradient of the embedding is left to algorithms; the text has
    the first vertex's name, too, which a space without cells needs, and absent symbols up to a
    multiple of four.

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = "nao"
    targets: Targets = Targets.zscore
    hidden: int = 64
    head: int = 16
    dropout: float = 0.1
    trade_off: float = 0.8
    pretraining: int = 50
    epochs: int = 50
    repeats: int = 10
    batch: int = 100
    rate: float = 1e-3
    decay: float = 1e-4
    max_gradient: float = 5.0

    def __post_init__(self) -> None:
        require_at_least(self, "predictor", 1, "hidden", "head", "repeats", "batch", "pretraining")
        require_at_least(self, "predictor", 0, "epochs")
        require_positive(self, "predictor", "rate", "max_gradient")
        require_not_negative(self, "predictor", "decay")
        require_within(self, "predictor", "[0, 1)", "dropout")
        require_within(self, "predictor", "[0, 1]", "trade_off")
        if self.hidden % MULTIPLE:
            raise ConfigError(
                f"predictor.hidden must be a multiple of {MULTIPLE}, got {self.hidden}"
            )

    def unlabelled(self, records: int) -> int:
        """Architectures without figures that are learnt from, beside so many with figures."""
        return 0

    def opened(self, space: SearchSpace, streams: Streams, truth: object = None) -> "Translators":
        """A network a trial."""
        return Translators(self, space, streams)


class Examples(NamedTuple):
    """Architectures of trials: texts ``(T, N, S)``, numbers beside them, figures and weights."""

    text: Tensor
    beside: Tensor  # ``(T, N, E)``, with columns of zeros up to whole lines
    goals: Tensor  # ``(T, N)``
    weight: Tensor  # ``(T, N)``


def loss(
    figures: Tensor, written: Tensor, goal: Tensor, text: Tensor, weight: Tensor, trade_off: float
) -> Tensor:
    """The sum over trials of their mean loss where ``weight (R, B)``.

    Args:
        figures: ``(R, B)`` predicted.
        written: ``(R, S, B, names)`` logarithms of probabilities.
        goal: ``(R, B)``.
        text: ``(R, S, B)``.
        weight: ``(R, B)``.
        trade_off: between the squared error (1) and the text (0).
    """
    known = weight / weight.sum(dim=1, keepdim=True).clamp(min=1.0)
    unlikely = -written.gather(3, text[..., None])[..., 0].mean(dim=1)
    each = trade_off * (figures - goal).square() + (1.0 - trade_off) * unlikely
    return (each * known).sum()


class Translators(Model):
    """Networks of a cohort."""

    def __init__(self, settings: NAO, space: SearchSpace, streams: Streams) -> None:
        self._own, self._space, self._streams = settings, space, streams
        self._graphs, self._fits = Graphs(space), 0
        self._names = len(self._graphs.names) + FIRST_NAME

    def fit(self, inputs: Inputs, y: Floats, mask: Mask) -> None:
        """Draw and train new networks."""
        goal, self._scale = scaled(y, mask, self._own.targets)
        text, trials, z = self._texts(inputs.archs), len(y), self._beside(inputs)
        goals, weight = torch.from_numpy(goal).float(), torch.from_numpy(mask).float()
        every = Examples(text, padded(z), goals, weight)
        self._blocks = [slice(a, min(a + AT_ONCE, trials)) for a in range(0, trials, AT_ONCE)]
        self._fits += 1

        def train(rows: slice) -> SequenceNetwork:
            streams = self._streams.fork(f"fit {self._fits}", rows)
            own = Examples(*(part[rows] for part in every))
            return self._trained(own, z.shape[2], streams)

        self._nets = side_by_side(train, self._blocks)

    def _beside(self, inputs: Inputs) -> Floats:
        """``(T, N, E)`` z-scores that the perceptron reads beside what the texts say."""
        return np.zeros((*inputs.archs.shape[:2], 0))

    def _trained(self, known: Examples, beside: int, streams: Streams) -> SequenceNetwork:
        """Networks of a block of trials, which read so many numbers beside texts."""
        own, records = self._own, known.text.shape[1]
        net = SequenceNetwork(self._names, own.hidden, own.head, streams, beside)
        # Of both passes: a second fork would draw the masks of the first again.
        drop = dropping(own.dropout, streams.fork("dropout"))
        self._pass(net, streams, drop, own.pretraining, 1, known)
        if more := own.unlabelled(records):
            drawn = streams.fork("unlabelled")
            archs = np.stack([self._space.sample(drawn) for _ in range(more)], axis=1)
            # Nothing is measured of them: what is beside their texts is the records' mean.
            text = self._texts(archs)
            mean = torch.zeros(*text.shape[:2], known.beside.shape[2])
            others = Examples(text, mean, _read(net, text, mean), torch.ones(text.shape[:2]))
            known = Examples(*(torch.cat(pair, dim=1) for pair in zip(known, others, strict=True)))
        self._pass(net, streams, drop, own.epochs, own.repeats, known, records)
        return net

    def _pass(
        self,
        net: SequenceNetwork,
        streams: Streams,
        drop: Drop,
        epochs: int,
        repeats: int,
        known: Examples,
        records: int | None = None,
    ) -> None:
        """Train on ``repeats`` copies of the first ``records``, and what follows them once."""
        own, every = self._own, known.text.shape[1]
        records = every if records is None else records
        rows = np.concatenate([np.tile(np.arange(records), repeats), np.arange(records, every)])
        optimiser = FusedAdam(net.parameters, own.rate, decay=own.decay)
        for _ in range(epochs):
            order = np.argsort(streams.uniform(len(rows)), axis=1, kind="stable")
            for batch in torch.from_numpy(rows[order]).split(own.batch, dim=1):
                weight, *parts = taken(batch, known.weight, *known[:3])
                read = Examples(*map(filled, [*parts, weight]))
                _backwards(net, read, drop, own.trade_off)
                slopes = [part.grad for part in net.parameters if part.grad is not None]
                clip_parts(slopes, own.max_gradient)
                optimiser.step()

    def predict(self, inputs: Inputs) -> Prediction:
        """What the networks say."""
        text, beside = self._texts(inputs.archs), padded(self._beside(inputs))

        def asked(at: int) -> Tensor:
            rows = self._blocks[at]
            return _read(self._nets[at], text[rows], beside[rows])

        z = torch.cat(side_by_side(asked, range(len(self._blocks)))).numpy().astype(np.float64)
        return Prediction(self._scale.restored(z), np.zeros_like(z), self._scale.best)

    def _texts(self, archs: Archs) -> Tensor:
        """``(T, N, S)``."""
        written = texts(self._graphs(archs.reshape(-1, archs.shape[2])))
        return torch.from_numpy(written.reshape(*archs.shape[:2], -1))


def _backwards(net: SequenceNetwork, known: Examples, drop: Drop, trade_off: float) -> None:
    """The gradients of a batch with texts ``(R, B, S)``."""
    text = known.text.transpose(1, 2).contiguous()
    figures, embedding, outputs = net.encode(text, drop, known.beside)
    written = net.decode(text, embedding, outputs, drop)
    loss(figures, written, known.goals, text, known.weight, trade_off).backward()


@torch.no_grad()  # which holds for one thread alone
def _read(net: SequenceNetwork, text: Tensor, beside: Tensor) -> Tensor:
    """``(T, M)`` figures that the networks predict for ``M`` texts, ``(T, M, S)``."""
    trials, count = text.shape[:2]
    text, beside = (
        filled(torch.nn.functional.pad(part, (0, 0, 0, -count % MULTIPLE)))
        for part in (text, beside)
    )
    pairs = zip(
        text.transpose(1, 2).split(PREDICTED, dim=2), beside.split(PREDICTED, dim=1), strict=True
    )
    found = [net.encode(part.contiguous(), lambda x: x, own)[0] for part, own in pairs]
    return torch.cat(found, dim=1)[:trials, :count]
