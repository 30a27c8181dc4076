"""Every contract of nasrun on one page: what a space, an evaluator, hardware and an algorithm are.

Shapes: ``T`` trials of a cohort, ``L`` decisions of an architecture, ``n`` any number of rows.
Architectures are ``(n, L)`` int arrays that hold the index of the option chosen at each decision.
Accuracies are percentages (``acc_pct``), times seconds (``cost_s``) or milliseconds
(``latency_ms``). A missing figure is NaN in memory and an empty cell on disk, never 0 or -1.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.images import Splits
from nasrun.streams import Floats, Ints, Streams

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

Archs = NDArray[np.int64]
Mask = NDArray[np.bool_]
Edges = list[tuple[str, str, str]]


class Phase(Enum):
    """What a cohort is played for."""

    META_TRAIN = "meta_train"
    SEARCH = "search"


class Clock(Enum):
    """Where a cost comes from: the seconds a table reports, or the seconds this machine took."""

    SIMULATED = "simulated"
    MEASURED = "measured"


# Gives the task of a file, by its name and by values that stand in for those of the file.
NamedTask = Callable[[str, Mapping[str, Any]], "Task"]


class TaskMaker(ABC):
    """What a task file describes: a task, or how to make one of other tasks or of a folder."""

    name: str

    @abstractmethod
    def make(self, named: "NamedTask") -> "Task":
        """The task; ``named`` gives the one that another file describes."""


@dataclass
class Task(TaskMaker):
    """A dataset with the split that a search on it uses (NAS-Bench-201's names).

    Raises:
        ConfigError: a count below 1.
    """

    name: str
    classes: int
    image_px: int
    search_split: str  # training and validation images during the search
    final_split: str  # training and test images of the final score
    valid_images: int  # size of the validation part of search_split
    train_images: int  # size of the training part of search_split

    def __post_init__(self) -> None:
        for key in ("classes", "image_px", "valid_images", "train_images"):
            if getattr(self, key) < 1:
                raise ConfigError(f"task.{key} must be at least 1, got {getattr(self, key)}")

    def make(self, named: "NamedTask") -> "Task":
        """The task itself."""
        return self

    def load(self) -> Splits:
        """The task's images. Read where they are needed: a search by a table needs none."""
        raise UnsupportedError(f"task={self.name} has no images: use evaluator=tabular")

    @property
    def loaded(self) -> Splits | None:
        """The images, if ``load`` has read them."""
        return None

    def subset(self, classes: Sequence[int]) -> "Task":
        """The same images, of these classes alone, numbered anew in the order given."""
        raise UnsupportedError(f"task={self.name} has no images to take classes from")


@dataclass
class Scale:
    """How large a network is built; None is the space's own size.

    Raises:
        ConfigError: a count below 1.
    """

    channels: int | None = None  # of the first stage
    cells: int | None = None  # per stage (nb201), or in all (darts)

    def __post_init__(self) -> None:
        for key in ("channels", "cells"):
            if (value := getattr(self, key)) is not None and value < 1:
                raise ConfigError(f"{key} must be at least 1, got {value}")


class Supernet(Protocol):
    """A network that holds every architecture of a space (a ``torch.nn.Module``).

    ``rows`` are the option names of each row of mixing weights: one row per decision, or per edge
    where a space decides which edges there are. ``groups`` are the rows of the edges that enter
    the same node, where rows are edges.
    """

    rows: tuple[tuple[str, ...], ...]
    groups: tuple[tuple[int, ...], ...]

    def __call__(self, x: "Tensor", mixing: "Sequence[Tensor]") -> "Tensor":
        """``(B, classes)`` logits of ``x (B, C, H, W)``.

        ``mixing`` has the weights of each row, ``(options,)`` for the whole batch or
        ``(B, options)`` image by image. An option of weight zero is not computed, but its weight
        still gets its gradient (straight-through estimators need it).
        """
        ...

    def rows_of(self, arch: Archs) -> Ints:
        """``(rows,)`` the option that ``arch (L,)`` takes in each row."""
        ...

    def derive(self, scores: "Sequence[Floats]") -> Archs:
        """``(L,)`` the architecture that ``scores``, ``(options,)`` for each row, speak for."""
        ...

    def parameters(self, recurse: bool = True) -> "Iterator[nn.Parameter]":
        """The network's own weights; mixing weights are none of them."""
        ...


@dataclass(frozen=True)
class Measured:
    """One measurement per trial: what was measured and what it cost.

    ``archs (T, L)``, ``epochs (T,)`` of training behind the score, ``val_acc_pct (T,)``,
    ``cost_s (T,)``; ``latency_ms (T,)`` and ``reward (T,)`` are NaN until the problem adds them.
    """

    archs: Archs
    epochs: Ints
    val_acc_pct: Floats
    cost_s: Floats
    latency_ms: Floats
    reward: Floats


@dataclass(frozen=True)
class Scored:
    """Final figures of ``(n,)`` architectures on one task: the retrain stage's answer.

    ``rank`` counts the architectures that are strictly better in validation accuracy, plus one.
    ``final`` says in words which trainings the figures come from; it stands in every row.
    """

    val_acc_pct: Floats
    test_acc_pct: Floats
    params_m: Floats
    flops_m: Floats
    rank: Floats
    final: str


class SearchSpace(ABC):
    """A finite set of architectures, as a sequence of decisions."""

    name: str

    @property
    @abstractmethod
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """Option names per decision, ``L`` of them."""

    @abstractmethod
    def sample(self, streams: Streams) -> Archs:
        """``(T, L)`` architectures, uniform over the space."""

    @abstractmethod
    def mutate(self, archs: Archs, streams: Streams) -> Archs:
        """``(T, L)`` copies in which exactly one decision differs."""

    @abstractmethod
    def neighbours(self, arch: Archs) -> Archs:
        """``(n, L)`` architectures that differ from ``arch (L,)`` in exactly one decision."""

    @abstractmethod
    def legal(self, prefix: Archs) -> Mask:
        """``(n, options)`` options allowed next after ``prefix (n, l)``, ``l < L``."""

    @abstractmethod
    def canonical(self, arch: Archs) -> str:
        """Key of ``arch (L,)`` that all encodings of the same network share."""

    @abstractmethod
    def encode(self, archs: Archs) -> Floats:
        """``(..., features)`` numeric encoding for predictors and policies."""

    @abstractmethod
    def text(self, arch: Archs) -> str:
        """The published notation of ``arch (L,)``."""

    @abstractmethod
    def parse(self, text: str) -> Archs:
        """``(L,)`` architecture of a text; ConfigError shows where a bad text goes wrong."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of architectures (encodings)."""

    @abstractmethod
    def index(self, archs: Archs) -> Ints:
        """``(...,)`` number of each architecture, 0 to ``size - 1``."""

    @abstractmethod
    def at(self, index: Ints) -> Archs:
        """``(..., L)`` architectures with these numbers."""

    def footprint(self, archs: Archs, task: Task) -> tuple[Floats, Floats]:
        """``(n,)`` parameters in millions and FLOPs in millions; NaN where no formula is known."""
        unknown = np.full(len(archs), np.nan)
        return unknown, unknown

    def graph(self, arch: Archs) -> Edges:
        """Edges ``(from, to, operation)`` of the cell, for drawings."""
        raise UnsupportedError(f"space={self.name} has no cell to draw")

    def build(self, arch: Archs, task: Task, scale: Scale) -> "nn.Module":
        """The network of ``arch (L,)`` for a task: ``(B, C, H, W)`` images to logits."""
        raise UnsupportedError(f"space={self.name} has no network: use evaluator=tabular")

    def supernet(self, task: Task, scale: Scale, *, share: int = 1, track: bool = True) -> Supernet:
        """One network of all architectures, for methods that share weights.

        One channel in ``share`` goes through the operations, the others bypass them. ``track``:
        whether batch normalisation keeps running statistics to judge by.
        """
        raise UnsupportedError(f"space={self.name} has no supernet: use a sample-based algorithm")


class Hardware(ABC):
    """A device: how fast an architecture runs on it, and how that weighs in the reward."""

    name: str

    @abstractmethod
    def start(self, space: SearchSpace, task: Task) -> None:
        """Load what the device needs for this space and task."""

    @abstractmethod
    def latency_ms(self, archs: Archs) -> Floats:
        """``(T,)`` latency of one inference; NaN where the device knows none."""

    @abstractmethod
    def reward(self, score_pct: Floats, latency_ms: Floats) -> Floats:
        """``(T,)`` what the search maximises."""

    def files(self) -> Mapping[str, str]:
        """Data files read so far and their sha256."""
        return {}


class Evaluator(ABC):
    """A judge of architectures: a table, or training."""

    name: str
    clock: ClassVar[Clock]
    gives_accuracy: ClassVar[bool] = True  # whether its final figures are accuracies

    @abstractmethod
    def start(self, space: SearchSpace, task: Task) -> None:
        """Load what is needed to judge architectures of ``space`` on ``task``."""

    @property
    @abstractmethod
    def fidelities(self) -> tuple[int, ...]:
        """Training lengths in epochs that can be measured, ascending; the last is the full one."""

    @abstractmethod
    def evaluate(self, archs: Archs, *, epochs: Ints, streams: Streams) -> Measured:
        """Validation accuracy and cost of ``archs (T, L)`` after ``epochs (T,)``; no reward yet."""

    def check_final(self, task: Task) -> None:  # noqa: B027 - most evaluators serve all tasks
        """Refuse, before the search, a final task that ``score`` could not serve after it."""

    @abstractmethod
    def score(self, archs: Archs, task: Task) -> Scored:
        """Final figures, test accuracy included. Only the retrain stage may call it."""

    def check_export(self, formats: list[str]) -> None:
        """Refuse, before the search, formats that ``export`` could not write after it."""
        raise UnsupportedError(
            f"evaluator={self.name} trains no network to export: set retrain.export=[], or use "
            "evaluator=training"
        )

    def export(self, arch: Archs, task: Task, stem: "Path", formats: list[str]) -> None:
        """Write the network of ``arch (L,)`` that ``score`` trained, beside each other."""
        self.check_export(formats)

    @property
    @abstractmethod
    def protocol(self) -> Mapping[str, str]:
        """``split``, ``fidelity``, ``run`` and ``clock`` in words: they stand in every CSV row."""

    def files(self) -> Mapping[str, str]:
        """Data files read so far and their sha256."""
        return {}


@dataclass(frozen=True)
class Problem:
    """What an algorithm may see of a run. Test accuracy is not among it.

    ``reward`` is what the search maximises, ``(n,)`` of accuracies ``score_pct`` and latencies
    ``latency_ms``: for methods that measure by themselves; ``measure`` has it in what it returns.
    ``folder`` is where a trial that is played alone may keep checkpoints; it goes when the trial is
    on record. None: nothing is kept.
    """

    space: SearchSpace
    task: Task
    trials: int
    fidelities: tuple[int, ...]
    measure: Callable[[Archs, Ints], Measured]
    latency_ms: Callable[[Archs], Floats]
    reward: Callable[[Floats, Floats], Floats]
    folder: "Path | None" = None

    def evaluate(self, archs: Archs, epochs: int | Ints | None = None) -> Measured:
        """Measure ``archs (T, L)`` after ``epochs`` (default: the full training), with reward."""
        full = self.fidelities[-1] if epochs is None else epochs
        return self.measure(archs, np.broadcast_to(np.asarray(full, np.int64), len(archs)))


class Algorithm(ABC):
    """A search method. Its dataclass fields are its hyper-parameters and their schema.

    State that a run builds up is set in ``start``, never as a field. All trials advance together:
    ``step`` always moves all ``T`` of them, and ``play`` ignores those whose budget is spent, so
    an algorithm never needs to know who has finished.
    """

    name: str
    cohort: ClassVar[bool] = True  # False: the pipeline plays the trials one after the other
    learns_to_search: ClassVar[bool] = False  # True: meta-training leaves something to ``learnt``
    trains: ClassVar[bool] = False  # True: it trains by itself, and its costs are measured ones

    @abstractmethod
    def start(self, problem: Problem, streams: Streams, phase: Phase) -> None:
        """Begin on a problem: keep what was learnt, drop what belonged to the last task."""

    @abstractmethod
    def step(self) -> Measured:
        """Do the smallest piece of work and return it with its cost."""

    @abstractmethod
    def recommend(self) -> Archs:
        """``(T, L)`` the architectures to report if the search ended now. Free of charge."""

    @property
    def startup_steps(self) -> int:
        """Leading steps that only fill an initial population or history."""
        return 0

    @property
    def planned_steps(self) -> int | None:
        """Steps of a method whose schedule has an end (epochs of a supernet); None: no end."""
        return None

    @property
    def protocol(self) -> Mapping[str, str]:
        """Words that replace the evaluator's, where a method measures by itself."""
        return {}

    def learnt(self) -> dict[str, Any]:
        """Arrays worth keeping from meta-training; empty for methods that learn nothing."""
        return {}

    def load_learnt(self, state: Mapping[str, Any]) -> None:
        """Take over what ``learnt`` returned; refused by methods that learn nothing."""
        if state:
            raise UnsupportedError(f"algorithm={self.name} cannot be meta-trained: use meta=none")


class MetaPool(ABC):
    """Tasks to learn searching on, before the search proper: what meta-training is made of.

    ``agents`` are trained side by side, agent ``a`` with seed ``seed + a``. Each of ``epochs`` meta
    epochs is a search of ``networks`` measurements on one task of the pool.
    """

    name: str
    agents: int
    epochs: int
    networks: int
    seed: int

    @abstractmethod
    def start(self, space: SearchSpace, target: Task, evaluator: Evaluator) -> None:
        """Make the pool for a search on ``target``, whose ``evaluator`` has been started."""

    @abstractmethod
    def problem(self, epoch: int) -> tuple[Task, Evaluator]:
        """The task of a meta epoch and the evaluator started for it."""

    @property
    @abstractmethod
    def label(self) -> str:
        """The pool in a few words, once started: they stand in every row that it led to."""

    def files(self) -> Mapping[str, str]:
        """Data files read so far and their sha256."""
        return {}


@dataclass
class Retrain:
    """How the found architectures are scored in the end.

    Raises:
        ConfigError: a task that stands twice, whose rows would too.
    """

    tasks: list[str] = field(default_factory=list[str])  # task names; empty: the searched task
    export: list[str] = field(default_factory=list[str])  # file formats of the trained networks

    def __post_init__(self) -> None:
        if len(set(self.tasks)) < len(self.tasks):
            raise ConfigError(
                f"retrain.tasks must name each task once, got {', '.join(self.tasks)}"
            )
