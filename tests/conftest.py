"""Fixtures shared by all tests, and the rule that tests of real data skip where it is missing."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

DATA = os.environ.get("NASRUN_DATA")
# How long a loaded machine takes to draw examples says nothing about the code under test.
SLOW = [HealthCheck.too_slow]
settings.register_profile("any machine", suppress_health_check=SLOW, deadline=None)
settings.load_profile("any machine")


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden")


def pytest_collection_modifyitems(config, items):
    skip_data = pytest.mark.skip(reason="NASRUN_DATA does not name a folder with benchmark data")
    skip_slow = pytest.mark.skip(reason="slow: run with -m slow")
    chosen = "slow" in (config.getoption("-m") or "")
    for item in items:
        if "data" in item.keywords and not (DATA and Path(DATA).is_dir()):
            item.add_marker(skip_data)
        if "slow" in item.keywords and not chosen:
            item.add_marker(skip_slow)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with real benchmark data; only tests marked ``data`` may ask for it."""
    return Path(DATA or "")


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory) -> Path:
    """One cache of parsed tables for the whole session, away from the user's own."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def conditioned_folder(tmp_path_factory) -> Path:
    """Where ``conditioned.experiment`` keeps what it meta-trained, once for the whole session."""
    return tmp_path_factory.mktemp("conditioned")
