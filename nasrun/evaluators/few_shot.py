"""Networks whose first weights are meta-learnt, as an evaluator."""

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from nasrun.ranges import (
    require_at_least,
    require_not_negative,
    require_positive,
    require_seeds,
)
from nasrun.spec import Clock, Evaluator, SearchSpace, Task

if TYPE_CHECKING:
    from nasrun.evaluators.few_shot_session import FewShotSession


class Order(Enum):
    """How the steps on an episode's few pictures enter the gradient of the first weights."""

    second = "second"  # through gradients of gradients
    first = "first"  # as constants: less work (Finn et al., section 5.2)


@dataclass
class FewShotEvaluator(Evaluator):
    """The accuracy on new classes after a few steps from meta-learnt weights, for task=few_shot.

    Finn et al., "Model-Agnostic Meta-Learning" (ICML 2017), for mini-ImageNet: ``steps`` steps of
    plain gradient descent on an episode's few pictures, Adam on the loss of its queries. MetaD2A
    (Lee et al., ICLR 2021, section 4.3, Table 2) gives its cells' weights in this way and says
    nothing of steps, rates or the skeleton; here it is the space's own, shrunk until it has at most
    ``params_k`` thousand parameters, so that all architectures compete at one size.

    An evaluator, not a recipe of ``evaluator=training``: what is learnt is where to start from, and
    the images of validation and test show classes that no training sees. Which classes, how many of
    them at a time and by how many pictures is the task's (``task=few_shot``).

    An epoch is ``batches`` meta-batches. A search sees validation classes alone; the retrain stage
    trains ``score_epochs`` and judges on validation and test classes, by the same ``judged_on``
    episodes for all architectures. Nothing is trained twice within a run.

    Raises:
        ConfigError: a field out of its range.
    """

    name: str = "few_shot"
    order: Order = Order.second
    steps: int = 5
    judged_steps: int = 10
    rate: float = 0.01
    meta_rate: float = 1e-3
    episodes: int = 4
    batches: int = 500
    epochs: int = 12
    score_epochs: int | None = 120
    judged_on: int = 600
    seed: int = 777
    score_seeds: list[int] = field(default_factory=lambda: [777])
    params_k: float = 30.0
    channels: int | None = None
    cells: int | None = 1
    device: str = "auto"
    deterministic: bool = False
    threads: int | None = None

    clock: ClassVar[Clock] = Clock.MEASURED

    def __post_init__(self) -> None:
        require_at_least(self, "evaluator", 1, "channels", "cells")
        counts = ("steps", "judged_steps", "episodes", "batches", "epochs", "judged_on")
        require_at_least(self, "evaluator", 1, *counts, "score_epochs")
        require_positive(self, "evaluator", "rate", "meta_rate", "params_k")
        require_not_negative(self, "evaluator", "seed")
        require_seeds(self, "evaluator", "score_seeds")

    def opened(self, space: SearchSpace, task: Task) -> "FewShotSession":
        """Pictures and networks of a task; nothing is trained yet.

        Raises:
            UnsupportedError: the task has no few shots, or the space no networks.
            DataError: the pictures cannot be read, or are too few for an episode.
            ConfigError: a device that is not there.
        """
        from nasrun.evaluators.few_shot_session import FewShotSession

        return FewShotSession(self, space, task)
