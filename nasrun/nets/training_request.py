"""A training that is asked for, and a name made of everything that decides its figures."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np
from torch import nn

from nasrun.images import Splits, are_classes
from nasrun.nets.building import built
from nasrun.nets.classification import objective_of
from nasrun.nets.device import Device
from nasrun.nets.recipe import Recipe, recipe_id
from nasrun.spec import Archs, Objective, Scale, SearchSpace, Task

FORMAT = "nasrun-training-1"  # to be raised whenever the same request would give other figures


class Part(Enum):
    """Which images are trained on, and which ones judge."""

    search = "search"
    final = "final"


@dataclass(frozen=True)
class TrainingRequest:
    """A training that is asked for; picklable, so that another process may do it.

    Args:
        images: id of the pictures.
        until: how many of ``epochs`` are wanted now.
        judged: epochs after which to judge; none: after each.
        parent: name of the request whose weights the training begins with; empty: they are drawn.
        keep: whether the weights stay when a search's training is over; a final one's always do.
    """

    space: SearchSpace
    arch: tuple[int, ...]
    task: Task
    images: str
    part: Part
    scale: Scale
    recipe: Recipe
    epochs: int
    until: int
    judged: tuple[int, ...]
    seed: int
    parent: str = ""
    keep: bool = False

    def build(self) -> nn.Module:
        """The network; its weights are torch's own random ones."""
        return built(self.space, self.choices, self.task, self.scale)

    @property
    def objective(self) -> Objective:
        """What the network is trained for."""
        return objective_of(self.task)

    @property
    def keeps(self) -> bool:
        """Whether the weights stay when the training is over."""
        return self.keep or self.part is Part.final

    @property
    def text(self) -> str:
        """The architecture's text."""
        return self.space.text(self.choices)

    @property
    def choices(self) -> Archs:
        """``(L,)`` the architecture."""
        return np.array(self.arch, np.int64)

    @cached_property
    def recipe_id(self) -> str:
        """Eight hex digits of the recipe."""
        return recipe_id(self.recipe)

    def name(self, device: Device) -> str:
        """Sixteen hex digits of everything that decides the figures.

        What is inherited is decided by the parent's whole lineage, which is in the parent's name.
        """
        what = [FORMAT, self.images, self.part.value, self.space.name, self.text, self.recipe_id]
        how = [asdict(self.scale), self.epochs, self.judged, self.seed, device.label]
        # An architecture's text does not say all: a DARTS network may have an auxiliary head.
        settings = {key: value for key, value in self._space_settings.items() if key != "name"}
        objective = {} if self.task.objective is None else self.task.objective.settings
        lineage = {"parent": self.parent} if self.parent else {}
        more = [said for said in (settings, objective, lineage) if said]
        return _digest([what, how, *more])[:16]

    @property
    def _space_settings(self) -> dict[str, Any]:
        """Fields of the space's dataclass."""
        space: Any = self.space
        return (
            {f.name: getattr(space, f.name) for f in fields(space)} if is_dataclass(space) else {}
        )


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def images_id(splits: Splits) -> str:
    """Twelve hex digits of pictures and targets, and of how they are normalised and mirrored."""
    digest = hashlib.sha256(repr((splits.mean, splits.std, splits.flip)).encode())
    parts = (splits.search_train, splits.search_valid, splits.final_train, splits.final_test)
    for part in parts:
        digest.update(np.ascontiguousarray(part.pixels).data)
        if not are_classes(part.labels):  # equal bytes could be of another shape
            digest.update(repr((part.labels.shape, part.labels.dtype)).encode())
        digest.update(np.ascontiguousarray(part.labels).data)
    return digest.hexdigest()[:12]
