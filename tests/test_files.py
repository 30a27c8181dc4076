import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrun.errors import ConfigError, DataError
from nasrun.files import atomic, cache_folder, csv_columns, csv_lines, write_bytes, write_whole


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


CELLS = st.sampled_from(["", "a", "a,b", 'a "b"', "a\nb", "a\rb", "ü ; '", " a "])
COLUMNS = st.one_of(
    st.lists(CELLS, min_size=5, max_size=5),
    st.lists(st.one_of(st.none(), st.integers(), st.floats()), min_size=5, max_size=5),
    st.lists(st.one_of(CELLS, st.none(), st.booleans(), st.floats()), min_size=5, max_size=5),
)


@given(columns=st.lists(COLUMNS, min_size=2, max_size=4), repeats=st.sampled_from([0, 1, 4_000]))
def test_columns_are_written_as_their_rows_would_be(tmp_path_factory, columns, repeats):
    folder = tmp_path_factory.mktemp("csv")
    columns = [column * repeats for column in columns]
    with atomic(folder / "columns") as stream:
        csv_columns(stream, columns)
    with atomic(folder / "rows") as stream:
        csv_lines(stream, zip(*columns, strict=True))
    assert (folder / "columns").read_bytes() == (folder / "rows").read_bytes()
