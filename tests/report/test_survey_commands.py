"""The commands of the survey's overview: each is composed, checked, and finds its figures."""

import re
import shlex
from importlib.resources import files

import pytest
from composed import CONF, composed

from nasrun.algorithms.one_shot import OneShot
from nasrun.config import check

TEXT = (files("nasrun.report") / "published/overviews/README.md").read_text(encoding="utf-8")
COMMANDS = [
    command
    for command in re.findall(r"`nasrun ([^`]*)`", TEXT)
    if not command.startswith(("+experiment", "task=rotation"))  # of tables, and of data, at hand
]


def test_every_system_has_a_command():
    rows = [line for line in TEXT.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 14
    assert all("`nasrun " in row for row in rows[1:])


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_composes_and_its_evaluator_opens(command):
    made = check(composed(*shlex.split(command)), [CONF / "task"])
    made.evaluator.opened(made.space, made.task)
    if isinstance(made.algorithm, OneShot):  # others learn of their task as they search
        made.algorithm.check_task(made.task)
