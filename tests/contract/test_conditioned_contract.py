"""What methods promise that look at a task's pictures: the contract of the others, on tiny data."""

import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from composed import CONDITIONED, trace
from conditioned import experiment

from nasrun.budget import Budget
from nasrun.errors import ConfigError
from nasrun.meta_training import adapt

pytestmark = pytest.mark.parametrize("name", CONDITIONED)
SEEDS = range(100, 103)
MEASURED = "algorithm.pick=validation"


@pytest.fixture
def folder(conditioned_folder):
    return conditioned_folder


def adapted(name, folder, *more):
    made = experiment(folder, *more, name=name)
    adapt(made.opened())
    return made


def played(name, folder, *more, seeds=SEEDS, **limits):
    return trace(adapted(name, folder, *more), seeds=seeds, budget=Budget(**limits))


def test_what_is_found_lies_in_the_space(name, folder):
    found = played(name, folder).outcome
    assert found.archs.shape == (len(SEEDS), 6)
    assert ((found.archs >= 0) & (found.archs < 5)).all()


def test_nothing_that_is_not_trained_is_charged(name, folder):
    found = played(name, folder)
    assert found.outcome.evaluations.tolist() == [0] * len(SEEDS)
    assert np.isnan(found.reward).all()
    assert (found.outcome.clock_s > 0).all()


def test_what_is_measured_is_charged_and_the_best_of_it_recommended(name, folder):
    found = played(name, folder, MEASURED)
    assert found.outcome.evaluations.tolist() == [5] * len(SEEDS)
    assert found.outcome.reward.tolist() == np.nanmax(found.reward, axis=0).tolist()


def test_no_more_evaluations_than_the_budget(name, folder):
    found = played(name, folder, MEASURED, evaluations=2)
    assert found.outcome.evaluations.tolist() == [2] * len(SEEDS)


@pytest.mark.parametrize("more", [(), (MEASURED,), ("algorithm.pick=random",)], ids=str)
def test_a_trial_is_the_same_alone_and_beside_others(name, folder, more):
    made = adapted(name, folder, *more)
    together = trace(made, seeds=SEEDS, budget=Budget())
    for at, seed in enumerate(SEEDS):
        alone = trace(adapted(name, folder, *more), seeds=range(seed, seed + 1), budget=Budget())
        assert together.trial(at)[:-1] == alone.trial(0)[:-1]  # the last is this machine's time


def test_another_seed_gives_another_search(name, folder):
    archs = played(name, folder, "algorithm.pick=random", seeds=range(8)).outcome.archs
    assert len({arch.tobytes() for arch in archs}) > 4


def test_global_random_state_is_left_alone(name, folder, tmp_path):
    def states():
        legacy = np.random.get_state()  # noqa: NPY002 (what must not change)
        return random.getstate(), legacy[1].tolist(), legacy[2:], torch.get_rng_state().tolist()

    before = states()
    adapted(name, tmp_path, "algorithm.generator.epochs=1", "algorithm.predictor.epochs=1")
    played(name, folder, seeds=range(1))
    assert states() == before


def test_start_forgets_the_last_search(name, folder):
    made = adapted(name, folder)
    first = trace(made, seeds=range(5, 6), budget=Budget())
    trace(made, seeds=range(6, 7), budget=Budget())
    again = trace(made, seeds=range(5, 6), budget=Budget())
    assert first.outcome.archs.tolist() == again.outcome.archs.tolist()


def test_what_was_learnt_can_be_loaded_again(name, folder):
    made, fresh = adapted(name, folder), experiment(folder, name=name)
    fresh.algorithm.load_learnt(made.algorithm.learnt())
    assert set(fresh.algorithm.learnt()) == set(made.algorithm.learnt())
    one, two = (trace(each, seeds=range(2), budget=Budget()) for each in (made, fresh))
    assert one.outcome.archs.tolist() == two.outcome.archs.tolist()


def test_without_meta_training_it_says_so(name, folder):
    made = replace(experiment(folder, name=name), meta=None)
    with pytest.raises(ConfigError, match="meta=metad2a_database instead of meta=none"):
        trace(made, seeds=SEEDS, budget=Budget())


@pytest.mark.slow
def test_a_search_is_the_same_in_every_process(name, folder):
    found = played(name, folder, seeds=range(2)).outcome.archs.tolist()
    code = (
        "import json, pathlib, sys; sys.path.insert(0, sys.argv[1]);"
        "from test_conditioned_contract import played;"
        "outcome = played(sys.argv[2], pathlib.Path(sys.argv[3]), seeds=range(2)).outcome;"
        "print(json.dumps(outcome.archs.tolist()))"
    )
    here = Path(__file__).parent
    answer = subprocess.run(
        [sys.executable, "-c", code, str(here), name, str(folder)],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(here.parent)},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout.splitlines()[-1]) == found
