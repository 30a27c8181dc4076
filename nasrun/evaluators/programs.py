"""Programs that learn, judged by what they have learnt."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from typing import Any, ClassVar, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from nasrun.errors import UnsupportedError
from nasrun.programs.effective import effective
from nasrun.programs.interpreter import Examples, Interpreter, Memory, Ran
from nasrun.programs.program import Program
from nasrun.ranges import require_at_least
from nasrun.spec import (
    Archs,
    Clock,
    Evaluator,
    Floats,
    Ints,
    Measured,
    Metric,
    Protocol,
    Scored,
    SearchSpace,
    Session,
    Streams,
    Task,
)
from nasrun.spec.vectors import VectorTask

RANDOM = 4321  # seed of the random numbers in programs
HALF = 0.5
AT_ONCE = 512  # programs run together


class _Known(NamedTuple):
    """What a trial remembers: scores by what a program is, and by what it has answered."""

    texts: dict[str, float]
    answers: dict[bytes, float]


@dataclass
class Programs(Evaluator):
    """Runs programs on the data sets of a ``VectorTask``; the score is their mean.

    Real et al. (2020), section 3 and Figure 1, and google-research ``automl_zero``
    (``evaluator.cc``): an answer of two classes goes through a sigmoid before it is learnt from; a
    program with an error above 100, or none that is a number, has 0 on that data set.

    **Functional equivalence.** A program first runs on ``probe`` examples of both parts. If another
    one of the same search has given the same answers, it has that one's score. One that differs
    from another in instructions of no effect alone does not even run so far.

    Departures: no hurdles, which the release lacks, too; no limit of costs, because sizes are
    limited by the space.

    Args:
        probe: examples of each part behind the test of equivalence; 0: every program is run.
        kept: answers that a search remembers; the oldest go.
    """

    name: str = "programs"
    probe: int = 10
    kept: int = 100_000

    clock: ClassVar[Clock] = Clock.SIMULATED

    def __post_init__(self) -> None:
        require_at_least(self, "evaluator", 0, "probe")
        require_at_least(self, "evaluator", 1, "kept")

    def opened(self, space: SearchSpace, task: Task) -> "ProgramsSession":
        """Make or read the data sets of the search.

        Raises:
            UnsupportedError: the task has no vectors, or the space no programs.
        """
        return ProgramsSession(self, space, task)


class ProgramsSession(Session):
    """Runs of programs on a task."""

    def __init__(self, settings: Programs, space: SearchSpace, task: Task) -> None:
        self.name, self._settings, self._space = settings.name, settings, space
        self._task = self._require(task)
        self.metric = self._task.metric
        space.programs(np.zeros((1, len(space.decisions)), np.int64))
        # By search and trial: what was answered, and its score. Trials share nothing.
        self._known: WeakKeyDictionary[Streams, dict[int, _Known]] = WeakKeyDictionary()
        self.counts = Counter[str]()  # programs that were asked about, and those that were run

    def _require(self, task: Task) -> VectorTask:
        if not isinstance(task, VectorTask):
            raise UnsupportedError(
                f"evaluator={self.name} lets programs learn from vectors, which task={task.name} "
                "has none of: use task=vectors or task=vectors_cifar10"
            )
        return task

    @cached_property
    def _examples(self) -> Examples:
        return self._task.examples(final=False)

    @property
    def fidelities(self) -> tuple[int, ...]:
        """One pass over the examples."""
        return (1,)

    def evaluate(
        self, archs: Archs, *, epochs: Ints, streams: Streams, parents: Archs | None = None
    ) -> Measured:
        """Scores of ``archs (T, L)``."""
        alone = self.evaluate_generation(archs[:, None], epochs=epochs, streams=streams)
        return alone.best_of_generation()

    def evaluate_generation(self, archs: Archs, *, epochs: Ints, streams: Streams) -> Measured:
        """Scores of ``archs (T, N, L)``."""
        trials, members = archs.shape[:2]
        programs = self._space.programs(archs.reshape(trials * members, -1))
        self.counts["asked"] += len(programs)
        seeds = np.repeat(streams.seeds, members).tolist()
        known = self._known.setdefault(streams.origin, {})
        score = self._remembered(programs, seeds, known).reshape(trials, members)
        lengths = np.repeat(epochs[:, None], members, axis=1)
        return Measured.scored(archs, lengths, score, np.full(score.shape, np.nan))

    def _remembered(
        self, programs: Sequence[Program], seeds: list[int], known: dict[int, _Known]
    ) -> Floats:
        """``(n,)`` scores of programs of the trials with these seeds."""
        if not self._settings.probe:
            return self._scores(programs)
        short = [effective(program) for program in programs]
        texts = [program.text for program in short]
        own = [known.setdefault(seed, _Known({}, {})) for seed in seeds]
        met = {(seed, text): at for at, (seed, text) in enumerate(zip(seeds, texts, strict=True))
               if text not in own[at].texts}  # fmt: skip
        found = self._probed([short[at] for at in met.values()], [own[at] for at in met.values()])
        for at, score in zip(met.values(), found, strict=True):
            own[at].texts[texts[at]] = score
        scores = [one.texts[text] for one, text in zip(own, texts, strict=True)]
        for cache in known.values():
            _forget(cache.texts, self._settings.kept)
            _forget(cache.answers, self._settings.kept)
        return np.array(scores)

    def _probed(self, programs: Sequence[Program], own: Sequence[_Known]) -> list[float]:
        """Scores of programs of which nothing is known but what others have answered."""
        first = self._examples.first(self._settings.probe)
        keys = [key for part in _parts(programs) for key in _keys(self._run(part, first))]
        new = {(id(one), key): at for at, (one, key) in enumerate(zip(own, keys, strict=True))
               if key and key not in one.answers}  # fmt: skip
        scores = self._scores([programs[at] for at in new.values()])
        for at, score in zip(new.values(), scores.tolist(), strict=True):
            own[at].answers[keys[at]] = score
        return [one.answers[key] if key else 0.0 for one, key in zip(own, keys, strict=True)]

    def _scores(self, programs: Sequence[Program]) -> Floats:
        """``(n,)`` scores of programs that are run on all examples."""
        self.counts["run"] += len(programs)
        return self._scores_on(self._examples, programs)

    def _scores_on(self, examples: Examples, programs: Sequence[Program]) -> Floats:
        found = [self._judged(self._run(part, examples), examples) for part in _parts(programs)]
        return np.concatenate([np.zeros((0, len(examples.train_y))), *found]).mean(axis=1)

    def _run(self, programs: Sequence[Program], examples: Examples) -> Ran:
        task, memory = self._task, self._memory
        sets = len(examples.train_y)
        interpreter = Interpreter(programs, memory, sets, task.features, RANDOM)
        return interpreter.run(examples, squash=task.two_classes)

    @cached_property
    def _memory(self) -> Memory:
        return self._space.program_memory

    def _judged(self, ran: Ran, examples: Examples) -> Floats:
        """``(P, D)`` scores by data set; 0 on those where a program has failed."""
        labels = examples.valid_y
        if self._task.two_classes:
            score = 100.0 * ((ran.valid > HALF) == (labels > HALF)).mean(axis=-1)
        else:
            with np.errstate(all="ignore"):  # of programs that failed
                error = np.sqrt(((ran.valid - labels) ** 2).mean(axis=-1))
            score = 1.0 - 2.0 / np.pi * np.arctan(error)
        return np.where(ran.failed, 0.0, score)

    def by_set(self, archs: Archs, *, final: bool) -> Floats:
        """``(n, D)`` scores of programs on each data set of the search, or of the final ones."""
        programs = [effective(program) for program in self._space.programs(archs)]
        examples = self._task.examples(final=final)
        return np.concatenate(
            [self._judged(self._run(part, examples), examples) for part in _parts(programs)]
        )

    def final_metric(self, task: Task) -> Metric:
        """As in the search."""
        return self._require(task).metric

    def check_final(self, task: Task) -> None:
        """Refuse a final task of other vectors."""
        if self._require(task).features != self._task.features:
            raise UnsupportedError(
                f"retrain.tasks names {task.name}, whose vectors are not as long as those of "
                f"task={self._task.name}: leave it out"
            )

    def score(self, archs: Archs, task: Task) -> Scored:
        """Scores on the data sets of the search and on others; ranks are not known."""
        own = self._require(task)
        programs = self._space.programs(archs)
        valid, test = (
            self._scores_on(own.examples(final=final), programs) for final in (False, True)
        )
        unknown = np.full(len(archs), np.nan)
        return Scored(valid, test, unknown, unknown, unknown, "one pass")

    @property
    def protocol(self) -> Protocol:
        """What is learnt from."""
        task = self._task
        fidelity = f"one pass over {task.train_images} examples, {task.sets} data sets"
        return Protocol(task.search_split, fidelity, "-", "none: runs are not timed")

    @property
    def files(self) -> Mapping[str, str]:
        """Those of the pictures that vectors are made of."""
        return self._task.files


def _parts(programs: Sequence[Program]) -> list[Sequence[Program]]:
    return [programs[at : at + AT_ONCE] for at in range(0, len(programs), AT_ONCE)]


def _forget(scores: dict[Any, float], kept: int) -> None:
    """Let the oldest go."""
    for key in list(islice(scores, max(0, len(scores) - kept))):
        del scores[key]


def _keys(ran: Ran) -> list[bytes]:
    """By program a digest of its answers; empty if it learns from no data set without failing."""
    answers = np.concatenate([ran.train, ran.valid], axis=2) + 0.0  # no negative zero
    answers[np.arange(answers.shape[2]) >= ran.lasted[:, :, None]] = np.nan  # one NaN for all
    hopeless = np.logical_and.reduce(ran.failed_learning, axis=1).tolist()
    return [
        b"" if bad else blake2b(own.tobytes(), digest_size=16).digest()
        for own, bad in zip(answers, hopeless, strict=True)
    ]
