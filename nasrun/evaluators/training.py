"""Networks trained on images, as an evaluator."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from nasrun.errors import ConfigError
from nasrun.nets.recipe import Precision, Recipe
from nasrun.nets.representatives import representatives
from nasrun.ranges import require_at_least, require_not_negative, require_seeds
from nasrun.spec import Archs, Clock, Evaluator, Scale, SearchSpace, Task

if TYPE_CHECKING:
    from torch import nn

    from nasrun.evaluators.training_session import TrainingSession


@dataclass
class Training(Evaluator):
    """The validation score of a network that is trained for a few epochs: the early stop.

    NAS-Bench-201's own protocol (Dong and Yang, ICLR 2020, Section 3): 12 epochs with a cosine
    over these 12; less epochs are points of the same training, so a multi-fidelity search goes on
    from the checkpoint. Every training is a row an epoch of ``trainings.csv`` in ``cache_dir``, and
    none is done twice, by any process; its ``device`` says where memory halved the batches.

    All architectures of one canonical form are one training, that of one representative. In
    NAS-Bench-201 that form merges cells that differ in a convolution on a node of zeros alone,
    although its batch normalisation learns a bias there.

    Up to ``together`` networks that are asked for at once and have one shape (of NAS-Bench-201, all
    cells that join input and output) train as one, each as if it were alone save for rounding;
    ``deterministic`` trains one by one. It is meant for GPUs, where NAS-Bench-201's cells have
    kernels of their own; where they have, it is 16 unless said, elsewhere 1: without kernels
    nothing is gained. ``scripts/README.md`` says what was measured and what was not.

    The cost of a query is the seconds of its epochs plus one validation pass, measured when the
    network was trained, whoever trained it.

    Raises:
        ConfigError: networks both in parallel and together; epochs, either of these, channels or
            cells below 1; a negative seed, or no final one; epochs to judge after that lie outside
            the training.
    """

    name: str = "training"
    recipe: Recipe = field(default_factory=Recipe)
    epochs: int = 12
    judged: list[int] = field(default_factory=list[int])
    seed: int = 777
    score_epochs: int | None = 200
    score_seeds: list[int] = field(default_factory=lambda: [777, 888, 999])
    channels: int | None = None
    cells: int | None = None
    charge_validation: bool = True
    device: str = "auto"
    precision: Precision = Precision.auto
    deterministic: bool = False
    compile: bool = False
    threads: int | None = None
    parallel: int = 1
    together: int | None = None
    cache_dir: str = ""

    clock: ClassVar[Clock] = Clock.MEASURED
    least_epochs: ClassVar[int] = 1  # of a search's trainings

    def __post_init__(self) -> None:
        require_at_least(self, "evaluator", 1, "channels", "cells")
        require_at_least(self, "evaluator", self.least_epochs, "epochs")
        require_at_least(self, "evaluator", 1, "score_epochs", "parallel", "together")
        require_not_negative(self, "evaluator", "seed")
        require_seeds(self, "evaluator", "score_seeds")
        if self.parallel > 1 and self.together is not None and self.together > 1:
            raise ConfigError(
                f"evaluator.parallel={self.parallel} trains networks in processes of their own and "
                f"evaluator.together={self.together} in one: set one of them to 1"
            )
        if self.judged and not 0 < min(self.judged) <= max(self.judged) <= self.epochs:
            raise ConfigError(
                f"evaluator.judged must hold epochs from 1 to {self.epochs}, got {self.judged}"
            )

    def opened(self, space: SearchSpace, task: Task) -> "TrainingSession":
        """Images and networks of a task; nothing is trained yet.

        Raises:
            DataError: the images cannot be read.
            UnsupportedError: the task has none, or the space no networks.
            ConfigError: a device that is not there.
        """
        from nasrun.evaluators.training_session import TrainingSession

        return TrainingSession(self, space, task)

    def build(self, space: SearchSpace, arch: Archs, task: Task) -> "nn.Module":
        """The network that is trained for ``arch (L,)``: its representative's, without weights."""
        from nasrun.nets.building import built

        return built(space, representatives(space)(arch), task, Scale(self.channels, self.cells))
