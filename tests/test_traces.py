from nasrun.traces import Traces

OWN = ("nasrun.log", ".hydra")


def run_in(folder, *more):
    """What Hydra and nasrun write before a run begins."""
    (folder / ".hydra").mkdir(parents=True)
    for name in (".hydra/config.yaml", "nasrun.log", *more):
        (folder / name).write_text("new")


def test_folders_that_were_not_there_go_again(tmp_path):
    (tmp_path / "mine").mkdir()
    folder = tmp_path / "mine" / "a" / "b"
    before = Traces.before(folder)
    run_in(folder)
    before.take_back(OWN)
    assert list(tmp_path.rglob("*")) == [tmp_path / "mine"]


def test_what_was_there_stays(tmp_path):
    (tmp_path / "nasrun.log").write_text("old")
    before = Traces.before(tmp_path)
    run_in(tmp_path)
    before.take_back(OWN)
    assert [path.name for path in tmp_path.iterdir()] == ["nasrun.log"]


def test_more_than_its_own_names_is_left_alone(tmp_path):
    before = Traces.before(tmp_path / "run")
    run_in(tmp_path / "run", "trials.csv")
    before.take_back(OWN)
    assert (tmp_path / "run" / "trials.csv").exists()
    assert (tmp_path / "run" / "nasrun.log").exists()


def test_a_neighbours_folder_keeps_the_parent(tmp_path):
    before = Traces.before(tmp_path / "a" / "mine")
    run_in(tmp_path / "a" / "mine")
    (tmp_path / "a" / "theirs").mkdir()
    before.take_back(OWN)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["theirs"]


def test_a_folder_that_was_never_made_is_no_trouble(tmp_path):
    (tmp_path / "file").write_text("")
    Traces.before(tmp_path / "file" / "run").take_back(OWN)
    assert (tmp_path / "file").exists()
