import pytest

from nasrun.errors import ConfigError, DataError
from nasrun.files import atomic, cache_folder, write_bytes, write_whole


def full(*_):
    raise OSError("disk full")


@pytest.mark.parametrize(("write", "refusal"), [(write_whole, OSError), (write_bytes, DataError)])
def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch, write, refusal):
    write(tmp_path / "f", b"old")
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(refusal, match="disk full"):
        write(tmp_path / "f", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("f", b"old")]


def test_a_failure_within_the_block_leaves_nothing(tmp_path):
    def half():
        with atomic(tmp_path / "f") as stream:
            stream.write("a half")
            raise ValueError("the rest is missing")

    with pytest.raises(ValueError, match="the rest"):
        half()
    assert not list(tmp_path.iterdir())


def no_home(*_, **__):
    raise RuntimeError("could not determine the home directory")


@pytest.mark.parametrize("answer", [lambda *_, **__: "~/.cache/nasrun", no_home])
def test_a_user_without_a_home_is_told_of_the_variable(monkeypatch, tmp_path, answer):
    monkeypatch.delenv("NASRUN_CACHE", raising=False)
    # What platformdirs answers for a user whom the system does not know, without HOME.
    monkeypatch.setattr("platformdirs.user_cache_dir", answer)
    with pytest.raises(ConfigError, match=r"no home folder .* set HOME, or NASRUN_CACHE"):
        cache_folder()
    monkeypatch.setenv("NASRUN_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
