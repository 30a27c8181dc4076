from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import SimpleNamespace

import pytest
from composed import CONF, composed
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from nasrun.algorithms.rea import REA
from nasrun.budget import Budget
from nasrun.config import build, check, named_task
from nasrun.errors import ConfigError
from nasrun.record.provenance import config_hash
from nasrun.spec import Algorithm, SearchSpace, Task

REA_NODE = {"_target_": "nasrun.algorithms.rea.REA", "name": "rea", "population": 10, "sample": 3}


def test_a_node_becomes_the_object_it_names():
    algorithm = build(OmegaConf.create(REA_NODE), Algorithm, "algorithm")
    assert algorithm == REA(population=10, sample=3)


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_every_valid_value_survives(population, sample):
    node = OmegaConf.create({**REA_NODE, "population": population, "sample": sample})
    assert build(node, Algorithm, "algorithm") == REA(population=population, sample=sample)


@given(st.text(min_size=1).filter(lambda text: not text.strip().lstrip("+-").isdigit()))
def test_a_text_is_no_number(text):
    node = OmegaConf.create(REA_NODE)
    OmegaConf.update(node, "population", text.replace("$", ""))
    with pytest.raises(ConfigError, match=r"^algorithm"):
        build(node, Algorithm, "algorithm")


@given(st.integers(max_value=0))
def test_what_post_init_rejects_is_rejected(population):
    node = OmegaConf.create({**REA_NODE, "population": population})
    with pytest.raises(ConfigError, match="at least 1"):
        build(node, Algorithm, "algorithm")


@given(st.from_regex(r"[a-z]{3,10}", fullmatch=True).filter(lambda k: k not in REA_NODE))
def test_an_unknown_key_is_named(key):
    with pytest.raises(ConfigError, match=key):
        build(OmegaConf.create({**REA_NODE, key: 1}), Algorithm, "algorithm")


def test_a_missing_value_is_named():
    node = OmegaConf.create({"name": "x", "classes": "???"})
    with pytest.raises(ConfigError, match="classes"):
        build(node, Task, "task")


def test_a_class_of_another_contract_is_refused():
    with pytest.raises(ConfigError, match=r"is none of nasrun\.spaces\.\*"):
        build(OmegaConf.create(REA_NODE), SearchSpace, "space")


@pytest.mark.parametrize("node", [None, 3, "rea"])
def test_what_is_no_node_at_all_is_refused(node):
    with pytest.raises(ConfigError, match="algorithm must be a group of keys and values"):
        build(node, Algorithm, "algorithm")


def test_a_module_that_fails_while_it_is_imported_is_refused(tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("this is not Python")
    monkeypatch.syspath_prepend(tmp_path)
    node = OmegaConf.create({"_target_": "broken_module.Thing"})
    with pytest.raises(ConfigError, match=r"_target_=broken_module\.Thing cannot be imported"):
        build(node, Algorithm, "algorithm")


def test_a_node_without_a_target_is_the_contract_itself():
    budget = build(OmegaConf.create({"evaluations": 7}), Budget, "budget")
    assert budget == Budget(evaluations=7)


def test_interpolations_reach_outside_the_node():
    root = OmegaConf.create({"n": 4, "algorithm": {**REA_NODE, "sample": "${n}"}})
    assert build(root.algorithm, Algorithm, "algorithm") == REA(sample=4)


class Colour(Enum):
    red = "red"


@dataclass
class Inner:
    size: int = 1


@dataclass
class Outer:
    colour: Colour = Colour.red
    inner: dict[str, Inner] = field(default_factory=dict)


def test_enums_and_nested_dataclasses_are_built():
    node = OmegaConf.create({"colour": "red", "inner": {"a": {"size": 3}}})
    assert build(node, Outer, "x") == Outer(Colour.red, {"a": Inner(3)})
    with pytest.raises(ConfigError, match=r"expected one of \[red\]"):
        build(OmegaConf.create({"colour": "blue"}), Outer, "x")


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5))
def test_the_hash_of_a_config_does_not_depend_on_order(content):
    shuffled = dict(reversed(content.items()))
    assert config_hash(content) == config_hash(shuffled)
    assert config_hash(content) != config_hash({**content, "seed of another run": 1})


def test_every_yaml_value_has_a_comment_or_explains_itself():
    """A value that is neither a name nor a path carries a comment with unit and source."""
    conf = Path(__file__).parents[1] / "conf"
    silent = [
        f"{path.relative_to(conf)}: {line}"
        for path in sorted((conf / "algorithm").glob("*.yaml"))
        for line in path.read_text().splitlines()
        if ":" in line
        and "#" not in line
        and not line.startswith(("_target_:", "name:", "defaults:", "  "))
    ]
    assert not silent


def test_a_task_file_may_build_on_others_of_its_group(tmp_path):
    files = {
        "child": "defaults: [synthetic_images]\nname: child\ndata_seed: 3\n",
        "below": "defaults: [_self_, child]\nname: below\n",
        "other": "defaults: [/space@x: nb201]\nname: other\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    folders = [CONF / "task", tmp_path]

    def named(name):
        return named_task(name, composed(), folders, "retrain.tasks")

    child = named("child")
    assert (child.name, child.data_seed, child.classes) == ("child", 3, 4)
    assert named("below").name == "child"  # what stands behind _self_ goes on top of it
    with pytest.raises(ConfigError, match="defaults must be other files of its own folder"):
        named("other")


UNREAD = {
    "+algorithm.populaton=3": r"no key algorithm\.populaton: did you mean population\?",
    "+evaluator.device=cpu": r"no key evaluator\.device: it has ",
    "+scale.channel=8": r"no key scale\.channel: did you mean channels\?",
    "+tables.mine.column=x": r"no key tables\.mine\.column: did you mean columns",
    "+meta.agents=3": r"nothing reads the key meta\.agents",
    "+retrain.task=[]": r"no key retrain\.task: did you mean tasks\?",
    "algorithm._target_=nasrun.algorithms.base.SampleBased": "is no Algorithm",
    "trials=10000001": "trials must be at most 10,000,000",
}


@pytest.mark.parametrize(("override", "sentence"), UNREAD.items(), ids=UNREAD)
def test_what_no_class_reads_is_refused_whatever_the_run(override, sentence):
    with pytest.raises(ConfigError, match=sentence):
        check(composed(override), [CONF / "task"])


NESTED = ["nasrun.tasks.cifar10.Cifar10", "nasrun.budget.Budget", "subprocess.Popen", "nasrun.nets"]


@pytest.mark.parametrize("target", NESTED)
def test_a_class_below_another_node_is_of_the_allowed_kinds(target):
    config = composed("evaluator=screened", "task=synthetic_images")
    OmegaConf.set_struct(config, False)
    config.evaluator.screen = {"_target_": target}
    with pytest.raises(ConfigError, match=r"^evaluator"):
        check(config, [CONF / "task"])


def test_the_name_of_a_task_in_a_file_leads_nowhere(tmp_path):
    (tmp_path / "out.yaml").write_text("defaults: [synthetic_images]\nname: ../../out\n")
    with pytest.raises(ConfigError, match=r"^task/out\.yaml\.name names folders"):
        named_task("out", composed(), [CONF / "task", tmp_path], "retrain.tasks")


def test_runs_of_one_process_that_start_in_one_second_have_folders_of_their_own(monkeypatch):
    moments = iter(datetime(2026, 1, 1, 12, microsecond=at) for at in range(2))
    monkeypatch.setattr("nasrun.__main__.datetime", SimpleNamespace(now=lambda: next(moments)))
    folders = {composed(hydra=True).hydra.run.dir for _ in range(2)}
    assert len(folders) == 2, folders
