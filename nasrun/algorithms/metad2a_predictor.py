"""MetaD2A's predictor: how well an architecture will do on a data set, without training it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nasrun.algorithms.metad2a_graphs import Graphs, graphs_of
from nasrun.algorithms.metad2a_learning import (
    SIZES,
    Lesson,
    Sets,
    load,
    require_whole_heads,
    seeded,
    weights,
)
from nasrun.nets.graph_networks import GraphEncoder
from nasrun.nets.set_encoders import Outline, SetEncoding, set_encoder
from nasrun.ranges import require_at_least, require_not_negative, require_positive
from nasrun.spec import Archs, Floats, Ints, Learner, Learnt, Records, SearchSpace

COLUMNS = ("epoch", "loss", "held_out_r")
HEAD = 512  # units before the prediction; [MC] predictor/predictor_model.py


class PredictorNetwork(nn.Module):
    """Codes of a graph and of a data set, side by side, to a standardised score.

    As in the authors' code, the head has tanh where the paper has ReLU, and its own set encoder.
    ``direct`` adds a linear function of the data set's outline: how hard its classes are, which is
    most of a score's variance and says nothing of architectures.

    Args:
        features: of a picture.
        graphs: what is read.
        encoding: of data sets.
        hidden: width of a vertex's state.
        width: of either code.
        direct: whether there is the linear path.
    """

    def __init__(
        self,
        features: int,
        graphs: Graphs,
        encoding: SetEncoding,
        hidden: int,
        width: int,
        direct: bool,
    ) -> None:
        super().__init__()
        self.set = set_encoder(encoding, features, width)
        self.graph = GraphEncoder(graphs.types, graphs.vertices, hidden, width)
        self.head = nn.Sequential(nn.Linear(2 * width, HEAD), nn.Tanh(), nn.Linear(HEAD, 1))
        self.outline = Outline(features) if direct else None
        self.direct = _nought(features + 2) if direct else None

    def dataset(self, features: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Codes ``(B, width)`` of ``B`` data sets and ``(B,)`` what the linear path adds."""
        code = self.set(features, classes)
        if self.outline is None or self.direct is None:
            return code, code.new_zeros(len(code))
        return code, self.direct(self.outline(features, classes)).squeeze(-1)

    def forward(self, graph: Tensor, dataset: tuple[Tensor, Tensor]) -> Tensor:
        """``(B,)`` scores of the codes ``graph (B, width)`` on what ``dataset`` says of each."""
        code, level = dataset
        return level + self.head(torch.cat([graph, code], -1)).squeeze(-1)


@dataclass
class Predictor(Learner):
    """Learns the score of an architecture on a data set from records of both.

    Lee et al. (ICLR 2021), section 3.1.2 and Appendix B: the squared error.

    Departures: the last epoch is kept, so that the correlation (Pearson) on what is held out is of
    records that chose nothing (the authors keep the epoch that is best on them); ``direct`` adds a
    linear path from the data set's outline to the score; the target is the standardised score,
    which the authors' code divides by 100 besides; records that were judged in another way are
    standardised apart from the others; one cycle of a higher learning rate over fewer epochs, and a
    narrower graph encoder (the authors: ``hidden`` 512, 1e-4, divided by 10 on plateaus, 400 epochs
    in batches of 32), so that a CPU needs minutes.

    Raises:
        ConfigError: a field out of its range.
    """

    encoding: SetEncoding = SetEncoding.hierarchical
    direct: bool = True
    hidden: int = 64
    width: int = 56
    pictures: int = 20
    epochs: int = 30
    batch: int = 256
    rate: float = 2e-3
    decay: float = 1e-2
    seed: int = 0

    def __post_init__(self) -> None:
        counts = ("hidden", "width", "pictures", "epochs", "batch")
        require_at_least(self, "algorithm.predictor", 1, *counts)
        require_whole_heads("algorithm.predictor.width", self.width)
        require_positive(self, "algorithm.predictor", "rate")
        require_not_negative(self, "algorithm.predictor", "decay", "seed")

    def network(self, features: int, graphs: Graphs) -> PredictorNetwork:
        """A new network."""
        sizes = self.hidden, self.width
        return PredictorNetwork(features, graphs, self.encoding, *sizes, self.direct)

    def learn(self, records: Records, space: SearchSpace) -> Learnt:
        """Train on all records that are not held out."""
        graphs, sets = graphs_of(space), Sets(records, self.pictures)
        learnt_from = np.flatnonzero(~records.held_out)
        adjacency, types = graphs.tensors(records.archs)
        score = torch.from_numpy(records.score).float()
        width = records.features.shape[2]
        with seeded(self.seed) as draws:
            network = self.network(width, graphs)

            def terms(batch: Ints) -> tuple[Tensor, Sequence[float]]:
                codes = network.graph(adjacency[batch], types[batch])
                predicted = network(codes, network.dataset(*sets.of(batch, draws)))
                loss = squared_error(predicted, score[batch])
                return loss, [len(batch) * float(loss.detach())]

            def judged() -> Sequence[float | None]:
                r = self._correlation(network, records, sets, (adjacency, types), draws)
                return [None if np.isnan(r) else r]

            lesson = Lesson(self.epochs, self.batch, self.rate, self.decay)
            rows = lesson.learn(network, sets, learnt_from, draws, terms, judged)
        sizes = (width, graphs.types, graphs.vertices, records.features.shape[1])
        return Learnt(weights(network, sizes), COLUMNS, rows)

    @torch.no_grad()
    def _correlation(
        self,
        network: PredictorNetwork,
        records: Records,
        sets: Sets,
        graphs: tuple[Tensor, Tensor],
        draws: torch.Generator,
    ) -> float:
        """Pearson's r of predictions and scores of what is held out; NaN where that is too few."""
        rows = np.flatnonzero(records.held_out)
        if len(rows) < 2:
            return np.nan
        network.eval()
        order: list[Ints] = []
        predicted: list[Tensor] = []
        for batch in sets.batches(rows, self.batch, draws):
            codes = network.graph(*(part[batch] for part in graphs))
            predicted.append(network(codes, network.dataset(*sets.of(batch, draws))))
            order.append(batch)
        scores = records.score[np.concatenate(order)]
        return round(float(np.corrcoef(torch.cat(predicted).numpy(), scores)[0, 1]), 6)


def _nought(features: int) -> nn.Linear:
    """A linear function that is zero at first."""
    layer = nn.Linear(features, 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def squared_error(predicted: Tensor, score: Tensor) -> Tensor:
    """``()`` mean of the squared differences of ``(B,)`` predictions and scores."""
    return ((predicted - score) ** 2).mean()


class Ranker:
    """A trained predictor.

    Args:
        recipe: its settings.
        space: whose architectures it judges.
        arrays: what it learnt.
    """

    def __init__(self, recipe: Predictor, space: SearchSpace, arrays: Mapping[str, Any]) -> None:
        self._graphs = graphs_of(space)
        with seeded(recipe.seed):  # its first weights are drawn, and replaced
            self._network = recipe.network(int(arrays[SIZES][0]), self._graphs).eval()
        load(self._network, arrays)

    @torch.no_grad()
    def score(self, archs: Archs, features: Tensor, classes: Tensor) -> Floats:
        """``(n,)`` standardised scores of ``archs (n, L)``, means over ``B`` data sets."""
        codes = self._network.graph(*self._graphs.tensors(archs))
        datasets = zip(*self._network.dataset(features, classes), strict=True)
        scores = [self._network(codes, (own.expand(len(codes), -1), at)) for own, at in datasets]
        return torch.stack(scores).double().mean(0).numpy()
