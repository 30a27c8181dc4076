"""Fixtures shared by all tests, and the rule that tests of real data skip where it is missing."""

import os
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before anything loads PyTorch, for workers and commands, too. Workers share the cores, and what is
# forked from a process with several OpenMP threads waits for ever for the others.
os.environ.setdefault("OMP_NUM_THREADS", "1")
DATA = os.environ.get("NASRUN_DATA")
# How long a loaded machine takes to draw examples says nothing about the code under test.
SLOW = [HealthCheck.too_slow]
ANYWHERE = {"suppress_health_check": SLOW, "deadline": None}
settings.register_profile("quick", max_examples=40, **ANYWHERE)
settings.register_profile("thorough", max_examples=100, **ANYWHERE)  # of CI
settings.load_profile("quick")


# Contracts of whole searches, one for each algorithm, also on a pretended GPU.
LONG = {"test_algorithm_contract", "test_algorithms_in_spaces", "test_one_shot_contract",
        "test_on_a_gpu"}  # fmt: skip
# Their trees, layers, networks and transport plans take minutes; shorter tests of their own guard
# them by default.
DEAR = {"path_level", "enas_macro", "eas", "nasbot_otmann"}
DEAR_PREDICTORS = {"omni", "omni_seminas", "seminas", "nao", "lce_m"}


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden")


def pytest_collection_modifyitems(config, items):
    skip_data = pytest.mark.skip(reason="NASRUN_DATA does not name a folder with benchmark data")
    skip_slow = pytest.mark.skip(reason="slow: run with -m slow")
    chosen = "slow" in (config.getoption("-m") or "")
    for item in items:
        if is_long(item):
            item.add_marker(pytest.mark.slow)
        if "data" in item.keywords and not (DATA and Path(DATA).is_dir()):
            item.add_marker(skip_data)
        if "slow" in item.keywords and not chosen:
            item.add_marker(skip_slow)


def is_long(item):
    """Whether a contract's test waits for ``-m slow``: dear ones, and those of mere variants.

    A variant's file changes nothing but settings of another algorithm, which keeps the contract.
    """
    called = getattr(item, "callspec", None)
    if called is None:
        return False
    names = {value for value in called.params.values() if isinstance(value, str)}
    if item.path.stem == "test_predictor_contract":
        return bool(names & DEAR_PREDICTORS)
    return item.path.stem in LONG and bool(names & (DEAR | variants()))


@cache
def variants():
    """Algorithms whose files build on that of another one."""
    files = (Path(__file__).parents[1] / "conf" / "algorithm").glob("*.yaml")
    return {path.stem for path in files if "\n_target_:" not in "\n" + path.read_text()}


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with real benchmark data; only tests marked ``data`` may ask for it."""
    return Path(DATA or "")


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory, worker_id) -> Path:
    """One cache of parsed tables for the whole session, away from the user's own.

    Workers share it, as processes of a user do.
    """
    base = tmp_path_factory.getbasetemp()
    own = (base if worker_id == "master" else base.parent) / "cache"
    own.mkdir(exist_ok=True)
    return own


@pytest.fixture(scope="session")
def conditioned_folder(tmp_path_factory) -> Path:
    """Where ``conditioned.experiment`` keeps what it meta-trained, once for the whole session."""
    return tmp_path_factory.mktemp("conditioned")
