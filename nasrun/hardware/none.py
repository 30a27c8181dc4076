"""No hardware: accuracy is all that counts."""

from dataclasses import dataclass

import numpy as np

from nasrun.spec import Archs, Device, Floats, Hardware, Metric, SearchSpace, Task


@dataclass
class NoHardware(Hardware):
    """Search for the score alone; latency stays unknown."""

    name: str = "none"

    def opened(self, space: SearchSpace, task: Task) -> "NoDevice":
        """Nothing to load."""
        return NoDevice()


class NoDevice(Device):
    """No device: no architecture has a latency."""

    def latency_ms(self, archs: Archs) -> Floats:
        """``(n,)`` NaN."""
        return np.full(len(archs), np.nan)

    def reward(self, score: Floats, latency_ms: Floats, metric: Metric) -> Floats:
        """``(n,)`` the score itself, or its negative where less is better."""
        return metric.oriented(score)
