"""The measurements of a cohort while it is played, and the rows they become."""

from typing import Any

import numpy as np

from nasrun.benchmarks.rows import unique_archs
from nasrun.record.rows import Columns, cells
from nasrun.spec import Archs, Floats, Ints, Mask, Measured, Metric, Phase, Protocol, SearchSpace


class History:
    """Measurements of ``T`` trials, one entry a step. What does not count is marked, not kept out.

    Args:
        seeds: ``(T,)`` absolute trial seeds.
    """

    def __init__(self, seeds: Ints) -> None:
        self.seeds = seeds
        self._phases: list[str] = []
        self._measured: list[Measured] = []
        self._counted: list[Mask] = []
        self._clock_s: list[Floats] = []
        self._evaluations: list[Ints] = []

    def add(
        self, phase: Phase, measured: Measured, counted: Mask, clock_s: Floats, evaluations: Ints
    ) -> None:
        """Append one step: its phase, ``counted (T,)``, and what was spent after it.

        That is ``clock_s (T,)`` and ``evaluations (T,)``, of which a generation is many.
        """
        self._phases.append(phase.value)
        self._measured.append(measured)
        self._counted.append(counted)
        self._clock_s.append(clock_s)
        self._evaluations.append(evaluations)

    def __len__(self) -> int:
        """Steps so far."""
        return len(self._measured)

    def _stack(self, name: str) -> Any:
        """``(steps, T, ...)`` one field of all measurements."""
        return np.stack([getattr(measured, name) for measured in self._measured])

    @property
    def counted(self) -> Mask:
        """``(steps, T)`` which steps count."""
        return np.array(self._counted)

    @property
    def scored(self) -> Mask:
        """``(steps, T)`` which of them gave a score."""
        return self.counted & ~np.isnan(self._stack("score"))

    @property
    def without_cost(self) -> Mask:
        """``(steps, T)`` which of those have no known cost."""
        return self.scored & np.isnan(self._stack("cost_s"))

    def last_step_of(self, archs: Archs) -> Ints:
        """``(T,)`` step at which each trial measured ``archs (T, L)`` longest; -1 if never.

        Of equally long ones that with the highest reward.
        """
        same = (self._stack("archs") == archs).all(axis=-1) & self.counted
        return longest(same, self._stack("epochs"), self._stack("reward"))

    def reward_of(self, archs: Archs) -> Floats:
        """``(T,)`` reward at which each trial measured ``archs (T, L)`` longest; NaN if never."""
        step = self.last_step_of(archs)
        return np.where(step < 0, np.nan, self._stack("reward")[step, np.arange(len(archs))])

    def columns(self, space: SearchSpace, metric: Metric, protocol: Protocol) -> Columns:
        """Columns of ``evaluations.csv``, by trial and then by step."""
        trial, step = np.nonzero(self.counted.T)
        at = step, trial
        words = {"metric": metric.name, **vars(protocol)}
        return {
            "seed": self.seeds[trial].tolist(),
            "phase": np.array(self._phases, object)[step].tolist(),
            "step": step.tolist(),
            "arch": texts(space, self._stack("archs")[at]),
            "epochs": self._stack("epochs")[at].tolist(),
            "val_score": cells(self._stack("score")[at]),
            "latency_ms": cells(self._stack("latency_ms")[at]),
            "reward": cells(self._stack("reward")[at]),
            "cost_s": cells(self._stack("cost_s")[at]),
            "clock_s": cells(np.array(self._clock_s)[at]),
            "evaluations": np.array(self._evaluations)[at].tolist(),
            **{name: [text] * len(trial) for name, text in words.items()},
        }

    def of_trial(self, trial: int) -> Measured:
        """What a trial measured that counts: ``(n,)`` measurements instead of one a trial."""
        steps = zip(self._measured, self._counted, strict=True)
        counted = [measured for measured, mask in steps if mask[trial]]
        names = ("archs", "epochs", "score", "cost_s", "latency_ms", "reward")
        return Measured(*(np.array([getattr(m, name)[trial] for m in counted]) for name in names))


def longest(same: Mask, epochs: Ints, reward: Floats) -> Ints:
    """``(k,)`` the longest of the ``n`` measurements that ``same (n, k)`` marks; -1 if none.

    Of equally long ones that with the highest reward. ``epochs`` and ``reward`` broadcast to it.
    """
    epochs = np.where(same, epochs, -1)
    last = same & (epochs == epochs.max(axis=0))
    reward = np.where(last, np.nan_to_num(reward, nan=-np.inf), -np.inf)
    best = (last & (reward == reward.max(axis=0))).argmax(axis=0)
    return np.where(same.any(axis=0), best, -1)


def texts(space: SearchSpace, archs: Archs) -> list[str]:
    """Texts of ``(n, L)`` architectures; each different one is written once and looked up."""
    if not len(archs):
        return []
    different, inverse = unique_archs(archs)
    written = np.array([space.text(arch) for arch in different], object)
    return written[inverse].tolist()
