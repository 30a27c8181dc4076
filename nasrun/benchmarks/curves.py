"""Learning curves of a table: a figure after every epoch of a training."""

import re
from typing import NamedTuple

from nasrun.errors import ConfigError
from nasrun.spec import CURVES

NAME = re.compile(rf"curve/({'|'.join(CURVES)})/([^/]+)/(\d+)/([^/]+)")


class Curve(NamedTuple):
    """What a block of curves holds: ``float32 (rows, schedule)``, NaN where a figure is missing.

    ``metric``: one of ``CURVES``, each of the search's own images; a test figure has no curve.
    ``dataset``, ``schedule`` and ``run`` are those of a ``Column``.
    """

    metric: str
    dataset: str
    schedule: int
    run: str

    def __str__(self) -> str:
        """``curve/metric/dataset/schedule/run``, the name in files."""
        return f"curve/{self.metric}/{self.dataset}/{self.schedule}/{self.run}"

    @classmethod
    def parse(cls, text: str) -> "Curve":
        """The curves of a name that ``str`` made.

        Raises:
            ConfigError: not such a name.
        """
        found = NAME.fullmatch(text)
        if found is None:
            raise ConfigError(f"expected a name such as curve/train_loss/cifar10/200/777: {text!r}")
        metric, dataset, schedule, run = found.groups()
        return cls(metric, dataset, int(schedule), run)
