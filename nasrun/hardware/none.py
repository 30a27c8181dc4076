"""No device: the reward is the accuracy."""

from dataclasses import dataclass

import numpy as np

from nasrun.spec import Archs, Floats, Hardware, SearchSpace, Task


@dataclass
class NoHardware(Hardware):
    """Search for accuracy alone; latency stays unknown."""

    name: str = "none"

    def start(self, space: SearchSpace, task: Task) -> None:
        """Nothing to load."""

    def latency_ms(self, archs: Archs) -> Floats:
        """``(T,)`` NaN."""
        return np.full(len(archs), np.nan)

    def reward(self, score_pct: Floats, latency_ms: Floats) -> Floats:
        """``(T,)`` the accuracy itself."""
        return score_pct
