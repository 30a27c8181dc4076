import os
import subprocess
import sys

import pytest

from nasrun import drafts
from nasrun.drafts import PATIENCE_S, draft_of, remove_abandoned
from nasrun.files import write_json


@pytest.fixture
def dead():
    """The number of a process that has ended."""
    return int(subprocess.check_output([sys.executable, "-c", "import os; print(os.getpid())"]))


def draft(folder, pid, host=None):
    own = draft_of("a.csv")
    name = own["prefix"].replace(f".{os.getpid()}.", f".{pid}.") + "x1" + own["suffix"]
    path = folder / (name if host is None else name.replace(drafts._host(), host))
    path.write_text("half")
    return path


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path, dead):
    left, living = draft(tmp_path, dead), draft(tmp_path, os.getpid())
    (tmp_path / ".a.csv.mine").write_text("of a person")
    write_json(tmp_path / "b.json", 1)
    assert not left.exists()
    assert living.exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path != living) == [
        ".a.csv.mine", "b.json",
    ]  # fmt: skip


def test_folders_go_too(tmp_path, dead):
    folder = draft(tmp_path, dead)
    folder.unlink()
    folder.mkdir()
    (folder / "part").touch()
    remove_abandoned(tmp_path)
    assert not list(tmp_path.iterdir())


def test_drafts_of_another_machine_go_after_a_day(tmp_path, dead):
    young, old = draft(tmp_path, dead, "elsewhere"), draft(tmp_path, dead + 1, "elsewhere")
    os.utime(old, (0, old.stat().st_mtime - PATIENCE_S - 60))
    remove_abandoned(tmp_path)
    assert young.exists()
    assert not old.exists()
