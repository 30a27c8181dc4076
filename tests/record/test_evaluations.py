import gzip
from dataclasses import replace

import pytest
from toys import toy_experiment

from nasrun.algorithms.random_search import RandomSearch
from nasrun.errors import DataError
from nasrun.measurements import PACKED, PLAIN, evaluation_rows, evaluations_file, size_mb
from nasrun.pipeline import run
from nasrun.record.evaluations import Kept
from nasrun.record.recorder import Recorder


def played(folder, kept, cohort=2):
    experiment = toy_experiment(RandomSearch(), trials=5)
    with Recorder(folder, "hash") as recorder:
        made = replace(experiment, kept_evaluations=kept, cohort=cohort)
        run(made.opened(), recorder, dict)
    return folder


@pytest.mark.parametrize("cohort", [1, 2, 5])
def test_every_form_says_the_same_and_leaves_the_trials_alone(tmp_path, cohort):
    csv, gz, none = (played(tmp_path / kept.value, kept, cohort) for kept in Kept)
    plain = (csv / PLAIN).read_bytes()
    assert gzip.decompress((gz / PACKED).read_bytes()) == plain
    assert list(evaluation_rows(gz)) == list(evaluation_rows(csv))
    assert not (gz / PLAIN).exists()
    assert not list(none.glob("evaluations*"))
    for name in ("trials.csv", "summary.csv", "best.json"):
        assert (csv / name).read_bytes() == (gz / name).read_bytes() == (none / name).read_bytes()


def test_equal_runs_are_equal_bytes(tmp_path):
    first, second = (played(tmp_path / name, Kept.gz) for name in ("a", "b"))
    assert (first / PACKED).read_bytes() == (second / PACKED).read_bytes()


def test_measurements_that_were_left_out_are_missed_in_a_sentence(tmp_path):
    folder = played(tmp_path / "run", Kept.none)
    assert size_mb(folder) == 0.0
    with pytest.raises(DataError, match=r"record\.evaluations=none.*play it again"):
        evaluations_file(folder)


def test_a_file_that_is_cut_off_is_refused(tmp_path):
    folder = played(tmp_path / "run", Kept.gz)
    data = (folder / PACKED).read_bytes()
    (folder / PACKED).write_bytes(data[:-9])
    with pytest.raises(DataError, match="cannot be read"):
        list(evaluation_rows(folder))
