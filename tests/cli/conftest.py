import subprocess

import pytest
from command import NASRUN, environment


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
