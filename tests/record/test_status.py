import pytest
from toys import toy_experiment

from nasrun.algorithms.random_search import RandomSearch
from nasrun.errors import DataError
from nasrun.pipeline import run
from nasrun.record.recorder import Recorder
from nasrun.record.request import Request
from nasrun.record.status import progress, read_status, require_whole

ASKED = Request(("trials=6",), "conf", "composed", "data", 0, 6)


def test_how_far_an_unfinished_run_is(tmp_path):
    with Recorder(tmp_path, "one", ASKED) as recorder:
        assert progress(tmp_path) == (0, 6, False)
        work = recorder.work_folder(0)
        work.mkdir(parents=True)
        assert progress(tmp_path) == (0, 6, False)
        (work / "checkpoint").touch()
        assert progress(tmp_path) == (0, 6, True)


def test_a_complete_run_that_has_lost_its_rows_is_refused(tmp_path):
    with Recorder(tmp_path, "one", ASKED) as recorder:
        run(toy_experiment(RandomSearch(), trials=6).opened(), recorder, dict)
    status = read_status(tmp_path)
    require_whole(tmp_path, status)
    (tmp_path / "trials.csv").unlink()
    with pytest.raises(DataError, match=rf"trials\.csv or .* with: nasrun resume={tmp_path}$"):
        require_whole(tmp_path, status)
