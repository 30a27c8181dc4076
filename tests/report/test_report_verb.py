import pytest
from sweeps import sweep

from nasrun.errors import ConfigError, DataError
from nasrun.files import CONF
from nasrun.report.experiment import write_report
from nasrun.verbs import perform

BOARD = {"name": "board", "title": "A board", "columns": ["trials", "score"], "figures": ["box"]}


@pytest.fixture
def folder(tmp_path):
    sweep(tmp_path, {"rea": [94.0, 94.5, 95.0], "random": [93.0, 93.5, 94.0]})
    return tmp_path


def test_a_report_is_made_again_byte_by_byte(folder, capsys):
    written = write_report(folder, BOARD).files
    before = {path: path.read_bytes() for path in written}
    (folder / "board.csv").unlink()
    assert perform(["report", str(folder)]) == 0
    assert "A board" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in written} == before


def test_an_experiment_file_says_what_to_make(folder):
    experiment = CONF / "experiment" / "nb201_leaderboard.yaml"
    assert perform(["report", str(folder), "--report", str(experiment)]) == 0
    assert (folder / "nb201_leaderboard.png").exists()


@pytest.mark.parametrize("content", [None, "a: [", "a: 1", "[]"])
def test_a_file_without_a_report_is_refused(folder, content):
    path = folder / "x.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match="--report"):
        perform(["report", str(folder), "--report", str(path)])


def test_a_folder_without_trials_is_refused(tmp_path):
    with pytest.raises(DataError, match=f"{tmp_path} holds no trials.csv"):
        perform(["report", str(tmp_path)])


def test_a_folder_without_a_node_has_the_report_of_any_sweep(folder):
    assert perform(["report", str(folder)]) == 0
    assert {"report.html", "report.tex", "report.json"} <= {path.name for path in folder.iterdir()}
