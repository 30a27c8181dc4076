from nasrun.record.recorder import Recorder
from nasrun.record.request import Request, conf_hash, request_of, wording
from nasrun.record.status import read_status


def test_a_request_comes_back_from_the_status(tmp_path):
    request = Request(("seed=3", "trials=2"), "0123456789ab", "c", "d", 3, 2)
    with Recorder(tmp_path, "hash", request):
        pass
    assert request_of(read_status(tmp_path)) == request
    assert request.seeds == range(3, 5)


def test_a_status_without_a_whole_request_has_none():
    assert request_of({"state": "complete"}) is None
    assert request_of({"request": {"overrides": []}}) is None
    assert request_of({"request": 5}) is None


def test_words_that_change_no_figure_and_their_order_do_not_count():
    assert wording(["b=1", "+a=2", "resume=x", "cohort=5", "sweep.split=2"]) == ("+a=2", "b=1")
    assert Request(("seed=1", "x=2", "debug=true"), None, "c", "d", 1, 1).family == ("x=2",)


def test_the_hash_of_the_config_files_changes_with_any_of_them(tmp_path):
    (tmp_path / "group").mkdir()
    (tmp_path / "group" / "a.yaml").write_text("x: 1\n")
    sources = [("pkg", "hydra.conf"), ("file", str(tmp_path)), ("structured", "")]
    first = conf_hash(sources)
    (tmp_path / "readme.md").write_text("no config")
    assert conf_hash(sources) == first
    (tmp_path / "group" / "b.yaml").write_text("")
    second = conf_hash(sources)
    (tmp_path / "group" / "a.yaml").write_text("x: 2\n")
    assert len({first, second, conf_hash(sources)}) == 3


def test_config_from_a_package_cannot_be_hashed(tmp_path):
    assert conf_hash([("pkg", "mine.conf"), ("file", str(tmp_path))]) is None
