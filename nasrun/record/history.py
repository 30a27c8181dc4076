"""The measurements of a cohort while it is played, and the rows they become."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nasrun.spec import Archs, Floats, Ints, Mask, Measured, Phase, SearchSpace

EVALUATION_COLUMNS = (
    "seed", "phase", "step", "arch", "epochs", "val_acc_pct", "latency_ms", "reward", "cost_s",
    "clock_s", "split", "fidelity", "run", "clock",
)  # fmt: skip
PARETO_COLUMNS = ("seed", "arch", "epochs", "val_acc_pct", "latency_ms", "reward")
DECIMALS = 6  # of figures on disk: finer than any table prints, coarser than float32 noise


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

    def add(self, phase: Phase, measured: Measured, counted: Mask, clock_s: Floats) -> None:
        """Append one step: who measured it, ``counted (T,)``, and ``clock_s (T,)`` after it."""
        self._phases.append(phase.value)
        self._measured.append(measured)
        self._counted.append(counted)
        self._clock_s.append(clock_s)

    def __len__(self) -> int:
        """Steps so far."""
        return len(self._measured)

    def _stack(self, name: str) -> Any:
        return np.stack([getattr(measured, name) for measured in self._measured])

    def reward_of(self, archs: Archs) -> Floats:
        """``(T,)`` reward at which each trial measured ``archs (T, L)`` longest; NaN if never."""
        same = (self._stack("archs") == archs).all(axis=-1) & np.array(self._counted)
        epochs = np.where(same, self._stack("epochs"), 0)
        longest = same & (epochs == epochs.max(axis=0))
        reward = np.where(longest, self._stack("reward"), np.nan)
        found = np.fmax.reduce(reward, axis=0)
        return np.asarray(found, np.float64)

    def rows(self, space: SearchSpace, protocol: Mapping[str, str]) -> Iterator[tuple[Any, ...]]:
        """Rows of ``evaluations.csv``, by trial and then by step."""
        counted = np.array(self._counted).T
        trial, step = np.nonzero(counted)
        phases = np.array(self._phases, object)
        return zip(
            self.seeds[trial].tolist(),
            phases[step].tolist(),
            step.tolist(),
            texts(space, self._stack("archs")[step, trial]),
            self._stack("epochs")[step, trial].tolist(),
            *(
                cells(self._stack(name)[step, trial])
                for name in ("val_acc_pct", "latency_ms", "reward", "cost_s")
            ),
            cells(np.array(self._clock_s)[step, trial]),
            *([protocol[key]] * len(trial) for key in ("split", "fidelity", "run", "clock")),
            strict=True,
        )

    def pareto_rows(self, space: SearchSpace) -> Iterator[tuple[Any, ...]]:
        """Rows of ``pareto.csv``: each trial's measurements that no other beats in both figures."""
        archs, accuracy = self._stack("archs"), self._stack("val_acc_pct")
        latency, reward = self._stack("latency_ms"), self._stack("reward")
        epochs, counted = self._stack("epochs"), np.array(self._counted)
        for trial, seed in enumerate(self.seeds.tolist()):
            usable = (
                counted[:, trial] & ~np.isnan(latency[:, trial]) & ~np.isnan(accuracy[:, trial])
            )
            steps = np.flatnonzero(usable)
            front = steps[pareto_front(accuracy[steps, trial], latency[steps, trial])]
            yield from zip(
                [seed] * len(front),
                texts(space, archs[front, trial]),
                epochs[front, trial].tolist(),
                *(cells(figure[front, trial]) for figure in (accuracy, latency, reward)),
                strict=True,
            )


def pareto_front(accuracy: Floats, latency_ms: Floats) -> Ints:
    """Indices of ``(n,)`` points that no other point equals or beats in both, fastest first."""
    order = np.lexsort((-accuracy, latency_ms))
    best_before = np.maximum.accumulate(np.append(-np.inf, accuracy[order]))[:-1]
    return order[accuracy[order] > best_before]


def cells(figures: Floats) -> list[float | None]:
    """Figures as CSV cells: rounded, and None (an empty cell) where the figure is missing."""
    rounded = np.round(figures, DECIMALS).astype(object)
    rounded[np.isnan(figures)] = None
    return rounded.tolist()


def texts(space: SearchSpace, archs: Archs) -> list[str]:
    """Texts of ``(n, L)`` architectures; each different one is written once and looked up."""
    numbers, inverse = np.unique(space.index(archs), return_inverse=True)
    written = np.array([space.text(arch) for arch in space.at(numbers)], object)
    return written[inverse].tolist() if len(numbers) else []
