import logging
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import pytest
from command import NASRUN, environment

from nasrun.__main__ import main


@pytest.fixture
def nasrun(tmp_path, cache_dir):
    """Run the command in an empty folder; returns its result."""

    def call(*arguments, code=0, env=None):
        answer = subprocess.run(
            [NASRUN, *arguments], capture_output=True, text=True, cwd=tmp_path,
            env=environment(cache_dir, **(env or {})),
        )  # fmt: skip
        assert answer.returncode == code, answer.stdout + answer.stderr
        return answer

    return call


@pytest.fixture
def in_process(tmp_path, cache_dir, monkeypatch, capfd):
    """Run the command in this process, in an empty folder; returns its result.

    Quicker than ``nasrun`` by the second that imports take.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NASRUN_DATA", raising=False)
    monkeypatch.setenv("NASRUN_CACHE", str(cache_dir))
    handlers, level = logging.root.handlers[:], logging.root.level

    def call(*arguments, code=0):
        monkeypatch.setattr(sys, "argv", ["nasrun", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        for handler in set(logging.root.handlers) - set(handlers):  # Hydra's, into this folder
            handler.close()
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        printed = capfd.readouterr()
        assert ended.value.code == code, printed.out + printed.err
        return SimpleNamespace(stdout=printed.out, stderr=printed.err)

    return call


@pytest.fixture
def here(in_process):
    """Run the command in this process, in an empty folder; returns what it printed."""

    def call(*arguments, code=0):
        answer = in_process(*arguments, code=code)
        return answer.stdout + answer.stderr

    return call


@pytest.fixture
def swept(in_process):
    """Run a sweep in this process without its report, which takes longer than its jobs."""
    return partial(in_process, "report=null")
