import sys
import warnings

import pytest
from composed import trace
from toys import ToySpace, toy_experiment

from nasrun.algorithms.tpe import SEEDS, TPE
from nasrun.budget import Budget
from nasrun.errors import ConfigError, UnsupportedError
from nasrun.streams import Streams

SPACE = ToySpace((4, 3, 4, 2))


def plain_optuna(seed, trials):
    """The same search written with Optuna alone."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.TPESampler(multivariate=True, seed=seed)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    archs = []

    def objective(trial):
        names = enumerate(SPACE.decisions)
        arch = [trial.suggest_categorical(f"{i}", range(len(options))) for i, options in names]
        archs.append(arch)
        return float(SPACE.index(arch))

    study.optimize(objective, n_trials=trials)
    return archs


def test_a_trial_is_what_optuna_alone_gives():
    experiment = toy_experiment(TPE(), space=SPACE)
    archs = trace(experiment, seeds=range(3), budget=Budget(evaluations=25)).archs
    seeds = Streams(range(3)).integers(SEEDS)[:, 0].tolist()
    for trial, seed in enumerate(seeds):
        assert archs[:, trial].tolist() == plain_optuna(seed, 25)


def test_the_pipeline_plays_its_trials_one_by_one():
    assert TPE.cohort is False


def test_startup_architectures_are_random():
    assert TPE(startup=4).startup_steps == 4


def test_a_missing_optuna_is_named_with_its_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UnsupportedError, match=r'pip install "nasrun\[tpe\]"'):
        TPE()


@pytest.mark.parametrize("fields", [{"startup": 0}, {"candidates": 0}], ids=str)
def test_senseless_fields_are_refused(fields):
    with pytest.raises(ConfigError, match="at least 1"):
        TPE(**fields)


def test_optuna_says_nothing(capfd):
    trace(toy_experiment(TPE(), space=SPACE), seeds=range(2), budget=Budget(evaluations=15))
    assert capfd.readouterr() == ("", "")
