"""Every file of every config group composes, builds and bears its own name."""

import pytest
from composed import composed
from omegaconf import OmegaConf

from nasrun.__main__ import CONF
from nasrun.budget import Budget
from nasrun.config import build, check
from nasrun.spec import Algorithm, Evaluator, Hardware, SearchSpace, TaskMaker

CONTRACTS = {
    "space": SearchSpace,
    "task": TaskMaker,
    "algorithm": Algorithm,
    "evaluator": Evaluator,
    "hardware": Hardware,
    "budget": Budget,
}
FILES = sorted(
    (path.parent.name, path.stem) for path in CONF.glob("*/*.yaml") if path.parent.name != "hydra"
)
ENTRIES = OmegaConf.load(CONF / "config.yaml").defaults
DEFAULTS = {group for entry in ENTRIES if not isinstance(entry, str) for group in entry}


def choose(group, name):
    """The config with a file chosen, as the command line does it."""
    return composed(f"{group}={name}" if group in DEFAULTS else f"+{group}={name}")


def test_groups_are_found():
    assert set(CONTRACTS) <= {group for group, _ in FILES}


@pytest.mark.parametrize(("group", "name"), FILES)
def test_a_file_composes_and_builds(group, name):
    config = choose(group, name)
    assert not OmegaConf.missing_keys(config)
    if contract := CONTRACTS.get(group):
        assert isinstance(build(config[group], contract, group), contract)


@pytest.mark.parametrize(("group", "name"), FILES)
def test_a_file_bears_its_own_name(group, name):
    node = choose(group, name).get(group)
    if node is not None and "name" in node:
        assert node.name == name


def test_a_whole_config_is_checked():
    experiment = check(composed("trials=3", "seed=5"), [CONF / "task"])
    assert list(experiment.seeds) == [5, 6, 7]


def test_another_evaluator_may_give_the_final_figures():
    scorer = ["evaluator.reward=val@12", "+evaluator@scorer=tabular", "scorer.score_run=777"]
    experiment = check(composed(*scorer), [CONF / "task"])
    assert experiment.judge is experiment.scorer is not experiment.evaluator
    assert experiment.judge.score_run == "777"
    plain = check(composed(), [CONF / "task"])
    assert plain.judge is plain.evaluator
