"""Networks that begin with their parents' weights, as an evaluator."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasrun.errors import UnsupportedError
from nasrun.evaluators.training import Training
from nasrun.spec import SearchSpace, Task

if TYPE_CHECKING:
    from nasrun.evaluators.inheriting_session import InheritingSession


@dataclass
class Inheriting(Training):
    """As ``evaluator=training``, but a child's training begins with what its parent has learnt.

    A search names the parents (``Problem.evaluate``); the space turns their weights into those of
    the children (``SearchSpace.morph``). Where a search names none, training begins from scratch.
    The cost of a query is that of the child's own epochs. What is on record is a lineage, not an
    architecture: the same child of another parent, or of the same parent after another training,
    is another training. ``seed`` is that of all trials, so that searches which begin with the same
    network begin with one and the same training of it: to compare searches as independent ones,
    give each a seed of its own. All of a search's checkpoints stay in ``cache_dir``, since any of
    them may be asked for again.

    Final figures are those of ``evaluator=training``: networks are trained from scratch, so that
    they do not depend on the way that a search took.
    """

    name: str = "inheriting"
    epochs: int = 20

    def opened(self, space: SearchSpace, task: Task) -> "InheritingSession":
        """Images and networks of a task; nothing is trained yet.

        Raises:
            DataError: the images cannot be read.
            UnsupportedError: the task has none, or the space cannot hand weights on.
            ConfigError: a device that is not there.
        """
        from nasrun.evaluators.inheriting_session import InheritingSession

        if type(space).morph is SearchSpace.morph:
            raise UnsupportedError(
                f"space={space.name} cannot hand weights on: use evaluator=training, or "
                "space=net2net or path_tree"
            )
        return InheritingSession(self, space, task)
