"""What long work says of how far it is, to whoever shows it; nobody need listen.

Work deep inside a run (an epoch of a supernet, the third of six final trainings) calls ``tell`` as
often as it likes. What it says is put into words only when a listener wants to show it, because a
loss on a GPU has to be waited for.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

Words = Callable[[], str]
Listener = Callable[[Sequence["Stage"]], None]

_stages: list["Stage"] = []  # of this process, the outermost first
_listeners: list[Listener] = []


@dataclass
class Stage:
    """A piece of work with an end, such as the trainings of a retrain stage.

    ``share`` is how much of it is done, 0 to 1; ``words`` say what it is at, empty if its name says
    all. Of a stage of ``parts`` equal parts, ``part`` (counted from 0) is under way. ``late``:
    something else comes first, such as starting processes, so that its pace counts from its first
    move.
    """

    name: str
    share: float = 0.0
    parts: int = 1
    part: int = 0
    words: Words = str
    late: bool = False

    @property
    def text(self) -> str:
        """Such as ``final training 2 of 6, epoch 12 of 200, loss 1.234``."""
        of = f" {self.part + 1} of {self.parts}" if self.parts > 1 else ""
        return ", ".join(filter(None, (self.name + of, self.words())))

    def begin(self, part: int) -> None:
        """Go on to a part, counted from 0."""
        self.part = part
        self.move(0.0, str)

    def move(self, share: float, words: Words) -> None:
        """``share`` of the part under way is done, 0 to 1."""
        self.share, self.words = (self.part + share) / self.parts, words
        _speak()


@contextmanager
def stage(
    name: str, share: float = 0.0, parts: int = 1, words: Words = str, late: bool = False
) -> Generator[Stage]:
    """A stage while the block works; what is told inside is told of it."""
    own = Stage(name, share, parts, words=words, late=late)
    _stages.append(own)
    try:
        _speak()
        yield own
    finally:
        _stages.remove(own)
        _speak()


def tell(share: float, words: Words = str) -> None:
    """Say how far the innermost stage's part is: nothing happens outside of all stages."""
    if _stages and _listeners:
        _stages[-1].move(share, words)


@contextmanager
def heard_by(listener: Listener) -> Generator[None]:
    """Give ``listener`` the stages under way, the outermost first, whenever one of them moves."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _speak() -> None:
    for listener in _listeners:
        listener(_stages)
