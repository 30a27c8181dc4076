"""Merging several sources of one space: the first one wins, conflicts are reported."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from nasrun.benchmarks.curves import Curve
from nasrun.benchmarks.plausible import require_plausible
from nasrun.benchmarks.rows import ArchRows, repeated
from nasrun.benchmarks.table import SCORES, Column, Column32, Frame
from nasrun.errors import ConfigError, DataError
from nasrun.spec import ACCURACY, Archs, CountableSpace, Floats, Ints, SearchSpace, metric_named

_Key = TypeVar("_Key", Column, Curve)
# Two sources agree on a score within the tolerance of its metric. Seconds and milliseconds (and
# scores without a tolerance) are compared relatively, because their sources print a number of
# digits, not of decimals.
ROUNDING_RELATIVE = 1e-3
# Averaging other runs moves an accuracy by a few tenths. Where most of the shared architectures
# differ by more than one point, 167 tolerances, the files are not about the same thing: a fraction
# for a percentage, another split, rows in another order.
GROSS = 1.0 / ACCURACY.tolerance


class Merge:
    """Collects frames of one space, in order of precedence.

    ``archs`` are those of all frames, None once they are the whole space. Encodings are kept apart
    even if their networks are the same: a benchmark may have trained them one by one.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._owners: dict[Column | Curve, list[str]] = {}
        self._columns: dict[Column, Column32] = {}
        self.curves: dict[Curve, Column32] = {}
        self._rows = ArchRows(space, np.empty((0, len(space.decisions)), np.int64))
        self._metrics: dict[str, str] = {}
        self.conflicts: list[str] = []

    @property
    def archs(self) -> Archs | None:
        """``(rows, L)`` the architectures of all frames; None: the whole space, by its numbers."""
        return self._rows.archs

    def add(
        self, source: str, frame: Frame, metrics: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Take in what earlier sources lack.

        ``metrics`` names the metric of a data set's scores, where it is not accuracy.

        Raises:
            DataError: unknown or repeated architectures, figures that cannot be, or gross
                disagreement with an earlier source.
        """
        self._metrics.update(metrics)
        require_plausible(source, frame, metrics)
        archs = None if frame.archs is None else _parsed(source, frame.archs, self._space)
        self._list(archs)
        rows = slice(None) if archs is None else self._rows.exact(archs)
        placed: dict[Column, NDArray[np.floating]] = {}
        for column, figures in frame.columns.items():
            placed[column] = np.full(len(self._rows), np.nan)
            placed[column][rows] = figures
        for column, figures in with_means(placed, least_runs=2).items():
            self._merge(source, self._columns, column, figures)
        for curve, block in frame.curves.items():
            whole = np.full((len(self._rows), curve.schedule), np.nan, np.float32)
            whole[rows] = block
            self._merge(source, self.curves, curve, whole)

    def _list(self, archs: Archs | None) -> None:
        """Make a row for each of ``archs (n, L)`` that has none; None: for the whole space."""
        before = self._rows
        if before.archs is None:
            return
        if archs is not None:
            new = archs[before.exact(archs) < 0]
            archs = np.concatenate([before.archs, new])
            if isinstance(self._space, CountableSpace) and len(archs) == self._space.size:
                archs = None
        self._rows = ArchRows(self._space, archs)
        places = self._rows.exact(before.archs)
        self._columns = _moved(self._columns, places, len(self._rows))
        self.curves = _moved(self.curves, places, len(self._rows))

    def columns(self) -> dict[Column, Column32]:
        """All figures; a mean that no source gives is that of the runs there are, even of one."""
        return with_means(self._columns, least_runs=1)

    def _merge(
        self, source: str, known: dict[_Key, Column32], key: _Key, figures: Column32
    ) -> None:
        earlier = known.get(key)
        if earlier is None:
            known[key], self._owners[key] = figures, [source]
            return
        each = earlier[0].size if len(earlier) else 1
        self._compare(source, key, earlier.reshape(-1), figures.reshape(-1), each)
        gaps = np.isnan(earlier) & ~np.isnan(figures)
        if gaps.any():
            known[key] = np.where(gaps, figures, earlier)
            self._owners[key].append(source)

    def _compare(
        self, source: str, column: Column | Curve, ours: Column32, theirs: Column32, each: int
    ) -> None:
        """Take down where the two differ; an architecture has ``each`` figures in a row."""
        shared = np.flatnonzero(~np.isnan(ours) & ~np.isnan(theirs))
        difference = np.abs(ours[shared].astype(np.float64) - theirs[shared])
        tolerance = 0.0
        if column.metric in SCORES:
            tolerance = metric_named(self._metrics.get(column.dataset, ACCURACY.name)).tolerance
        allowed = tolerance or ROUNDING_RELATIVE * np.abs(ours[shared])
        apart = difference > allowed
        if not apart.any():
            return
        row = shared[np.argmax(difference)]
        text = self._space.text(self._rows.at(int(row) // each))
        what = "architectures" if each == 1 else "figures"
        sentence = (
            f"{' and '.join(self._owners[column])} and {source} disagree on {column} for "
            f"{apart.sum()} of {len(shared)} shared {what}, at worst {ours[row]:.6g} "
            f"against {theirs[row]:.6g} for {text}"
        )
        gross = GROSS * tolerance
        if gross and (difference > gross).mean() > 0.5:
            raise DataError(
                f"{sentence}; most differ by more than {gross:.2g}: they are not the same "
                "figures, so leave one out of the sources or mend its columns"
            )
        self.conflicts.append(f"{sentence}; the former is used")


def _moved(known: Mapping[_Key, Column32], places: Ints, rows: int) -> dict[_Key, Column32]:
    """The same figures in ``rows`` rows, those of row i in row ``places[i]``."""
    moved: dict[_Key, Column32] = {}
    for key, figures in known.items():
        moved[key] = np.full((rows, *figures.shape[1:]), np.nan, np.float32)
        moved[key][places] = figures
    return moved


def _parsed(source: str, named: Sequence[str] | Archs, space: SearchSpace) -> Archs:
    """``(n, L)`` the architectures of a frame."""
    if isinstance(named, np.ndarray):
        archs = named
    else:
        try:
            archs = np.array([space.parse(text) for text in named], np.int64)
        except ConfigError as error:
            raise DataError(f"tables.{source}: {error}") from None
        archs = archs.reshape(len(named), len(space.decisions))
    if (twice := repeated(space, archs)) is not None:
        raise DataError(
            f"tables.{source}: expected each architecture once, found {space.text(twice)} twice"
        )
    return archs


def with_means(
    columns: Mapping[Column, NDArray[np.floating]], least_runs: int = 1
) -> dict[Column, Column32]:
    """The columns as float32, with means over runs, in float64, wherever none is given.

    A source's own mean counts from two runs on (``least_runs``): one published run says little
    about the mean, and must not stand in the way of a source that has it.
    """
    groups: dict[Column, list[NDArray[np.floating]]] = {}
    for column, figures in columns.items():
        if column.run != "mean":
            groups.setdefault(column._replace(run="mean"), []).append(figures)
    result = {column: figures.astype(np.float32) for column, figures in columns.items()}
    for mean, runs in groups.items():
        given = result.get(mean)
        if len(runs) >= least_runs and (given is None or np.isnan(given).any()):
            derived = mean_over_runs(np.array(runs, np.float64)).astype(np.float32)
            result[mean] = derived if given is None else np.where(np.isnan(given), derived, given)
    return result


def mean_over_runs(runs: Floats) -> Floats:
    """``(n,)`` mean of ``(runs, n)`` figures over those that are there; NaN where none is."""
    count = (~np.isnan(runs)).sum(axis=0)
    return np.where(count > 0, np.nansum(runs, axis=0) / np.maximum(count, 1), np.nan)
