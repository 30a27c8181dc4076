import gzip
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from toys import toy_experiment

from nasrun.algorithms.random_search import RandomSearch
from nasrun.errors import DataError
from nasrun.files import read_csv, read_json
from nasrun.measurements import evaluations_file
from nasrun.pipeline import run
from nasrun.record.collect import collect
from nasrun.record.evaluations import Kept, foreign, write_evaluations
from nasrun.record.recorder import Recorder
from nasrun.record.request import Request
from nasrun.record.rows import EVALUATION_COLUMNS, TRIAL_COLUMNS
from nasrun.record.status import PARTS, STATUS, is_whole, read_status, seeds_on_record
from nasrun.record.summary import SUMMARY_COLUMNS


@pytest.fixture
def finished(tmp_path):
    with Recorder(tmp_path, "one") as recorder:
        run(toy_experiment(RandomSearch(), seed=5, trials=4).opened(), recorder, lambda: {"x": 1})
    return tmp_path


def test_a_run_leaves_these_files_and_no_others(finished):
    names = {path.name for path in finished.iterdir()} - {".lock"}
    assert names == {
        "trials.csv", "evaluations.csv", "summary.csv", "best.json", "provenance.json", STATUS,
    }  # fmt: skip


def test_rows_are_ordered_by_seed_and_missing_is_empty(finished):
    rows = read_csv(finished / "trials.csv", TRIAL_COLUMNS)
    assert [row["seed"] for row in rows] == ["5", "6", "7", "8"]
    assert {row["latency_ms"] for row in rows} == {""}
    evaluations = read_csv(finished / "evaluations.csv")
    assert [int(row["step"]) for row in evaluations] == [*range(6)] * 4
    assert all(float(row["clock_s"]) == 12 * (int(row["step"]) + 1) for row in evaluations)


def test_every_row_says_which_protocol_it_followed(finished):
    for name in ("trials.csv", "evaluations.csv", "summary.csv"):
        for row in read_csv(finished / name):
            protocol = [row[k] for k in ("split", "fidelity", "run", "clock")]
            assert protocol == ["toy-valid", "val@12", "mean", "toy"]


def test_the_best_trial_has_the_highest_reward(finished):
    best = read_json(finished / "best.json")
    rows = read_csv(finished / "trials.csv")
    assert best["reward"] == max(float(row["reward"]) for row in rows)
    assert best["tasks"]["toy"]["test_score"] == best["reward"] - 1


def test_the_summary_has_a_line_per_figure_that_is_there(finished):
    rows = read_csv(finished / "summary.csv", SUMMARY_COLUMNS)
    assert {row["metric"] for row in rows} == {"accuracy_pct"}
    assert {row["figure"] for row in rows} == {
        "reward",
        "val_score",
        "test_score",
        "evaluations",
        "simulated_s",
        "rank",
        "failed",
    }


def test_a_folder_of_another_run_is_refused_and_kept(finished):
    before = (finished / STATUS).read_bytes()
    with pytest.raises(DataError, match="holds another run"), Recorder(finished, "two"):
        pass
    assert (finished / STATUS).read_bytes() == before


def test_a_sweeps_job_in_the_folder_of_another_is_told_of_the_sweeps_settings(finished):
    refused = pytest.raises(DataError, match=r"hydra\.sweep\.subdir=\.\.\. that tells jobs apart")
    with refused, Recorder(finished, "two", wait=True):
        pass


def test_a_folder_in_use_is_refused(tmp_path):
    with (
        Recorder(tmp_path, "one"),
        pytest.raises(DataError, match="another nasrun is writing"),
        Recorder(tmp_path, "one"),
    ):
        pass


def test_a_failure_is_noted_with_its_traceback(tmp_path):
    with pytest.raises(ZeroDivisionError), Recorder(tmp_path, "one"):
        _ = 1 / 0
    status = read_json(tmp_path / STATUS)
    assert status["state"] == "failed"
    assert status["reason"] == "division by zero"
    assert "ZeroDivisionError" in status["error"]


def test_a_failed_run_can_be_started_again(tmp_path):
    with pytest.raises(ZeroDivisionError), Recorder(tmp_path, "one"):
        _ = 1 / 0
    with Recorder(tmp_path, "one") as recorder:
        run(toy_experiment(RandomSearch()).opened(), recorder, dict)
        assert recorder.complete


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "cannot be read"), ("{}", "expected the state"), ("[]", "expected")],
)
def test_a_damaged_status_is_one_sentence(tmp_path, content, words):
    (tmp_path / STATUS).write_text(content)
    sentence = rf"status\.json: {words}.*: delete .* to play that run again$"
    with pytest.raises(DataError, match=sentence), Recorder(tmp_path, "one"):
        pass
    with pytest.raises(DataError, match=sentence):
        collect(tmp_path)


FULL_DISK = """
import json, resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.path.insert(0, sys.argv[2])
from toys import toy_experiment
from nasrun.algorithms.random_search import RandomSearch
from nasrun.errors import DataError
from nasrun.measurements import evaluations_file
from nasrun.pipeline import run
from nasrun.record.recorder import Recorder
try:
    with Recorder(Path(sys.argv[1]), "one") as recorder:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, resource.RLIM_INFINITY))  # a status fits
        run(toy_experiment(RandomSearch(), trials=400).opened(), recorder, dict)
except DataError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs resource limits")
def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(tmp_path):
    """A limit on file size makes writes fail in the middle, as a full disk does."""
    tests = os.path.dirname(os.path.dirname(__file__))
    answer = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), tests],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert answer.stdout.startswith("cannot write ")
    assert answer.stdout.count("\n") == 1
    assert not list(tmp_path.glob("*.csv"))
    assert not list((tmp_path / PARTS).iterdir())
    assert json.loads((tmp_path / STATUS).read_text())["state"] == "failed"


def test_a_folder_where_nothing_came_of_a_run_can_be_taken_over(tmp_path):
    with pytest.raises(ZeroDivisionError), Recorder(tmp_path, "one"):
        _ = 1 / 0
    with Recorder(tmp_path, "two") as recorder:
        run(toy_experiment(RandomSearch()).opened(), recorder, dict)
    assert read_json(tmp_path / STATUS)["config_hash"] == "two"


ASKED = Request(("trials=6",), "conf", "composed", "data", 0, 6)


class Removing(RandomSearch):
    """Somebody removes what is finished, all of it or a part, while the last cohort is played."""

    def __init__(self, target):
        super().__init__()
        self.target, self.cohorts = target, 0

    def start(self, *arguments):
        self.cohorts += 1
        if self.cohorts == 3:
            shutil.rmtree(self.target)
        super().start(*arguments)


@pytest.mark.parametrize(("gone", "left"), [("0", 4), ("", 2)])
def test_a_run_that_lost_trials_on_the_way_is_not_complete(tmp_path, gone, left):
    target = tmp_path / PARTS / gone
    words = f"expected 6 finished trials, found {left} .* resume={tmp_path}"
    experiment = toy_experiment(Removing(target), trials=6, cohort=2).opened()
    with pytest.raises(DataError, match=words), Recorder(tmp_path, "one", ASKED) as recorder:
        run(experiment, recorder, dict)
    assert read_json(tmp_path / STATUS)["state"] == "failed"
    assert not (tmp_path / "trials.csv").exists()
    with Recorder(tmp_path, "one", ASKED) as recorder:
        assert len(recorder.finished()) == left
        run(toy_experiment(RandomSearch(), trials=6).opened(), recorder, dict)
    assert seeds_on_record(tmp_path / "trials.csv") == {*range(6)}


def test_a_file_in_the_place_of_a_folder_is_no_full_disk(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(DataError, match="a file stands where a folder has to be; choose an"):
            Recorder(folder, "one", ASKED).__enter__()


LINE = None  # in place of a number of bytes: the last line


def cut(path, size):
    """Leave the first bytes of a file, or whole lines of it alone where ``size`` is ``LINE``."""
    content = path.read_bytes()
    path.write_bytes(content[: content.rfind(b"\n", 0, -1) + 1] if size == LINE else content[:size])


@pytest.mark.parametrize(
    ("name", "size"),
    [("trials.csv", 0), ("trials.csv", -100), ("evaluations.csv", -5), ("bytes.json", 0)]
    + [(name, LINE) for name in ("trials.csv", "evaluations.csv")],
)
def test_finished_trials_of_a_file_that_is_cut_off_are_played_again(tmp_path, name, size):
    """As a machine that loses its power leaves it."""
    whole, folder = tmp_path / "whole", tmp_path / "cut"
    with Recorder(whole, "one") as recorder:
        run(toy_experiment(RandomSearch(), trials=6, cohort=2).opened(), recorder, dict)
    removing = toy_experiment(Removing(folder / PARTS / "0"), trials=6, cohort=2).opened()
    with pytest.raises(DataError), Recorder(folder, "one", ASKED) as recorder:
        run(removing, recorder, dict)
    cut(folder / PARTS / "2" / name, size)
    with Recorder(folder, "one", ASKED) as recorder:
        assert recorder.finished() == {4, 5}
        run(toy_experiment(RandomSearch(), trials=6).opened(), recorder, dict)
    for table in ("trials.csv", "evaluations.csv"):
        assert (folder / table).read_bytes() == (whole / table).read_bytes()


@pytest.mark.parametrize("name", ["trials.csv", "evaluations.csv"])
@pytest.mark.parametrize("size", [-1, -100, LINE])
def test_a_complete_run_of_which_a_file_is_cut_off_is_played_again(tmp_path, name, size):
    def play():
        with Recorder(tmp_path, "one", ASKED) as recorder:
            run(toy_experiment(RandomSearch(), trials=6).opened(), recorder, dict)
        return (tmp_path / name).read_bytes()

    whole = play()
    cut(tmp_path / name, size)
    if size != LINE:
        with pytest.raises(DataError, match=r"cut off in its last line|not as many cells"):
            read_csv(tmp_path / name)
    assert not is_whole(tmp_path, read_status(tmp_path))
    assert play() == whole


def test_trials_of_a_version_that_noted_no_sizes_are_kept_unless_cut_off(tmp_path):
    removing = toy_experiment(Removing(tmp_path / PARTS / "0"), trials=6, cohort=2).opened()
    with pytest.raises(DataError), Recorder(tmp_path, "one", ASKED) as recorder:
        run(removing, recorder, dict)
    for part in (tmp_path / PARTS).glob("[0-9]*"):
        (part / "bytes.json").unlink()
    with Recorder(tmp_path, "one", ASKED) as recorder:
        assert recorder.finished() == {2, 3, 4, 5}
    cut(tmp_path / PARTS / "2" / "evaluations.csv", -1)
    (tmp_path / PARTS / "4" / "trials.csv").unlink()  # its measurements must not stay behind
    with Recorder(tmp_path, "one", ASKED) as recorder:
        assert not recorder.finished()
        assert not list((tmp_path / PARTS).glob("[0-9]*"))
        run(toy_experiment(RandomSearch(), trials=6).opened(), recorder, dict)
    status = read_status(tmp_path)
    del status["bytes"]
    assert is_whole(tmp_path, status)
    cut(tmp_path / "evaluations.csv", -1)
    assert not is_whole(tmp_path, status)


@pytest.mark.parametrize("kept", [Kept.csv, Kept.gz])
def test_finished_trials_with_the_columns_of_another_version_are_played_again(
    tmp_path, kept, monkeypatch, caplog
):
    def experiment(algorithm):
        made = toy_experiment(algorithm, trials=6, cohort=2)
        return replace(made, kept_evaluations=kept)

    whole, folder = tmp_path / "whole", tmp_path / "old"
    with Recorder(whole, "one") as recorder:
        run(experiment(RandomSearch()).opened(), recorder, dict)
    with monkeypatch.context() as earlier:
        left = [name for name in EVALUATION_COLUMNS if name != "evaluations"]
        earlier.setattr("nasrun.record.evaluations.EVALUATION_COLUMNS", tuple(left))
        removing = experiment(Removing(folder / PARTS / "0")).opened()
        with pytest.raises(DataError), Recorder(folder, "one", ASKED) as recorder:
            run(removing, recorder, dict)
    with Recorder(folder, "one", ASKED) as recorder:
        assert not recorder.finished()
        assert "evaluations.csv" in caplog.text
        assert "is of another version: its trials are played anew" in caplog.text
        run(experiment(RandomSearch()).opened(), recorder, dict)
    name = evaluations_file(whole).name
    assert (folder / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("kept", [Kept.csv, Kept.gz])
def test_trials_that_measured_nothing_are_of_this_version(tmp_path, kept):
    write_evaluations(tmp_path, {name: [] for name in EVALUATION_COLUMNS}, kept)
    assert foreign(tmp_path) is None


def test_what_was_edited_or_packed_again_is_whole_until_it_is_cut_off(tmp_path):
    packed, origin = tmp_path / "evaluations.csv.gz", tmp_path / "provenance.json"
    made = replace(toy_experiment(RandomSearch(), trials=6), kept_evaluations=Kept.gz)
    with Recorder(tmp_path, "one", ASKED) as recorder:
        run(made.opened(), recorder, lambda: {"host": "somebody's own"})
    before = packed.read_bytes(), origin.read_bytes()
    packed.write_bytes(gzip.compress(gzip.decompress(before[0]), 9))
    origin.write_text("{}")
    assert packed.stat().st_size < len(before[0])
    assert is_whole(tmp_path, read_status(tmp_path))
    for path, content in ((packed, before[0][:-9]), (origin, before[1][:-9])):
        kept = path.read_bytes()
        path.write_bytes(content)
        assert not is_whole(tmp_path, read_status(tmp_path))
        path.write_bytes(kept)


def test_a_complete_run_may_go_without_its_measurements_but_not_without_where_it_comes_from(
    tmp_path,
):
    def play():
        with Recorder(tmp_path, "one", ASKED) as recorder:
            run(toy_experiment(RandomSearch(), trials=6).opened(), recorder, dict)

    play()
    (tmp_path / "evaluations.csv").unlink()
    assert is_whole(tmp_path, read_status(tmp_path))
    (tmp_path / "provenance.json").unlink()
    assert not is_whole(tmp_path, read_status(tmp_path))
    play()
    assert is_whole(tmp_path, read_status(tmp_path))
    assert (tmp_path / "provenance.json").exists()


def test_a_complete_run_without_all_its_rows_is_played_again(tmp_path, caplog):
    def play():
        with Recorder(tmp_path, "one", ASKED) as recorder:
            run(toy_experiment(RandomSearch(), trials=6).opened(), recorder, dict)
        return (tmp_path / "trials.csv").read_bytes()

    whole = play()
    (tmp_path / "trials.csv").write_bytes(whole[: whole.rfind(b"\n", 0, -1) + 1])
    assert not is_whole(tmp_path, read_status(tmp_path))
    assert play() == whole
    assert "says complete, but trials are missing" in caplog.text
    (tmp_path / "trials.csv").unlink()
    assert play() == whole
