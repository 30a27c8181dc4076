"""MetaD2A's generator: from a data set to graphs of architectures that should do well on it."""

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
from nasrun.nets.graph_networks import Draws, GraphDecoder
from nasrun.nets.set_encoders import SetEncoding, set_encoder
from nasrun.ranges import require_at_least, require_not_negative, require_positive
from nasrun.spec import Archs, Dag, Ints, Learner, Learnt, Mask, Records, SearchSpace

PAIRS = "pairs"  # name of the array with the best architecture on record of each data set
COLUMNS = ("epoch", "vertices", "edges", "kl", "held_out_vertices", "held_out_edges")


class GeneratorNetwork(nn.Module):
    """A Gaussian over codes given a data set, and a decoder from codes to graphs.

    Args:
        features: of a picture.
        graphs: what is written.
        encoding: of data sets.
        hidden: width of a vertex's state.
        width: of a code.
    """

    def __init__(
        self, features: int, graphs: Graphs, encoding: SetEncoding, hidden: int, width: int
    ) -> None:
        super().__init__()
        self.set = set_encoder(encoding, features, width)
        self.mean = nn.Linear(width, width)
        self.log_variance = nn.Linear(width, width)
        self.decoder = GraphDecoder(graphs.types, graphs.vertices, hidden, width)

    def gaussian(self, features: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance, each ``(B, width)``, of ``B`` data sets."""
        code = self.set(features, classes)
        return self.mean(code), self.log_variance(code)


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """``(B,)`` divergence of diagonal Gaussians ``(B, d)`` from the standard one."""
    return 0.5 * (mean**2 + log_variance.exp() - log_variance - 1.0).sum(-1)


@dataclass
class Generator(Learner):
    """Learns to write, for a data set, the architecture that did best on it.

    Lee et al. (ICLR 2021), section 3.1.1 and Appendix A: reconstruction with teacher forcing plus
    ``kl`` times the divergence from the prior, and the mean of a code in the end. ``noise`` is the
    paper's; the authors' code multiplies it by 0.01, with which a generator learns by heart which
    data set had which cell, and writes worse ones for data sets that it has not seen.

    Departures: one cycle of a higher learning rate over fewer epochs, so that a CPU needs minutes
    (the authors: 1e-4, divided by 10 on plateaus, 400 epochs in batches of 32); losses are means
    over a batch, not sums, which Adam does not notice.

    Raises:
        ConfigError: a field out of its range.
    """

    encoding: SetEncoding = SetEncoding.hierarchical
    hidden: int = 56
    width: int = 56
    pictures: int = 20
    kl: float = 5e-3
    noise: float = 1.0
    epochs: int = 60
    batch: int = 256
    rate: float = 2e-3
    decay: float = 1e-2
    seed: int = 0

    def __post_init__(self) -> None:
        counts = ("hidden", "width", "pictures", "epochs", "batch")
        require_at_least(self, "algorithm.generator", 1, *counts)
        require_whole_heads("algorithm.generator.width", self.width)
        require_positive(self, "algorithm.generator", "rate")
        require_not_negative(self, "algorithm.generator", "kl", "noise", "decay", "seed")

    def network(self, features: int, graphs: Graphs) -> GeneratorNetwork:
        """A new network."""
        return GeneratorNetwork(features, graphs, self.encoding, self.hidden, self.width)

    def learn(self, records: Records, space: SearchSpace) -> Learnt:
        """Train on the best architecture on record of each data set."""
        graphs, sets = graphs_of(space), Sets(records, self.pictures)
        pairs, held_out = best_of_each(records)
        adjacency, types = graphs.tensors(records.archs)
        width = records.features.shape[2]
        with seeded(self.seed) as draws:
            network = self.network(width, graphs)

            def terms(batch: Ints) -> tuple[Tensor, Sequence[float]]:
                mean, log_variance = network.gaussian(*sets.of(batch, draws))
                graph = adjacency[batch], types[batch]
                three = self.terms(network.decoder, mean, log_variance, graph, draws)
                loss = (three[0] + three[1] + self.kl * three[2]).mean()
                return loss, [float(term.detach().sum()) for term in three]

            def judged() -> Sequence[float | None]:
                return self._judged(network, sets, held_out, (adjacency, types), draws)

            lesson = Lesson(self.epochs, self.batch, self.rate, self.decay)
            rows = lesson.learn(network, sets, pairs, draws, terms, judged)
        sizes = (width, graphs.types, graphs.vertices, records.features.shape[1])
        return Learnt({**weights(network, sizes), PAIRS: records.archs[pairs]}, COLUMNS, rows)

    def terms(
        self,
        decoder: GraphDecoder,
        mean: Tensor,
        log_variance: Tensor,
        graphs: tuple[Tensor, Tensor],
        draws: torch.Generator,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Losses of vertices and of edges, and the divergence, each ``(B,)``."""
        normal = torch.randn(mean.shape, generator=draws)
        code = mean + self.noise * (0.5 * log_variance).exp() * normal
        vertices, edges = decoder.loss(code, *graphs)
        return vertices, edges, kl_divergence(mean, log_variance)

    @torch.no_grad()
    def _judged(
        self,
        network: GeneratorNetwork,
        sets: Sets,
        rows: Ints,
        graphs: tuple[Tensor, Tensor],
        draws: torch.Generator,
    ) -> tuple[float | None, float | None]:
        """Mean losses of vertices and edges of the pairs that are held out."""
        if not len(rows):
            return None, None
        sums = np.zeros(2)
        network.eval()
        for batch in sets.batches(rows, self.batch, draws):
            mean, _ = network.gaussian(*sets.of(batch, draws))
            terms = network.decoder.loss(mean, *(part[batch] for part in graphs))
            sums += [float(term.sum()) for term in terms]
        vertices, edges = (sums / len(rows)).round(6).tolist()
        return vertices, edges


def best_of_each(records: Records) -> tuple[Ints, Ints]:
    """Rows of the best record of each data set: of those to learn from, and of those held out.

    A data set of which any record is held out is held out as a whole.
    """
    order = np.lexsort((-records.score, records.dataset))
    _, first = np.unique(records.dataset[order], return_index=True)
    best = order[first]
    kept_out = np.isin(records.dataset[best], records.dataset[records.held_out])
    return best[~kept_out], best[kept_out]


class Writer:
    """A trained generator.

    Args:
        recipe: its settings.
        space: whose architectures it writes.
        arrays: what it learnt.
    """

    def __init__(self, recipe: Generator, space: SearchSpace, arrays: Mapping[str, Any]) -> None:
        self._graphs = graphs_of(space)
        features = int(arrays[SIZES][0])
        with seeded(recipe.seed):  # its first weights are drawn, and replaced
            self._network = recipe.network(features, self._graphs).eval()
        load(self._network, arrays)

    @torch.no_grad()
    def codes(self, features: Tensor, classes: Tensor) -> Tensor:
        """``(B, width)`` the codes of ``B`` data sets: the means of their Gaussians."""
        return self._network.gaussian(features, classes)[0]

    @torch.no_grad()
    def write(self, codes: Tensor, draws: Draws, temperature: float) -> tuple[Archs, Mask]:
        """``(B, L)`` architectures written from ``codes (B, width)``; ``(B,)`` which are any."""
        adjacency, types = self._network.decoder.write(codes, draws, temperature)
        return self._graphs.archs(Dag(adjacency.numpy() > 0.5, types.numpy()))
