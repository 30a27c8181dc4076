"""Standard output that takes no more: nothing but what is shown may be lost."""

import os
import subprocess

import pytest
from command import NASRUN, environment, rows

FULL = "/dev/full"
needs_full = pytest.mark.skipif(not os.path.exists(FULL), reason=f"no {FULL} here")
SWEEP = ("-m", "algorithm=random,rea", "trials=2", "report=null", "hydra.sweep.dir=out")
RUN = ("trials=2", "hydra.run.dir=out")
LOST = "nasrun: standard output cannot be written ({}), so not all was printed{}\n"


@pytest.fixture
def nasrun_into(tmp_path, cache_dir):
    """Run the command with standard output in ``stream``; returns exit code and standard error."""

    def call(stream, *arguments):
        answer = subprocess.run(
            [NASRUN, *arguments], stdout=stream, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
            env=environment(cache_dir),
        )  # fmt: skip
        return answer.returncode, answer.stderr

    return call


@pytest.fixture
def full():
    """A file on a full disk."""
    with open(FULL, "w") as stream:
        yield stream


@pytest.fixture
def unread():
    """A pipe whose reader is gone."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@needs_full
@pytest.mark.parametrize(("arguments", "trials"), [(RUN, 2), (SWEEP, 4)])
def test_a_full_disk_under_standard_output_costs_no_file(
    nasrun_into, full, tmp_path, arguments, trials
):
    told = LOST.format("No space left on device", "; all files are in out")
    assert nasrun_into(full, *arguments) == (1, told)
    assert len(rows(tmp_path / "out" / "trials.csv")) == trials
    assert (tmp_path / "out" / "summary.csv").exists()
    assert not (tmp_path / "out" / "failed.csv").exists()


@needs_full
def test_verbs_and_help_say_that_standard_output_is_full(nasrun_into, full):
    assert nasrun_into(subprocess.DEVNULL, *RUN) == (0, "")
    told = LOST.format("No space left on device", "")
    for arguments in (["show", "out"], ["report", "out"], ["show", "--help"], ["--version"]):
        assert nasrun_into(full, *arguments) == (1, told)


def test_a_run_outlives_the_reader_of_its_lines(nasrun_into, unread, tmp_path):
    assert nasrun_into(unread, *SWEEP) == (
        1, LOST.format("Broken pipe", "; all files are in out")
    )  # fmt: skip
    assert len(rows(tmp_path / "out" / "trials.csv")) == 4


def test_a_reader_of_help_that_has_seen_enough_is_told_nothing(nasrun_into, unread):
    assert nasrun_into(unread, "--help") == (1, "")


def test_a_run_without_standard_output_ends_well(tmp_path, cache_dir):
    answer = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", NASRUN, *RUN], stderr=subprocess.PIPE, text=True,
        cwd=tmp_path, env=environment(cache_dir),
    )  # fmt: skip
    assert (answer.returncode, answer.stderr) == (0, "")
    assert len(rows(tmp_path / "out" / "trials.csv")) == 2
