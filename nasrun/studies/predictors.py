"""The predictor benchmark: how well predictors order architectures that they have not seen."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import nan
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nasrun.benchmarks.checksum import sha256
from nasrun.benchmarks.scores import listed
from nasrun.errors import ConfigError, DataError
from nasrun.experiment import Opened
from nasrun.progress import tell
from nasrun.ranges import require_at_least
from nasrun.report.studied import Finding
from nasrun.spec import (
    Archs,
    Floats,
    Inputs,
    Ints,
    Mask,
    Predictor,
    SearchSpace,
    Streams,
    no_curve,
)
from nasrun.studies.agreement import COLUMNS, Agreement, agreement, as_csv, means
from nasrun.studies.base import TrialStudy
from nasrun.studies.best_predictor import best_predictor
from nasrun.studies.curve_logs import read_logs

log = logging.getLogger("nasrun")
GUESSING = "random"
TRAINS = (5, 8, 14, 24, 42, 71, 121, 205, 347, 589, 1000)  # NASLib's, evenly spaced logarithms
EPOCHS = (1, 2, 3, 5, 7, 9, 13, 19, 26, 37, 52, 73, 102, 142, 199)  # NASLib's on NAS-Bench-201


@dataclass
class PredictorBenchmark(TrialStudy):
    """Each trial draws ``test`` architectures, and as many to learn from as ``train`` says.

    White, Zela, Ru, Liu and Hutter, "How Powerful are Performance Predictors in Neural Architecture
    Search?" (NeurIPS 2021): of what is drawn to learn from, smaller sizes take the first ones; as
    there, an architecture may be drawn twice. Readers of learning curves are asked at each of
    ``epochs`` that is shorter than the full training; those that learn from no others
    (``Predictor.learns``) have one size, 0. Without a predictor, rows are of guesses. The figures
    are the evaluator's, or with ``logs`` those of a file of trainings (``curve_logs``), each drawn
    once at most. With ``cells`` the architectures are those that a CSV file lists, each drawn once
    at most: of others a table of zero-cost scores has none.

    Departure: predictors are not tuned by cross-validation, which NASLib does for three of them.

    Raises:
        ConfigError: numbers out of their ranges.
    """

    name: str = "predictors"
    title: str = "How well predictors order architectures that they have not seen"
    notes: list[str] = field(default_factory=list[str])
    decimals: int = 3
    predictor: Any = field(default=None)  # a Predictor; OmegaConf knows no abstract types
    train: list[int] = field(default_factory=lambda: list(TRAINS))
    test: int = 200
    epochs: list[int] = field(default_factory=lambda: list(EPOCHS))
    logs: str | None = None
    log_task: str | None = None
    cells: str | None = None
    at_once: int = 25

    file: ClassVar[str] = "agreement.csv"
    columns: ClassVar[Sequence[str]] = COLUMNS

    def __post_init__(self) -> None:
        require_at_least(self, "study", 2, "test")
        require_at_least(self, "study", 1, "at_once")
        if self.predictor is not None and not isinstance(self.predictor, Predictor):
            raise ConfigError("study.predictor must be a predictor: choose one by predictor=rf")
        for name in ("train", "epochs"):
            counts: list[int] = getattr(self, name)
            if not counts or min(counts) < 1:
                raise ConfigError(f"study.{name} must be numbers of 1 or more, got {counts}")

    @property
    def inputs(self) -> Mapping[str, str]:
        """Logs, the list of cells, and what the predictor reads."""
        own = {"logs": self.logs, "cells": self.cells}
        paths = {f"{key}/{Path(name).name}": Path(name) for key, name in own.items() if name}
        hashes = {
            name: sha256(path, path.with_suffix(".sha256.json")) for name, path in paths.items()
        }
        return hashes if self.predictor is None else {**hashes, **self.predictor.files}

    @property
    def label(self) -> str:
        """Of the predictor."""
        return GUESSING if self.predictor is None else str(self.predictor.label)

    def rows(self, opened: Opened, seeds: Sequence[int]) -> Iterator[Sequence[Any]]:
        """Rows of the trials of ``seeds``: sizes and fidelities of each."""
        source = _Logs(self, opened) if self.logs else _Table(self, opened)
        streams = Streams(seeds, "predictor benchmark")
        asked, known = source.drawn(streams, self.test, max(self.train))
        if seeds[0] == opened.experiment.seeds[0]:  # trials come some at a time: say it once
            self._name_left_out(known.score.shape[1])
        found = list(self._played(source, streams, asked, known))
        for trial in range(len(seeds)):
            yield from (tuple(getattr(own[trial], name) for name in COLUMNS) for own in found)

    def _name_left_out(self, known: int) -> None:
        """Say which sizes ``known`` trainings are too few for."""
        learns = self.predictor is not None and self.predictor.learns
        left = [size for size in sorted(self.train) if size > known]
        if learns and 0 < len(left) < len(self.train):
            log.warning(
                "study.train=%s is left out: beside study.test=%d there are %d trainings to learn "
                "from", ",".join(map(str, left)), self.test, known,
            )  # fmt: skip

    def _played(
        self, source: "_Source", streams: Streams, asked: "_Drawn", known: "_Drawn"
    ) -> Iterator[list[Agreement]]:
        model: Predictor | None = self.predictor
        sizes = [0] if model is None or not model.learns else sorted(self.train)
        sizes = [size for size in sizes if size <= known.score.shape[1]]
        if not sizes:
            raise DataError(
                f"study.train asks for {min(self.train)} trainings to learn from, and beside "
                f"study.test={self.test} there are {known.score.shape[1]}: lower study.test"
            )
        reads = model.reads if model is not None else None
        epochs = [e for e in self.epochs if e < source.full] if reads else [0]
        for place, size in enumerate(sizes):
            for after in epochs:
                tell(place / len(sizes))
                yield self._of(source, streams, asked, known.first(size), after)

    def _of(
        self, source: "_Source", streams: Streams, asked: "_Drawn", known: "_Drawn", after: int
    ) -> list[Agreement]:
        """A size and a fidelity, all trials."""
        mean, judged, fit_s, query_s = self._predicted(source, streams, asked, known, after)
        trials, share = len(streams), after / source.full
        rows: list[Agreement] = []
        for trial, seed in enumerate(streams.seeds):
            there = judged[trial]
            rows.append(
                Agreement(
                    space=source.space, task=source.task, predictor=self.label,
                    train=known.score.shape[1], epochs=after, seed=int(seed),
                    tested=int(there.sum()),
                    **agreement(mean[trial, there], asked.score[trial, there]),
                    fit_s=fit_s / trials, query_s=query_s / mean.size,
                    training_s=float(known.cost_s[trial].sum()),
                    partial_s=share * float(asked.cost_s[trial].mean()) if after else 0.0,
                    trainings=known.score.shape[1], partial=share,
                )
            )  # fmt: skip
        return rows

    def _predicted(
        self, source: "_Source", streams: Streams, asked: "_Drawn", known: "_Drawn", after: int
    ) -> tuple[Floats, Mask, float, float]:
        """``(T, M)`` predictions, which of them count, and seconds of all trials' fits and queries.

        What has no figure does not count, nor is it learnt from, nor is a curve with gaps.

        Raises:
            DataError: fewer than two predictions of a trial count.
        """
        own = streams.fork(f"{self.label} of {known.score.shape[1]} after {after}")
        if self.predictor is None:
            guesses = own.uniform(asked.score.shape[1])
            return guesses, _enough(~np.isnan(asked.score), streams, ""), 0.0, 0.0
        model = self.predictor.opened(source.searched, own, source.truth)
        (learnt, whole), (question, readable) = (
            _readable(source.inputs(part, self.predictor, after), self.predictor)
            for part in (known, asked)
        )
        reads, last = self.predictor.reads, self.predictor.reads_last
        what = f" and {reads} after {'epoch' if last else 'every epoch up to'} {after}"
        what = what if reads else ""
        judged = _enough(~np.isnan(asked.score) & readable, streams, what)
        begun = time.perf_counter()
        model.fit(learnt, known.score, ~np.isnan(known.score) & whole)
        fitted = time.perf_counter()
        mean = model.predict(question).mean
        return mean, judged, fitted - begun, time.perf_counter() - fitted

    def findings(self, rows: Sequence[Mapping[str, str]]) -> list[Finding]:
        """Kendall's tau by predictor, fidelity and size."""
        return [
            Finding(
                _place(own.first), own.first.predictor + _fidelity(own.first),
                "tau" if own.first.train == 0 else f"tau, n = {own.first.train}",
                own.n, own.values["kendall"], error=own.error,
            )
            for own in means(map(Agreement.of, rows))
        ]  # fmt: skip

    def files(self, rows: Sequence[Mapping[str, str]]) -> Mapping[str, bytes]:
        """Means of all figures, and a drawing of the best predictor by both times."""
        found = means(map(Agreement.of, rows))
        return {f"{self.name}_means.csv": as_csv(found), **best_predictor(found, self.name)}


def _readable(inputs: Inputs, predictor: Predictor) -> tuple[Inputs, Mask]:
    """Curves, with zeros for those that the predictor cannot read, and which ``(T, N)`` it can.

    A gap must not count as a figure of 0, which is the best of all training losses.
    """
    if inputs.curve is None:
        return inputs, np.ones(inputs.archs.shape[:2], np.bool_)
    needed = inputs.curve[..., -1:] if predictor.reads_last else inputs.curve
    whole = np.logical_and.reduce(~np.isnan(needed), axis=2)
    return replace(inputs, curve=np.where(whole[:, :, None], inputs.curve, 0.0)), whole


def _enough(judged: Mask, streams: Streams, what: str) -> Mask:
    """``judged (T, M)`` itself, where correlations can be told.

    Raises:
        DataError: a trial in which fewer than two are.
    """
    for seed, count in zip(streams.seeds, judged.sum(axis=1).tolist(), strict=True):
        if count < 2:
            raise DataError(
                f"seed {seed}: expected two or more of {judged.shape[1]} drawn architectures with "
                f"a figure{what}, found {count}: raise study.test, set other study.epochs, or take "
                "another table"
            )
    return judged


def _place(row: Agreement) -> str:
    return f"{row.space}, {row.task}"


def _fidelity(row: Agreement) -> str:
    return f", {row.epochs} epochs" if row.epochs else ""


@dataclass(frozen=True)
class _Drawn:
    """What some trials drew: ``archs (T, N, L)``, or rows of logs; figures and costs ``(T, N)``."""

    archs: Archs
    score: Floats
    cost_s: Floats
    at: Ints | None = None

    def first(self, size: int) -> "_Drawn":
        at = None if self.at is None else self.at[:, :size]
        return _Drawn(self.archs[:, :size], self.score[:, :size], self.cost_s[:, :size], at)


class _Table:
    """Architectures of the space, and what the evaluator says of them."""

    def __init__(self, study: PredictorBenchmark, opened: Opened) -> None:
        self.searched: SearchSpace = opened.experiment.space
        self.space, self.task = self.searched.name, opened.experiment.task.name
        self._session = opened.measuring
        self.full = self._session.fidelities[-1]
        self._listed = listed(Path(study.cells), self.searched) if study.cells else None

    def drawn(self, streams: Streams, test: int, train: int) -> tuple[_Drawn, _Drawn]:
        """Architectures to ask for, and then to learn from."""
        if (cells := self._listed) is None:
            asked = (self.searched.sample(streams) for _ in range(test))
            known = (self.searched.sample(streams) for _ in range(train))
        elif len(cells) <= test:
            raise DataError(
                f"study.cells lists {len(cells)} architectures, which leaves none to learn from: "
                f"lower study.test={test}"
            )
        else:
            order = np.argsort(streams.uniform(len(cells)), axis=1, kind="stable").T
            asked, known = cells[order[:test]], cells[order[test : test + train]]
        return self._measured(asked, streams), self._measured(known, streams)

    def _measured(self, columns: Iterable[Archs], streams: Streams) -> _Drawn:
        """What the evaluator says of ``(T, L)`` architectures, column by column."""
        full = np.full(len(streams), self.full)
        seen = [self._session.evaluate(own, epochs=full, streams=streams) for own in columns]
        oriented = self._session.metric.oriented
        parts = [(one.archs, oriented(one.score), one.cost_s) for one in seen]
        archs, score, cost_s = (np.stack(part, axis=1) for part in zip(*parts, strict=True))
        if np.isnan(score).all():
            raise DataError("none of the drawn architectures has a figure: take another table")
        return _Drawn(archs, score, cost_s if cost_s.any() else np.full_like(cost_s, nan))

    def inputs(self, drawn: _Drawn, predictor: Predictor, after: int) -> Inputs:
        """What a predictor may know of architectures; NaN where a curve has gaps."""
        if (figure := predictor.reads) is None:
            return Inputs(drawn.archs)
        if figure not in self._session.curves:
            raise no_curve(figure, self._session.curves)
        flat = drawn.archs.reshape(-1, drawn.archs.shape[2])
        curve = self._session.curve(flat, epochs=np.full(len(flat), after), figure=figure)
        loss = figure.endswith("_loss")
        curve = -curve if loss else self._session.metric.oriented(curve)
        shape = (*drawn.archs.shape[:2], after)
        return Inputs(drawn.archs, curve=curve.reshape(shape), full=self.full)

    def truth(self, archs: Archs) -> Floats:
        """What the evaluator says: for an oracle."""
        streams = Streams(range(len(archs)), "truth")
        full = np.full(len(archs), self.full)
        columns = [
            self._session.evaluate(archs[:, at], epochs=full, streams=streams).score
            for at in range(archs.shape[1])
        ]
        return np.nan_to_num(self._session.metric.oriented(np.stack(columns, axis=1)))


class _Logs:
    """Trainings of a file: their curves, and what was trained if the file says it."""

    truth = None

    def __init__(self, study: PredictorBenchmark, opened: Opened) -> None:
        path = Path(str(study.logs))
        self._logs = read_logs(path, study.log_task)
        self.searched: SearchSpace = opened.experiment.space
        # Of others nothing is parsed: curves may be those of another space's architectures.
        if study.predictor is not None and study.predictor.reads_architectures:
            self._archs = self._parsed(study.label, path)
        else:
            shape = len(self._logs.final), len(self.searched.decisions)
            self._archs = np.zeros(shape, np.int64)
        self.space, self.task = "logs", study.log_task or path.name.partition(".")[0]
        self.full = self._logs.val_score.shape[1]

    def _parsed(self, predictor: str, path: Path) -> Archs:
        """``(N, L)`` what was trained.

        Raises:
            ConfigError: the file does not say it, or it is of another space.
        """
        cure = "take a predictor of learning curves, such as predictor=sotl_e"
        if self._logs.archs is None:
            raise ConfigError(
                f"predictor={predictor} reads architectures, which study.logs={path} has not: "
                f"{cure}"
            )
        try:
            return np.stack([self.searched.parse(text) for text in self._logs.archs])
        except ConfigError as error:
            raise ConfigError(
                f"predictor={predictor} reads architectures of space={self.searched.name}, and "
                f"study.logs={path} has others ({error}): set space to theirs, or {cure}"
            ) from None

    def drawn(self, streams: Streams, test: int, train: int) -> tuple[_Drawn, _Drawn]:
        """Different trainings to ask for, and then to learn from."""
        order = np.argsort(streams.uniform(len(self._logs.final)), axis=1, kind="stable")
        parts = order[:, :test], order[:, test : test + train]
        asked, known = (
            _Drawn(
                self._archs[part], self._logs.final[part], np.full(part.shape, nan), part
            )
            for part in parts
        )  # fmt: skip
        return asked, known

    def inputs(self, drawn: _Drawn, predictor: Predictor, after: int) -> Inputs:
        """The beginnings of the curves, and what was trained."""
        if predictor.reads is None:
            return Inputs(drawn.archs)
        curve = self._logs.of(str(predictor.reads))
        if curve is None or drawn.at is None:
            raise no_curve(str(predictor.reads), ["val_score"])
        return Inputs(drawn.archs, curve=curve[drawn.at][:, :, :after], full=self.full)


_Source = _Table | _Logs
