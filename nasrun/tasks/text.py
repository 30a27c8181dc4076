"""A text whose next word, or character, is to be foretold."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasrun.errors import ConfigError, DataError
from nasrun.images import Images, Splits
from nasrun.input_files import UNPACKED, read_bytes
from nasrun.ranges import require_at_least
from nasrun.streams import Ints
from nasrun.tasks.kept_images import KeptImages

if TYPE_CHECKING:
    from nasrun.spec import Objective

OWN = "pydoc_data.topics"  # Python's language reference, as its help() shows it
WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")
NUMBER = "N"  # stands for every number, as in the Penn Treebank's usual form
UNKNOWN = "<unk>"  # stands for what is not in the vocabulary; its number is 0
LEVELS = ("word", "character")
LARGEST = UNPACKED  # bytes of a text, whose words take more memory still


@dataclass
class Text(KeptImages):
    """Language modelling on a text, cut into windows of ``steps`` words or characters.

    The vocabulary is the ``classes`` - 1 most frequent words, or characters, of the training part,
    and one for all others. Words are in small letters, numbers are one word, and so is each mark.
    The first windows are trained on, the next ones validate, the next ones test. Every window
    begins anew: what came before it is not seen (the papers hand the state on from window to
    window). The final training sees the same windows as the search's.

    Without a ``path`` the text is the Python language reference that comes with Python
    (``pydoc_data``; Python Software Foundation License): small, and not the same in all versions.
    Nothing of it is kept.

    Raises:
        ConfigError: a count below 1, a window below 2, or another level.
    """

    test_images: int = 250  # windows of the test part
    path: str | None = None
    level: str = "word"
    steps: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, "task", 2, "classes", "steps")
        require_at_least(self, "task", 1, "test_images")
        if self.level not in LEVELS:
            raise ConfigError(f"task.level must be word or character, got {self.level!r}")

    @property
    def objective(self) -> "Objective":
        """To foretell what comes next."""
        from nasrun.nets.language import NextToken

        return NextToken(self.classes)

    def _splits(self) -> Splits:
        """The windows: ``pixels (n, steps)`` tokens, ``labels (n, steps)`` those that follow.

        Raises:
            DataError: a file that cannot be read, or too short a text.
        """
        text, name = self._text()
        counts = (self.train_images, self.valid_images, self.test_images)
        tokens = self._tokens(text)
        needed = sum(counts) * self.steps + 1
        if len(tokens) < needed:
            raise DataError(
                f"task={self.name} expects {needed} {self.level}s, {name} has {len(tokens)}: name "
                "a longer text by task.path, or lower task.train_images"
            )
        vocabulary = self._vocabulary(tokens[: counts[0] * self.steps])
        place = {token: number for number, token in enumerate(vocabulary)}
        numbers = np.array([place.get(token, 0) for token in tokens[:needed]], np.int64)
        train, valid, test = _windows(numbers, counts, self.steps)
        return Splits(
            search_train=train,
            search_valid=valid,
            final_train=train,
            final_test=test,
            mean=(0.0,),
            std=(1.0,),
            flip=False,
            source=f"{name}; {self.level}s, vocabulary of {len(vocabulary)}",
            files={name: sha256(text.encode()).hexdigest()},
            class_names=tuple(vocabulary),
            still=True,
        )

    @property
    def files(self) -> Mapping[str, str]:
        """The text and its sha256."""
        text, name = self._text()
        return {name: sha256(text.encode()).hexdigest()}

    def _text(self) -> tuple[str, str]:
        """The text, and what it is called."""
        if self.path is None:
            try:
                topics: dict[str, str] = import_module(OWN).topics
            except ImportError:
                raise DataError(
                    f"task={self.name} expects Python's own documentation, and this Python comes "
                    f"without {OWN}: name a text by task.path"
                ) from None
            return "\n".join(topics[key] for key in sorted(topics)), OWN
        path = Path(self.path).expanduser()
        try:
            return read_bytes(path, LARGEST).decode("utf-8"), path.name
        except (DataError, UnicodeDecodeError) as error:
            raise DataError(
                f"task.path={path} is no text in UTF-8 that can be read: {error}"
            ) from None

    def _tokens(self, text: str) -> Sequence[str]:
        if self.level == "character":
            return " ".join(text.split())
        return [NUMBER if word.isdigit() else word for word in WORD.findall(text.lower())]

    def _vocabulary(self, tokens: Sequence[str]) -> list[str]:
        """By number: the most frequent first, those that come equally often by the alphabet."""
        found = sorted(Counter(tokens).items(), key=lambda each: (-each[1], each[0]))
        return [UNKNOWN, *(token for token, _ in found[: self.classes - 1])]


def _windows(numbers: Ints, counts: Sequence[int], steps: int) -> list[Images]:
    """The parts, one after another."""
    count = sum(counts)
    now = numbers[: count * steps].reshape(count, steps)
    after = numbers[1 : count * steps + 1].reshape(count, steps)
    ends = np.cumsum(counts)
    tokens: Any = now  # a text's images hold numbers of tokens, see Images
    return [
        Images(tokens[end - n : end], after[end - n : end])
        for n, end in zip(counts, ends, strict=True)
    ]
