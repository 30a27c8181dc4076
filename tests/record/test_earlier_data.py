import logging

import pytest

from nasrun.errors import DataError
from nasrun.files import write_json
from nasrun.record.earlier_data import EARLIER, note_earlier_data, require_earlier_data
from nasrun.record.provenance import config_hash
from nasrun.record.request import Found, Request

OLD = {"table.csv": "1" * 64, "sizes.csv": "5" * 64}
NEW = {"table.csv": "2" * 64, "sizes.csv": "5" * 64}


def asked(data, algorithm="rea", seed=0):
    words = (f"algorithm={algorithm}", f"seed={seed}")
    return Request(words, "conf", "composed", config_hash(data), seed, 5)


def finished(folder, data, complete=True, **of):
    folder.mkdir()
    write_json(folder / "provenance.json", {"data": data})
    return Found(folder, asked(data, **of), complete, begun=not complete)


def test_missing_trials_of_a_search_are_not_played_on_other_files(tmp_path):
    note_earlier_data(tmp_path, [finished(tmp_path / "done", OLD)])
    require_earlier_data(tmp_path, asked(OLD, seed=5), OLD)
    message = r"done holds trials of this search on other data files .* \(table.csv\): put"
    with pytest.raises(DataError, match=message):
        require_earlier_data(tmp_path, asked(NEW, seed=5), NEW)
    more = {**OLD, "more.csv": "3"}
    with pytest.raises(DataError, match=r"\(more.csv\)"):
        require_earlier_data(tmp_path, asked(more, seed=5), more)


def test_another_search_on_another_version_of_a_file_is_a_warning(tmp_path, caplog):
    note_earlier_data(tmp_path, [finished(tmp_path / "done", OLD)])
    for files in (NEW, {"another.csv": "7"}):  # other tasks may well read other files
        with caplog.at_level(logging.WARNING):
            require_earlier_data(tmp_path, asked(files, "random"), files)
    (record,) = caplog.records
    assert "done was played on another table.csv than the one at hand" in record.getMessage()


def test_what_is_not_finished_does_not_count(tmp_path):
    note_earlier_data(tmp_path, [finished(tmp_path / "begun", OLD, complete=False)])
    require_earlier_data(tmp_path, asked(NEW, seed=5), NEW)
    assert not (tmp_path / EARLIER).exists()


def test_jobs_that_are_gone_are_forgotten(tmp_path):
    note_earlier_data(tmp_path, [finished(tmp_path / "done", OLD)])
    note_earlier_data(tmp_path, [])
    require_earlier_data(tmp_path, asked(NEW, seed=5), NEW)


def test_a_finished_job_without_provenance_still_differs(tmp_path):
    job = finished(tmp_path / "done", OLD)
    (tmp_path / "done" / "provenance.json").unlink()
    note_earlier_data(tmp_path, [job])
    require_earlier_data(tmp_path, asked(OLD, seed=5), OLD)
    with pytest.raises(DataError, match="other data files"):
        require_earlier_data(tmp_path, asked(NEW, seed=5), NEW)


def test_hundreds_of_finished_jobs_are_one_entry(tmp_path, monkeypatch):
    jobs = [finished(tmp_path / str(seed), OLD, seed=seed) for seed in range(0, 500, 5)]
    reads = list[str]()
    monkeypatch.setattr(
        "nasrun.record.earlier_data.read_json",
        lambda path: reads.append(path.parent.name) or {"data": OLD},
    )
    note_earlier_data(tmp_path, jobs)
    assert reads == ["0"]
