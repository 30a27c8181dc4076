"""Show what CATCH's encoder makes of tasks, and how it and the evaluator learn.

Usage: ``python scripts/catch_context.py [--out DIR] [--pairs N] [--every N] [key=value ...]``. For
each target task, agents are meta-trained on the others, as ``meta=leave_one_out`` does. After meta
epochs they read histories of random architectures, the same ones on all tasks. The figure's rows
are: the first two principal components of z's mean after the last epoch, for one agent, coloured by
task; the KL divergence of q(z) from the prior; the rank correlation of the predicted scores of
other architectures with their true ones; and which task a history of each task is told to be by z,
over all agents. Beside it stand ``catch_context_epochs.csv``, ``catch_context_z.csv`` and
``catch_context_confusion.csv``. For TransNAS-Bench-101, after ten measurements:
``python scripts/catch_context.py --pairs 10 --every 12 space=transnas_micro evaluator.run=mean``.
"""

import argparse
import copy
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra import compose, initialize_config_dir

from nasrun import config as configs
from nasrun.__main__ import CONF
from nasrun.algorithms.catch import CATCH, Context
from nasrun.errors import ConfigError, NasrunError
from nasrun.experiment import Experiment, Opened
from nasrun.files import write_bytes, write_csv
from nasrun.meta_training import meta_epochs
from nasrun.report.style import STYLE, legend_below, line_style, pictures
from nasrun.spec import Archs, Floats, Measuring, MetaPool, MetaSession
from nasrun.streams import Streams

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HISTORIES = 40  # per agent and task
LENGTH = 20  # architectures of a history, unless said otherwise: as many as a meta epoch has
ASKED = 200  # other architectures whose scores are predicted
SHOWN_AGENT = 0
NAME = "catch_context"
EPOCH_COLUMNS = ("target", "epoch", "task", "agent", "kl", "rank_correlation")
CONFUSION_COLUMNS = ("target", "task", "told", "share")
Z_COLUMNS = ("target", "agent", "task", "history", "pc1", "pc2")
PANEL_IN = (3.4, 2.6)


@dataclass(frozen=True)
class Probe:
    """Histories to be read and architectures to be ranked.

    ``archs (R, pairs + ASKED, L)`` in ``R = agents x HISTORIES`` rows, row r of agent r mod agents,
    and their ``rewards (R, pairs + ASKED)`` on each task; the first ``pairs`` are the history.
    """

    pairs: int
    streams: Streams
    archs: Archs
    rewards: dict[str, Floats]


@dataclass(frozen=True)
class Reading:
    """What agents make of the histories of a task: ``z (R, latent)``, ``kl`` and ``rho (R,)``."""

    z: Floats
    kl: Floats
    rho: Floats


@dataclass(frozen=True)
class Target:
    """What agents that were meta-trained for a target read, ``[task]`` after each of ``epochs``."""

    name: str
    agents: int
    epochs: list[int]
    readings: list[dict[str, Reading]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or that of the refusal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path(), help="folder to write to")
    parser.add_argument("--pairs", type=int, default=LENGTH, help="measurements of a history")
    parser.add_argument("--every", type=int, default=1, help="meta epochs between two readings")
    parser.add_argument("overrides", nargs="*", help="of the config, such as meta.agents=5")
    options = parser.parse_args(arguments)
    try:
        targets = [
            observe(experiment, options.pairs, options.every)
            for experiment in experiments(options.overrides)
        ]
        write(options.out, targets)
    except NasrunError as error:
        print(f"catch_context: {error}", file=sys.stderr)
        return error.exit_code
    for target in targets:
        share = np.mean([told_apart(target, agent) for agent in range(target.agents)])
        print(f"agents for {target.name} tell tasks apart in {100 * share:.0f}% of histories")
    return 0


def experiments(overrides: Sequence[str]) -> Iterator[Experiment]:
    """One experiment per task of the pool, which is its target.

    Raises:
        ConfigError: another algorithm than CATCH with an encoder, or no pool of table tasks.
    """
    given = ["algorithm=catch", "evaluator.run=888", *overrides]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        tasks = compose("config", overrides=given).meta.get("tasks")
        if not tasks:
            raise ConfigError("catch_context needs meta=leave_one_out, whose tasks it compares")
        for task in tasks:
            config = compose("config", overrides=[*given, f"task={task}"])
            experiment = configs.check(config, [CONF / "task"])
            algorithm = experiment.algorithm
            if not isinstance(algorithm, CATCH) or algorithm.context is not Context.encoder:
                raise ConfigError("catch_context needs an algorithm with CATCH's encoder")
            yield experiment


def observe(experiment: Experiment, pairs: int = LENGTH, every: int = 1) -> Target:
    """Meta-train the agents of an experiment, and let them read the probe on the way and after."""
    assert experiment.meta is not None
    assert isinstance(experiment.algorithm, CATCH)
    assert isinstance(experiment.meta.pool, MetaPool)
    opened, agents = experiment.opened(), experiment.meta.pool.agents
    algorithm = copy.deepcopy(experiment.algorithm)
    probe = make_probe(opened, agents, pairs)
    epochs, readings = list[int](), list[dict[str, Reading]]()
    last = experiment.meta.pool.epochs
    for epoch, _ in enumerate(meta_epochs(opened, algorithm), start=1):
        if epoch == last:
            algorithm.end_meta_training()
        if epoch == last or epoch % every == 0:
            epochs.append(epoch)
            readings.append({task: read(algorithm, probe, task) for task in probe.rewards})
    return Target(experiment.task.name, agents, epochs, readings)


def make_probe(opened: Opened, agents: int, pairs: int) -> Probe:
    """Random architectures and their rewards on the target and on the tasks of the pool."""
    experiment, pool = opened.experiment, opened.pool
    assert experiment.meta is not None
    assert isinstance(experiment.meta.pool, MetaPool)
    assert isinstance(pool, MetaSession)
    streams = Streams(range(agents * HISTORIES), "probe")
    archs = np.stack([experiment.space.sample(streams) for _ in range(pairs + ASKED)], axis=1)
    sessions: dict[str, Measuring] = {experiment.task.name: opened.measuring}
    for task, measuring in map(pool.problem, range(experiment.meta.pool.epochs)):
        sessions[task.name] = measuring
    rewards: dict[str, Floats] = {}
    for task, measuring in sorted(sessions.items()):
        epochs = np.full(len(archs), measuring.fidelities[-1], np.int64)
        columns = [
            measuring.evaluate(archs[:, i], epochs=epochs, streams=streams).score
            for i in range(archs.shape[1])
        ]
        rewards[task] = np.stack(columns, axis=1)
    return Probe(pairs, streams, archs, rewards)


def read(algorithm: CATCH, probe: Probe, task: str) -> Reading:
    """What the agents of ``algorithm`` know after a task's histories, z being its mean."""
    space = algorithm.problem.space
    reader = replace(algorithm)
    reader.load_learnt(algorithm.learnt())
    agents = reader.catcher(space, probe.streams, slice(0, len(probe.streams)))
    rewards, shown = probe.rewards[task], slice(0, probe.pairs)
    pairs = algorithm.read(probe.archs[:, shown], rewards[:, shown])
    z, kl = agents.encoder.draw(pairs, np.zeros((len(rewards), algorithm.latent)))
    predicted = agents.evaluator.predict(probe.archs[:, probe.pairs :], z.detach())
    rho = rank_correlation(predicted, rewards[:, probe.pairs :])
    return Reading(z.detach().double().numpy(), kl.detach().double().numpy(), rho)


def rank_correlation(first: Floats, second: Floats) -> Floats:
    """``(n,)`` Spearman's correlations of the rows of two ``(n, k)`` arrays without NaN."""
    from scipy.stats import rankdata

    ranks = [rankdata(figures, axis=1) for figures in (first, second)]
    centred = [rank - rank.mean(axis=1, keepdims=True) for rank in ranks]
    product = (centred[0] * centred[1]).sum(axis=1)
    size = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    return np.divide(product, size, out=np.full(len(size), np.nan), where=size > 0)


def _last(target: Target, agent: int) -> dict[str, Floats]:
    """``(HISTORIES, latent)`` z of one agent after meta-training, by task."""
    return {task: r.z[agent :: target.agents] for task, r in target.readings[-1].items()}


def components(target: Target, agent: int) -> dict[str, Floats]:
    """``(HISTORIES, 2)`` first two principal components of one agent's z, by task."""
    by_task = _last(target, agent)
    together = np.concatenate(list(by_task.values()))
    centre = together.mean(axis=0)
    axes = np.linalg.svd(together - centre, full_matrices=False)[2][:2]
    return {task: (z - centre) @ axes.T for task, z in by_task.items()}


def told_apart(target: Target, agent: int) -> float:
    """Share of held-out histories whose z lies nearest to its own task's mean.

    Guessing gives one in as many as there are tasks.
    """
    return float(np.mean(np.diag(confusion(target, agent))))


def confusion(target: Target, agent: int) -> Floats:
    """``(tasks, tasks)`` shares of a task's held-out histories by the task of the nearest mean.

    The first half of the histories makes the means, the second half is judged.
    """
    by_task = list(_last(target, agent).values())
    half = HISTORIES // 2
    means = np.stack([z[:half].mean(axis=0) for z in by_task])
    nearest = [np.linalg.norm(z[half:, None] - means, axis=2).argmin(axis=1) for z in by_task]
    return np.stack([np.bincount(told, minlength=len(means)) / len(told) for told in nearest])


def mean_confusion(target: Target) -> Floats:
    """The same, the mean over the agents."""
    return np.mean([confusion(target, agent) for agent in range(target.agents)], axis=0)


def write(folder: Path, targets: Sequence[Target]) -> None:
    """Write the figure and both CSV files."""
    write_csv(folder / f"{NAME}_epochs.csv", EPOCH_COLUMNS, _epoch_rows(targets))
    write_csv(folder / f"{NAME}_z.csv", Z_COLUMNS, _z_rows(targets))
    write_csv(folder / f"{NAME}_confusion.csv", CONFUSION_COLUMNS, _confusion_rows(targets))
    for kind, data in draw(targets).items():
        write_bytes(folder / f"{NAME}.{kind}", data)


def _epoch_rows(targets: Sequence[Target]) -> Iterator[tuple[Any, ...]]:
    for target in targets:
        for epoch, readings in zip(target.epochs, target.readings, strict=True):
            for task, reading in readings.items():
                for agent in range(target.agents):
                    figures = (
                        reading.kl[agent :: target.agents],
                        reading.rho[agent :: target.agents],
                    )
                    means = (round(float(f.mean()), 4) for f in figures)
                    yield (target.name, epoch, task, agent, *means)


def _z_rows(targets: Sequence[Target]) -> Iterator[tuple[Any, ...]]:
    for target in targets:
        for agent in range(target.agents):
            for task, points in components(target, agent).items():
                for history, point in enumerate(points.round(4).tolist()):
                    yield (target.name, agent, task, history, *point)


def _confusion_rows(targets: Sequence[Target]) -> Iterator[tuple[Any, ...]]:
    for target in targets:
        tasks = list(target.readings[-1])
        for task, shares in zip(tasks, mean_confusion(target).round(4).tolist(), strict=True):
            for told, share in zip(tasks, shares, strict=True):
                yield target.name, task, told, share


def draw(targets: Sequence[Target]) -> dict[str, bytes]:
    """The figure as PNG and SVG bytes: one column per target, one colour per task."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        from matplotlib.figure import Figure

        size = (PANEL_IN[0] * len(targets), 4 * PANEL_IN[1] + 0.5)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(4, len(targets), squeeze=False, sharey="row")
        for column, target in zip(panels.T, targets, strict=True):
            _draw_z(column[0], target)
            _draw_epochs(column[1], target, "kl")
            _draw_epochs(column[2], target, "rho")
            _draw_confusion(column[3], target)
        labels = ("second component of z", "KL to the prior, nats", "rank correlation", "task")
        for row, label in zip(panels, labels, strict=True):
            row[0].set_ylabel(label)
        legend_below(figure, panels[:3].flat, size[0])
        return dict(pictures(figure))


def _draw_z(panel: "Axes", target: Target) -> None:
    share = np.mean([told_apart(target, agent) for agent in range(target.agents)])
    for place, points in enumerate(components(target, SHOWN_AGENT).values(), start=1):
        panel.scatter(*points.T, s=14, alpha=0.7, lw=0, color=line_style(place)["color"])
    title = f"agents for {target.name}\n(told apart: {100 * share:.0f}%, by chance "
    panel.set_title(f"{title}{100 / len(target.readings[-1]):.0f}%)", fontsize=10)
    panel.set_xlabel(f"first component of z, agent {SHOWN_AGENT}")


def _draw_confusion(panel: "Axes", target: Target) -> None:
    shares, tasks = mean_confusion(target), list(target.readings[-1])
    panel.imshow(shares, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    for row, column in np.ndindex(*shares.shape):
        share = shares[row, column]
        colour = "white" if share > 0.5 else "black"
        panel.text(
            column, row, f"{100 * share:.0f}", ha="center", va="center", size=7, color=colour
        )
    panel.set_xticks(range(len(tasks)), tasks, rotation=60, ha="right", size=7)
    panel.set_yticks(range(len(tasks)), tasks, size=7)
    panel.set_xlabel("told by z to be, %")


def _draw_epochs(panel: "Axes", target: Target, what: str) -> None:
    epochs = np.array(target.epochs)
    for place, task in enumerate(target.readings[0], start=1):
        curves = np.stack(
            [
                getattr(readings[task], what).reshape(HISTORIES, target.agents).mean(axis=0)
                for readings in target.readings
            ]
        )
        style = {"color": line_style(place)["color"], "ls": "--" if task == target.name else "-"}
        low, high = curves.min(axis=1), curves.max(axis=1)
        label = None if task == target.name else task  # a target is held out in its own column
        panel.plot(epochs, curves.mean(axis=1), lw=1.8, label=label, **style)
        panel.fill_between(epochs, low, high, color=style["color"], alpha=0.12, lw=0)
    panel.plot([], [], color="black", ls="--", lw=1.8, label="the target, held out")
    panel.set_xlabel("meta epoch")


if __name__ == "__main__":
    sys.exit(main())
