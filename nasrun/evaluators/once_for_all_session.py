"""An evaluator whose networks are parts of a supernet, opened for a space and a task."""

from dataclasses import replace
from pathlib import Path

from nasrun.errors import ConfigError, UnsupportedError
from nasrun.evaluators.once_for_all import OnceForAllWeights
from nasrun.evaluators.training_session import TrainingSession
from nasrun.nets.inherited_cache import InheritedCache
from nasrun.nets.trained_supernet import check_supernet, supernet_key, trained_supernet
from nasrun.nets.training_request import Part, TrainingRequest
from nasrun.spec import Archs, SearchSpace, Task, drawn_from


class OnceForAllSession(TrainingSession):
    """Fine-tunes what is asked for from the supernet's weights, unless it is on record."""

    def __init__(self, settings: OnceForAllWeights, space: SearchSpace, task: Task) -> None:
        super().__init__(settings, space, task)
        shown, self._supernet = settings.begins_with, settings.supernet
        self._source, classes = drawn_from(shown.name)
        self._known = list(range(shown.classes) if classes is None else classes)
        self._shown = self._source if classes is None else f"{len(classes)} of {self._source}"
        if not self._rows(task) and not settings.epochs:
            raise UnsupportedError(
                f"evaluator.epochs=0 judges networks by the supernet's own classes, and "
                f"task={task.name} has others: set evaluator.epochs to fine-tune on it"
            )
        made_of = settings.supernet, space, shown, settings.seed
        self._parent = f"{supernet_key(*made_of)}/{settings.calibrated_on}"
        check_supernet(*made_of)
        self._cache = InheritedCache(
            self._cache.folder,
            self._cache.device,
            lambda: trained_supernet(*made_of, Path(settings.cache_dir) / "supernets"),
            self._rows,
            settings.calibrated_on,
        )

    def _rows(self, task: Task) -> list[int]:
        """Which of the supernet's classes those of a task are; none of them: other pictures."""
        source, classes = drawn_from(task.name)
        if source != self._source:
            return []
        asked = range(task.classes) if classes is None else classes
        found = [self._known.index(label) for label in asked if label in self._known]
        if found and len(found) < len(asked):
            raise ConfigError(
                f"task={task.name} has {len(found)} classes that the supernet was trained on and "
                f"{len(asked) - len(found)} of evaluator.left_out: choose all of one kind"
            )
        return found

    @property
    def fidelities(self) -> tuple[int, ...]:
        """Every epoch of fine-tuning, or 0 alone if there is none."""
        return super().fidelities or (0,)

    def check_final(self, task: Task) -> None:
        """Read the final task's images, and compare its classes with the supernet's."""
        super().check_final(task)
        self._rows(task)

    def _request(
        self, arch: Archs, task: Task, part: Part, seed: int, epochs: int, until: int
    ) -> TrainingRequest:
        own = super()._request(arch, task, part, seed, epochs, until)
        return replace(own, parent=self._parent)

    @property
    def _scale_in_words(self) -> str:
        training = f"{self._supernet.name}, {self._supernet.planned_steps} epochs"
        return f"{super()._scale_in_words} from a supernet of {self._shown} ({training})"
