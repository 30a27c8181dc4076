"""MetaD2A: meta-trained networks that turn a data set into an architecture."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from nasrun.algorithms.metad2a_generator import PAIRS, Generator, Writer
from nasrun.algorithms.metad2a_graphs import graphs_of
from nasrun.algorithms.metad2a_learning import SIZES, require_sizes
from nasrun.algorithms.metad2a_predictor import Predictor, Ranker
from nasrun.errors import ConfigError
from nasrun.images import Images, SearchImages, of_each_class
from nasrun.ranges import require_at_least, require_positive
from nasrun.spec import (
    Algorithm,
    Archs,
    Evaluator,
    Features,
    Floats,
    Learner,
    Mask,
    Measured,
    Measuring,
    Phase,
    Problem,
    Streams,
    Task,
    Vectors,
    source_of,
)

Sets = tuple[Tensor, Tensor]  # what a set encoder takes
AT_ONCE = 64  # graphs that are written together
PATIENCE = 10  # rounds of writing without a new architecture, after which fewer must do


class Candidates(Enum):
    """Where the candidates come from."""

    generator = "generator"
    uniform = "uniform"  # all architectures of the space, as a control
    records = "records"  # the best ones of the data sets that were learnt from, as a control


class Ranking(Enum):
    """What orders the candidates."""

    predictor = "predictor"
    none = "none"  # they stay in the order in which they came
    source = "source"  # their figures in a table of another data set, as a control


class Pick(Enum):
    """Which of the first candidates is the answer."""

    predictor = "predictor"  # the first: nothing is trained
    random = "random"  # any of all candidates, as a control
    validation = "validation"  # the one with the best measured score
    oracle = "oracle"  # the one with the best test score, as the paper reports it


@dataclass
class MetaD2A(Algorithm):
    """Candidates that a generator writes for the data set, ranked by a predictor.

    Lee et al., "Rapid Neural Architecture Search by Learning to Generate Graphs from Datasets"
    (ICLR 2021), section 3.2: the target's pictures are encoded, ``count`` different architectures
    are generated (500 for CIFAR, 50 else), and the predictor ranks them. What is reported then is a
    choice (``pick``): the first of them; the best by validation among ``kept``, each of which is
    measured and charged; or the best by *test* among ``kept``, which is what the paper's Table 1
    shows for CIFAR.

    Departures: ``draws`` draws of ``pictures`` pictures a class serve all candidates, where the
    authors draw anew for each network that is generated and each prediction; they come from
    ``pool`` pictures a class, the same in every trial, so that features are computed once; where
    the networks were trained on one vector a class (``classifier_rows``), a draw is averaged to
    one; graphs are drawn at a ``temperature``, between the authors' code (1) and the paper's text
    (the most probable vertices): an estimate of the 1,284 cells that are learnt from spreads to
    worse ones, and at 0.5, chosen by that, what is written is as good as they are on average
    (``scripts/README.md``). Candidates differ in what they compute (``canonical``), not in their
    texts alone.

    Where there is a limit of ``flops_m``, candidates above it are passed over, as section 4.2 has
    it in MobileNetV3's space: FLOPs in millions, of the space's own network.

    ``ranking=source`` is a control that learns nothing: ``source``, an evaluator such as a table,
    knows the validation scores of all candidates on ``source_task``, and none is charged.

    Raises:
        ConfigError: a field out of its range; a search without meta-training; a ranking by a source
            that is not given, or that is the target itself.
        DataError: networks of other features or another space; a class with a single picture.
    """

    name: str = "metad2a"
    cohort: ClassVar[bool] = False  # matrix products of other shapes differ in their last bits
    reads_images: ClassVar[bool] = True
    learns_in_floats: ClassVar[bool] = True
    features: Any = field(default=None)  # Features of any class
    generator: Generator = field(default_factory=Generator)
    predictor: Predictor = field(default_factory=Predictor)
    candidates: Candidates = Candidates.generator
    count: int = 500
    temperature: float = 0.5
    ranking: Ranking = Ranking.predictor
    source: Any = field(default=None)  # Evaluator of any class
    source_task: Any = field(default=None)  # Task of any class
    kept: int = 30
    pick: Pick = Pick.predictor
    draws: int = 10
    pictures: int = 20
    pool: int = 40
    flops_m: float | None = None

    def __post_init__(self) -> None:
        self._learnt: Mapping[str, Any] = {}
        self._seen: tuple[Images, Vectors] | None = None  # pictures, and the features of the pool
        if not isinstance(self.features, Features):
            raise ConfigError("algorithm.features must be features: choose some with features=NAME")
        require_at_least(self, "algorithm", 1, "count", "kept", "draws", "pictures")
        require_at_least(self, "algorithm", 2, "pool")
        require_positive(self, "algorithm", "temperature", "flops_m")
        given = isinstance(self.source, Evaluator) and isinstance(self.source_task, Task)
        if self.ranking is Ranking.source and not given:
            raise ConfigError(
                "algorithm.ranking=source needs another data set's table: add "
                "+evaluator@algorithm.source=tabular +task@algorithm.source_task=imagenet16_120"
            )

    @property
    def label(self) -> str:
        """Such as ``metad2a[pick=oracle]``: with the pick, and whatever is a control."""
        controls = {"candidates": Candidates.generator, "ranking": Ranking.predictor}
        said = [
            f"{key}={getattr(self, key).value}"
            for key, usual in controls.items()
            if getattr(self, key) is not usual
        ]
        said += [f"pick={self.pick.value}"]
        said += [] if self.flops_m is None else [f"flops_m={self.flops_m:g}"]
        return f"{self.name}[{','.join(said)}]"

    @property
    def learners(self) -> Mapping[str, Learner]:
        """Generator and predictor, each trained by itself."""
        return {"generator": self.generator, "predictor": self.predictor}

    @property
    def own_costs(self) -> bool:
        """Seconds of this machine, unless what is measured costs the evaluator's."""
        return self.pick is not Pick.validation

    @property
    def protocol(self) -> Mapping[str, str]:
        """What stands behind a choice that nothing was trained for."""
        if self.pick is Pick.validation:
            return {}
        return {"fidelity": f"predicted from {self.features.name}", "clock": "measured"}

    @property
    def planned_steps(self) -> int:
        """One for all candidates, and one for each that is measured, if as many are found."""
        return 1 + (min(self.kept, self.count) if self.pick is Pick.validation else 0)

    def learnt(self) -> dict[str, Any]:
        """Weights of both networks, under their learners' names."""
        return dict(self._learnt)

    def load_learnt(self, state: Mapping[str, Any]) -> None:
        """Search with these networks."""
        self._learnt = dict(state)

    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Take the networks for the problem's space and look at its pictures."""
        if not self._learnt:
            raise ConfigError(
                "algorithm=metad2a searches with networks that were meta-trained: use "
                "meta=metad2a_database instead of meta=none"
            )
        if self.ranking is Ranking.source:
            self._require_another(problem.task)
        self._problem, self._streams = problem, streams
        self._writer = Writer(self.generator, problem.space, self._arrays("generator"))
        self._ranker = Ranker(self.predictor, problem.space, self._arrays("predictor"))
        self._ranked: Archs = np.zeros((0, len(problem.space.decisions)), np.int64)
        self._measured: list[float] = []

    def _require_another(self, target: Task) -> None:
        if source_of(self.source_task.name) == source_of(target.name):
            raise ConfigError(
                f"algorithm.source_task={self.source_task.name} is the data set that is searched: "
                "rank by another one's table"
            )

    def _arrays(self, learner: str) -> dict[str, Any]:
        prefix = f"{learner}/"
        return {
            name.removeprefix(prefix): array
            for name, array in self._learnt.items()
            if name.startswith(prefix)
        }

    def step(self) -> Measured:
        """Find and rank all candidates at first; then measure them one by one, while there are."""
        if not len(self._ranked):
            return self._search()
        if len(self._measured) == len(self._ranked):
            return self._nothing(0.0)
        measured = self._problem.evaluate(self._ranked[None, len(self._measured)])
        self._measured += measured.reward.tolist()
        return measured

    def recommend(self) -> Archs:
        """``(1, L)`` the candidate that the pick names."""
        rewards = np.array(self._measured)
        best = 0 if np.isnan(rewards).all() else int(np.nanargmax(rewards))
        return self._ranked[None, best]

    def shortlist(self) -> Archs | None:
        """``(1, k, L)`` the first candidates, if the best one by test score is asked for."""
        return self._ranked[None] if self.pick is Pick.oracle else None

    def _search(self) -> Measured:
        began = time.perf_counter()
        sets = self.sets(self._streams)
        found = self.found(sets)
        self._ranked = self._order(found, sets)[: self.kept]
        seconds = time.perf_counter() - began if self.own_costs else 0.0
        return self._nothing(seconds)

    def _nothing(self, seconds: float) -> Measured:
        """A step that measured nothing, and took so many seconds."""
        none = np.zeros(1, np.int64)
        first = self._ranked[None, 0]
        return Measured.scored(first, none, np.full(1, np.nan), np.array([seconds]), none)

    # The data set

    def sets(self, streams: Streams) -> Sets:
        """Draws of the target's pictures, as data sets of their own: features and classes."""
        features = self._pooled(self._problem.images())
        graphs = graphs_of(self._problem.space)
        expected = (features.shape[2], graphs.types, graphs.vertices)
        for name in self.learners:
            require_sizes(self._arrays(name), expected, f"the {name}")
        classes, held = features.shape[:2]
        count = min(self.pictures, held)
        chance = streams.fork("pictures").uniform(self.draws * classes * held)[0]
        drawn = chance.reshape(self.draws, classes, held).argsort(-1, kind="stable")[..., :count]
        vectors = features[np.arange(classes)[:, None], drawn]
        if int(self._arrays("generator")[SIZES][3]) == 1:
            vectors = vectors.mean(2, keepdims=True)
            vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True).clip(1e-12)
        features = torch.from_numpy(vectors.astype(np.float32)).flatten(0, 1)
        return features, torch.arange(self.draws * classes).reshape(self.draws, classes)

    def _pooled(self, found: SearchImages) -> Vectors:
        """``(C, k, d)`` features of some pictures of each class, the same ones for all trials."""
        images = found.train
        if self._seen is None or self._seen[0] is not images:
            streams = Streams([0], f"{self.name}/pool")
            rows = of_each_class(images.labels, self.pool, streams, found.class_names)
            vectors = self.features.of(images.pixels[rows.ravel()])
            self._seen = images, vectors.reshape(*rows.shape, -1)
        return self._seen[1]

    # The candidates

    def found(self, sets: Sets) -> Archs:
        """``(n, L)`` different candidates, ``count`` of them if there are as many."""
        space, draws = self._problem.space, self._streams.fork("candidates")
        if self.candidates is Candidates.records:
            return self._recorded(draws)
        codes = self.codes(sets)
        kept: dict[str, Archs] = {}
        idle = at = 0
        while len(kept) < self.count and idle < PATIENCE:
            before = len(kept)
            for arch in self._within(self._round(codes, draws, at)):
                kept.setdefault(space.canonical(arch), arch)
            idle = 0 if len(kept) > before else idle + 1
            at += 1
        if not kept:
            limit = "" if self.flops_m is None else f" within algorithm.flops_m={self.flops_m:g}"
            raise ConfigError(
                f"the generator wrote no architecture of space={space.name}{limit} in "
                f"{at * AT_ONCE} graphs: train it longer (algorithm.generator.epochs)"
                f"{limit and ', or set a higher limit'}"
            )
        return np.array(list(kept.values())[: self.count])

    def _recorded(self, draws: Streams) -> Archs:
        """``(n, L)`` different ones of the best cells on record, the more frequent ones earlier."""
        pairs, kept = self.recorded, dict[str, Archs]()
        for arch in self._within(pairs[draws.uniform(len(pairs))[0].argsort(kind="stable")]):
            kept.setdefault(self._problem.space.canonical(arch), arch)
        return np.array(list(kept.values())[: self.count])

    def _within(self, archs: Archs) -> Archs:
        """Those of ``archs (n, L)`` that keep the limit of FLOPs; unknown ones do not."""
        if self.flops_m is None:
            return archs
        return archs[self._problem.space.footprint(archs, self._problem.task)[1] <= self.flops_m]

    def _round(self, codes: Tensor, draws: Streams, at: int) -> Archs:
        """``(m, L)`` some more candidates, not all of them new."""
        if self.candidates is Candidates.uniform:
            return np.concatenate([self._problem.space.sample(draws) for _ in range(AT_ONCE)])
        archs, valid = self.written(codes, draws, at * AT_ONCE)
        return archs[valid]

    def written(self, codes: Tensor, draws: Streams, first: int = 0) -> tuple[Archs, Mask]:
        """``AT_ONCE`` written graphs: architectures ``(n, L)``, and ``(n,)`` which are any.

        Args:
            codes: ``(B, width)`` of the draws of pictures, which take turns.
            draws: of vertices and edges, one stream.
            first: how many graphs were written before.
        """
        own = codes[(np.arange(AT_ONCE) + first) % len(codes)]

        def uniforms(size: int) -> Tensor:
            return torch.from_numpy(draws.uniform(AT_ONCE * size)[0].reshape(AT_ONCE, size))

        return self._writer.write(own, uniforms, self.temperature)

    def codes(self, sets: Sets) -> Tensor:
        """``(B, width)`` codes of draws of pictures, from which graphs are written."""
        return self._writer.codes(*sets)

    @property
    def recorded(self) -> Archs:
        """``(n, L)`` the best architecture on record of each data set that was learnt from."""
        return np.asarray(self._arrays("generator")[PAIRS], np.int64)

    def _order(self, found: Archs, sets: Sets) -> Archs:
        """The candidates, best first."""
        if self.pick is Pick.random:
            return found[self._streams.fork("pick").integers(len(found))[0]]
        if self.ranking is Ranking.none:
            return found
        by_source = self.ranking is Ranking.source
        scores = self._by_source(found) if by_source else self._ranker.score(found, *sets)
        return found[np.argsort(-scores, kind="stable")]

    def _by_source(self, found: Archs) -> Floats:
        """``(n,)`` scores on the source's task, higher is better; unknown ones come last."""
        session: Measuring = self.source.opened(self._problem.space, self.source_task)
        epochs = np.full(len(found), session.fidelities[-1])
        streams = Streams([0] * len(found), f"{self.name}/source")
        score = session.evaluate(found, epochs=epochs, streams=streams).score
        return np.nan_to_num(session.metric.oriented(score), nan=-np.inf)
