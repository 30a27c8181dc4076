import io
import logging
import os
import subprocess
import sys
import warnings

import pytest

from nasrun import screen
from nasrun.screen import ScreenHandler, fitted, plus_minus, prepare


@pytest.fixture
def standard_output(monkeypatch):
    """Replaces standard output and error; returns a function that gives the bytes so far."""

    def replaced(encoding):
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding, write_through=True)
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("PYTHONWARNINGS", "default")  # so that prepare() leaves them alone
        prepare()
        return raw.getvalue

    return replaced


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_stream_writes_what_its_encoding_lacks_in_other_characters(standard_output, encoding):
    written = standard_output(encoding)
    print("93.75 ± 0.39 … é 日")
    expected = {
        "ascii": b"93.75 +/- 0.39 ... ? ?\n",
        "latin-1": "93.75 ± 0.39 ... é ?\n".encode("latin-1"),
        "utf-8": "93.75 ± 0.39 … é 日\n".encode(),
    }
    assert written() == expected[encoding]
    assert plus_minus() == ("+/-" if encoding == "ascii" else "±")


class Terminal(io.StringIO):
    """Standard output that claims to be a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


def logged(level, text):
    record = logging.LogRecord("nasrun", level, __file__, 1, text, None, None)
    record.created = 0.0
    ScreenHandler().emit(record)


def test_log_lines_fit_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "80")
    logged(logging.WARNING, "a sentence that goes on and on " * 5)
    lines = sys.stdout.getvalue().splitlines()
    assert lines[0][10:].startswith(" warning: a sentence")
    assert len(lines) > 1
    assert max(map(len, lines)) <= 80
    assert all(line.startswith(" " * 11) for line in lines[1:])


def test_a_file_gets_one_line_with_the_date(capsys):
    logged(logging.INFO, "a sentence that goes on and on " * 5)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("[19")


def test_words_that_are_too_long_stay_whole(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "40")
    path = "/a/path/" + 60 * "x"
    assert path in fitted(f"wrote {path} and more").splitlines()[1]


def test_warnings_of_libraries_do_not_appear(standard_output, monkeypatch):
    monkeypatch.setattr(sys, "warnoptions", [])
    with warnings.catch_warnings(record=True) as caught:
        standard_output("utf-8")
        monkeypatch.delenv("PYTHONWARNINGS")
        prepare()
        assert os.environ["PYTHONWARNINGS"] == "ignore"  # for processes that this one starts
        warnings.warn("old API", DeprecationWarning, stacklevel=1)
        warnings.warn("In 'mine': Defaults list is missing `_self_`", stacklevel=1)
    assert [str(each.message) for each in caught] == [
        "In 'mine': Defaults list is missing `_self_`"
    ]


INTERRUPTED_IMPORT = """
import builtins, runpy, sys
real = builtins.__import__
def interrupting(name, *rest):
    if name == "hydra":
        raise KeyboardInterrupt
    return real(name, *rest)
builtins.__import__ = interrupting
import nasrun.__main__
"""


def test_ctrl_c_shows_no_traceback_while_modules_are_read():
    answer = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT], capture_output=True, text=True
    )
    assert answer.returncode != 0
    assert answer.stderr == f"{screen.IN_PLAIN_WORDS}\n"


def test_other_errors_keep_their_traceback(capsys):
    screen._without_traceback(ValueError, ValueError("what"), None)
    assert "ValueError: what" in capsys.readouterr().err


class Refusing(io.StringIO):
    """A stream that takes nothing while ``full`` is set."""

    full = True

    def write(self, text):
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_what_a_stream_refuses_is_noted_and_ends_nothing(monkeypatch):
    stream = Refusing()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", sys.stderr)  # put back after the test
    prepare()
    print("lost")
    logged(logging.INFO, "lost too")
    stream.full = False
    print("there again")
    prepare()  # by each job of a process, and nothing noted is forgotten
    assert stream.getvalue() == "there again\n"
    assert str(screen.unshown()) == "[Errno 28] No space left on device"


def test_a_stream_that_took_all_is_no_loss(standard_output):
    standard_output("utf-8")
    print("there")
    assert screen.unshown() is None
