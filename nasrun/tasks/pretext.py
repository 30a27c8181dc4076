"""Tasks whose labels come from the pictures themselves."""

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any

from nasrun.errors import ConfigError
from nasrun.images import Images, Splits
from nasrun.spec import NamedTask, Objective, Task, TaskMaker
from nasrun.tasks.kept_images import DerivedTask
from nasrun.tasks.parts import channel_moments


@dataclass
class Pretext(TaskMaker):
    """The pictures of the task ``of``, with labels made from them: nothing of its own is used.

    Liu et al., "Are Labels Necessary for Neural Architecture Search?" (ECCV 2020), section 3.1.
    Any picture task serves, with the parts that it has. (Where a task's parts are drawn with each
    class alike, its labels have decided which pictures those are, and nothing else.)

    Raises:
        ConfigError: the pretext of a pretext.
    """

    name: str
    of: str = "cifar10"
    settings: dict[str, Any] = field(default_factory=dict[str, Any])  # of the other task
    download: bool = False  # handed on to the other task

    def __post_init__(self) -> None:
        if self.of == self.name:
            raise ConfigError(f"task.of={self.of} must name another task")

    def make(self, named: NamedTask) -> Task:
        """The task.

        Raises:
            UnsupportedError: the other task has no pictures.
        """
        source = named(self.of, self.settings)
        return PretextTask(
            name=f"{self.name}[{source.name}]",
            classes=self.outputs,
            image_px=self.side(source.image_px),
            search_split=f"{self.name}[{source.search_split}]",
            final_split=f"{self.name}[{source.final_split}]",
            valid_images=source.valid_images * self.copies,
            train_images=source.train_images * self.copies,
            source=source,
            pretext=self,
        )

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Number of different labels."""

    @property
    def copies(self) -> int:
        """Pictures made of each."""
        return 1

    def objective(self, px: int) -> Objective | None:
        """What networks learn on pictures of ``px`` pixels; None: to tell the labels apart."""
        return None

    @property
    def flip(self) -> bool:
        """Whether a mirrored picture keeps its label, as far as the source's pictures do."""
        return False

    @property
    def still(self) -> bool:
        """Whether no picture may be moved by a few pixels."""
        return False

    def side(self, image_px: int) -> int:
        """Pixels on a side of what is made of pictures of ``image_px``."""
        return image_px

    @abstractmethod
    def relabelled(self, images: Images, part: str) -> Images:
        """Pictures and labels made of ``images``, whose own labels are not looked at.

        ``part`` is that of the task: ``search_train``, ``search_valid``, ``final_train`` or
        ``final_test``.
        """


PARTS = ("search_train", "search_valid", "final_train", "final_test")


@dataclass
class PretextTask(DerivedTask):
    """What a pretext makes of the task ``source``."""

    pretext: Pretext

    @property
    def objective(self) -> Objective | None:
        """The pretext's."""
        return self.pretext.objective(self.image_px)

    def _splits(self) -> Splits:
        whole = self.source.load()
        made = {part: self.pretext.relabelled(getattr(whole, part), part) for part in PARTS}
        mean, std = channel_moments(made["search_train"].pixels)
        return replace(
            whole,
            **made,
            mean=mean,
            std=std,
            flip=whole.flip and self.pretext.flip,
            still=self.pretext.still,
            class_names=(),
            source=f"{whole.source}; labels of {self.pretext.name} made from the pictures",
        )
