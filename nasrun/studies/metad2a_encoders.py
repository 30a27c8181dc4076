"""MetaD2A's Table 5: what each set encoder adds to the predictor's correlation."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from math import nan, sqrt
from typing import Any

import numpy as np
import torch

from nasrun.algorithms.metad2a import MetaD2A
from nasrun.algorithms.metad2a_predictor import Predictor, Ranker
from nasrun.errors import ConfigError
from nasrun.experiment import Opened
from nasrun.meta.metad2a_database import MetaD2ADatabase
from nasrun.nets.set_encoders import Outline, SetEncoding
from nasrun.ranges import require_at_least
from nasrun.report.compare import read_published
from nasrun.report.studied import Finding
from nasrun.spec import Floats, Ints, Library, Mask, Records, SearchSpace, Task, Vectors
from nasrun.studies.base import Study

TASK = "imagenet_subsets"
R = "pearson_r"
ALONE = "data set alone (ridge)"
OURS = "ours: with a linear path from the data set"
ENCODERS: Mapping[SetEncoding, str] = {  # and what the published table calls them
    SetEncoding.none: "graph_encoder",
    SetEncoding.deep_set: "deep_set",
    SetEncoding.set_transformer: "set_transformer",
    SetEncoding.statistics: "statistical_pooling",
    SetEncoding.hierarchical: "metad2a",
}
PENALTIES = 10.0 ** np.arange(-3, 7)  # of the ridge, chosen by leaving one record out


@dataclass
class SetEncoders(Study):
    """A predictor for each set encoder, learnt from the records of ``meta``.

    Table 5 of Lee et al. (ICLR 2021): Pearson's r on the records that are held out, which nothing
    was chosen by. Where there are two judgements, the paper's r is of all scores together; a second
    one is of scores that are standardised apart. A model that knows the data set alone has most of
    it: so the first row is a ridge on what the data set's ``Outline`` says, and beside r stands
    what a search needs, the share of pairs of one data set, at least one of them held out, that are
    in the right order.

    With ``folds``, the same share follows of the pairs of all data sets with two records or more:
    the data sets are parted, by their numbers, and each part is judged by a predictor that has
    learnt from the others.

    With ``trainings``, a ``trainings.csv`` on subsets of the classes of ``source``, Spearman's
    correlation within a data set follows: of predictors learnt from the other data sets of that
    table (for ``epochs``), and of the one that the algorithm searches with.

    Raises:
        ConfigError: a number out of its range; trainings without the source of their pictures.
    """

    name: str = "metad2a_encoders"
    title: str = "What set encoders add to MetaD2A's predictor"
    notes: list[str] = field(default_factory=list[str])
    decimals: int = 3
    encodings: list[SetEncoding] = field(default_factory=lambda: list(ENCODERS))
    trainings: str | None = None
    source: Any = field(default=None)  # a Task of any class
    pictures: int = 20
    epochs: int = 300
    folds: int | None = None

    def __post_init__(self) -> None:
        require_at_least(self, "study", 2, "pictures", "folds")
        require_at_least(self, "study", 1, "epochs")
        if self.trainings is not None and not isinstance(self.source, Task):
            raise ConfigError(
                "study.trainings needs the pictures that its networks were trained on: choose them "
                "with +task@study.source=in16"
            )

    def measured(self, opened: Opened) -> list[Finding]:
        """A row for each encoder, on the records and then on the trainings."""
        return [found for part in self.parts(opened) for found in part()]

    def parts(self, opened: Opened) -> Sequence[Callable[[], Iterable[Finding]]]:
        """The ridge, and then the encoders one by one, figure by figure and table by table."""
        algorithm, library = opened.experiment.algorithm, opened.pool
        if not isinstance(algorithm, MetaD2A) or not isinstance(library, Library):
            raise ConfigError(
                f"study={self.name} is of algorithm=metad2a and meta=metad2a_database: choose both"
            )
        space, records = opened.experiment.space, library.records()
        recipes = self._recipes(algorithm.predictor).items()
        found: list[Callable[[], Iterable[Finding]]] = []
        for figure, known in correlated(records).items():
            found.append(partial(_by_the_set_alone, figure, known))
            paired = known is records  # joint scores do not compare within a data set
            found += [partial(_held_out, figure, paired, *own, known, space) for own in recipes]
        if self.folds is not None:
            found += [partial(_folded, *own, records, space, self.folds) for own in recipes]
        if self.trainings is not None:
            known = cache(partial(self._known, opened, algorithm))
            found += [partial(self._left_out, *own, known, space) for own in recipes]
            found += [partial(self._searched_with, algorithm, known, space)]
        return found

    def _recipes(self, own: Predictor) -> dict[str, Predictor]:
        """Predictors by name: those of the paper, and the algorithm's own."""
        papers = {
            ENCODERS[encoding]: replace(own, encoding=encoding, direct=False)
            for encoding in self.encodings
        }
        return {**papers, OURS: own}

    def _known(self, opened: Opened, algorithm: MetaD2A) -> Records:
        """Records of the trainings."""
        pool = MetaD2ADatabase(
            path=self.trainings, source=self.source, features=algorithm.features,
            pictures=self.pictures, held_out=0.0,
        )  # fmt: skip
        experiment = opened.experiment
        return pool.opened(experiment.space, experiment.task, experiment.evaluator).records()

    def _left_out(
        self, name: str, recipe: Predictor, known: Callable[[], Records], space: SearchSpace
    ) -> Iterator[Finding]:
        """Rank correlations within each data set of the trainings, learnt from the others."""
        records, own = known(), replace(recipe, epochs=self.epochs)
        predicted = _left_out(own, records, space, records.dataset)
        yield from _rank_correlations(self._where, f"{name}, left out", predicted, records)

    def _searched_with(
        self, algorithm: MetaD2A, known: Callable[[], Records], space: SearchSpace
    ) -> Iterator[Finding]:
        """The same of the predictor that the algorithm searches with."""
        records = known()
        learnt = {
            key.removeprefix("predictor/"): array
            for key, array in algorithm.learnt().items()
            if key.startswith("predictor/")
        }
        ranker = Ranker(algorithm.predictor, space, learnt)
        predicted = scores(ranker, replace(records, features=_means(records)))
        yield from _rank_correlations(self._where, "learnt from meta", predicted, records)

    @property
    def _where(self) -> str:
        return f"{self.source.name}: rank correlation within a data set"


def correlated(records: Records) -> dict[str, Records]:
    """Records with the scores that a correlation is of, by its figure; the published one first."""
    if records.joint_score is None:
        return {R: records}
    joint = replace(records, score=records.joint_score, judgement=None, joint_score=None)
    return {R: joint, f"{R}, judgements apart": records}


def _by_the_set_alone(figure: str, records: Records) -> Iterator[Finding]:
    """The correlation of a ridge on the data sets."""
    yield _correlation(figure, ALONE, ridge(records), records)


def _held_out(
    figure: str, paired: bool, name: str, recipe: Predictor, records: Records, space: SearchSpace
) -> Iterator[Finding]:
    """Correlation of what is held out, and if it is ``paired`` the share of pairs in order."""
    learnt = recipe.learn(records, space)
    predicted = scores(Ranker(recipe, space, learnt.arrays), records)
    yield _correlation(figure, name, predicted, records)
    if paired:
        yield _in_order(TASK, name, predicted, records)


def _folded(
    name: str, recipe: Predictor, records: Records, space: SearchSpace, folds: int
) -> Iterator[Finding]:
    """Pairs in order of all data sets, by predictors that have seen none of their records."""
    unseen = replace(records, held_out=np.ones(len(records.archs), np.bool_))
    where = f"{TASK}: pairs of all data sets, in {folds} parts"
    predicted = _left_out(recipe, records, space, records.dataset % folds)
    yield _in_order(where, name, predicted, unseen)


def _means(records: Records) -> Vectors:
    """``(C, 1, d)`` the mean picture of each class, at length 1."""
    means = records.features.mean(1, keepdims=True)
    return means / np.linalg.norm(means, axis=-1, keepdims=True).clip(1e-12)


def _left_out(recipe: Predictor, records: Records, space: SearchSpace, part: Ints) -> Floats:
    """``(n,)`` scores by predictors that have seen the records of other parts ``(n,)`` alone."""
    found = np.empty(len(records.archs))
    for own in np.unique(part):
        out = part == own
        learnt = recipe.learn(replace(records, held_out=out), space)
        found[out] = scores(Ranker(recipe, space, learnt.arrays), records, out)[out]
    return found


def scores(ranker: Ranker, records: Records, asked: Mask | None = None) -> Floats:
    """``(n,)`` of all records, or of those that are ``asked`` for; NaN elsewhere."""
    asked = np.ones(len(records.archs), np.bool_) if asked is None else asked
    found = np.full(len(asked), np.nan)
    for own in np.unique(records.dataset[asked]):
        rows = asked & (records.dataset == own)
        classes = list(records.datasets[own])
        features = torch.from_numpy(records.features[classes])
        found[rows] = ranker.score(records.archs[rows], features, torch.arange(len(classes))[None])
    return found


def ridge(records: Records) -> Floats:
    """``(n,)`` scores of a linear function of each data set's outline, whatever the architecture.

    Learnt by least squares from what is not held out, with the penalty that does best when one
    record at a time is left out.
    """
    outline = Outline(records.features.shape[2])
    sets = torch.tensor([list(records.datasets[own]) for own in records.dataset])
    x = outline(torch.from_numpy(records.features), sets).double().numpy()
    known = ~records.held_out
    middle, target = x[known].mean(0), records.score[known]
    left, spread, right = np.linalg.svd(x[known] - middle, full_matrices=False)
    level = target.mean()
    shares = [spread**2 / (spread**2 + penalty) for penalty in PENALTIES]
    errors = [_left_one_out(left, share, target - level) for share in shares]
    best = shares[int(np.argmin(errors))]
    weights = right.T @ (best / spread * (left.T @ (target - level)))
    return level + (x - middle) @ weights


def _left_one_out(left: Floats, share: Floats, target: Floats) -> float:
    """Mean squared error of each record, predicted from all others."""
    fitted = left @ (share * (left.T @ target))
    leverage = (left**2 * share).sum(1) + 1.0 / len(target)
    return float((((target - fitted) / (1.0 - leverage)) ** 2).mean())


def _correlation(figure: str, name: str, predicted: Floats, records: Records) -> Finding:
    """Pearson's r on what is held out."""
    out = records.held_out
    known = read_published("metad2a_table5", figure).get((name, TASK, TASK))
    varies = out.any() and np.ptp(predicted[out]) > 0 and np.ptp(records.score[out]) > 0
    n, r = int(out.sum()), nan
    if varies:
        r = float(np.corrcoef(predicted[out], records.score[out])[0, 1])
    error = (1 - r**2) / sqrt(n - 3) if n > 3 else nan  # by Fisher's transformation
    return Finding(TASK, name, figure, n, r, known.mean if known else nan, error)


def _in_order(where: str, name: str, predicted: Floats, records: Records) -> Finding:
    """The share of pairs in order, and its standard error if data sets are drawn at random."""
    right, count = pairs_in_order(predicted, records)
    pairs, sets = int(count.sum()), np.count_nonzero(count)
    share = float(right.sum() / pairs) if pairs else nan
    error = nan
    if sets > 1:
        squares = float(((right - share * count) ** 2).sum())
        error = sqrt(sets / (sets - 1) * squares) / pairs
    return Finding(where, name, "pairs_in_order", pairs, share, error=error)


def _rank_correlations(
    where: str, name: str, predicted: Floats, records: Records
) -> Iterator[Finding]:
    from scipy.stats import rankdata

    sets = np.unique(records.dataset).tolist()
    found: list[float] = []
    for place, own in enumerate(sets):
        rows = records.dataset == own
        ranks = rankdata(predicted[rows]), rankdata(records.score[rows])
        found.append(float(np.corrcoef(*ranks)[0, 1]))
        figure = f"data set {place + 1}, {len(records.datasets[own])} classes"
        yield Finding(where, name, figure, int(rows.sum()), found[-1])
    error = float(np.std(found, ddof=1)) / sqrt(len(found)) if len(found) > 1 else nan
    yield Finding(where, name, "mean", len(predicted), float(np.mean(found)), error=error)


def pairs_in_order(predicted: Floats, records: Records) -> tuple[Ints, Ints]:
    """How many pairs of each data set are in the right order, and how many it has.

    Pairs of one data set and one judgement, of different scores, that are not both learnt from.
    """
    judgement = np.zeros(len(predicted)) if records.judgement is None else records.judgement
    right, count = np.zeros((2, len(records.datasets)), np.int64)
    for first, second in _pairs(records):
        apart = records.score[first] - records.score[second]
        held_out = records.held_out[first] or records.held_out[second]
        if held_out and apart and judgement[first] == judgement[second]:
            own = records.dataset[first]
            count[own] += 1
            right[own] += (predicted[first] - predicted[second]) * apart > 0
    return right, count


def _pairs(records: Records) -> Iterator[tuple[int, int]]:
    """Rows of the records, two of one data set at a time."""
    for own in np.unique(records.dataset):
        rows: list[int] = np.flatnonzero(records.dataset == own).tolist()
        for at, first in enumerate(rows):
            for second in rows[:at]:
                yield first, second
