"""What the command does to the terminal it is in: encoding, log lines, warnings, Ctrl-C.

The entry point imports this module, so it imports nothing heavy.
"""

import codecs
import logging
import os
import shutil
import sys
import textwrap
import traceback
import warnings
from io import TextIOWrapper
from types import TracebackType
from typing import Any, TextIO, cast

# What stands for a character that a stream's encoding lacks: dashes, ellipsis, times, dot, <=, >=.
ASCII = {
    "±": "+/-", "\u2013": "-", "\u2014": "-", "\u2212": "-", "\u2026": "...", "\u00d7": "x",
    "\u00b7": "*", "\u2264": "<=", "\u2265": ">=",
}  # fmt: skip
ERRORS = "nasrun.ascii"  # how a stream writes what its encoding lacks
IN_PLAIN_WORDS = "nasrun: interrupted; start the same command again to go on"


class Outlived:
    """A standard stream that a run outlives: what the system refuses to take is not shown.

    A disk may be full or a reader gone where the run's own files lie well. Later writes are tried
    all the same, since somebody may make room meanwhile.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.refusal: OSError | None = None  # the last one

    def write(self, text: str) -> int:
        """Write a text if the system takes it."""
        try:
            return self.stream.write(text)
        except OSError as error:
            self.refusal = error
            return len(text)

    def flush(self) -> None:
        """Write what is still held back, if the system takes it."""
        try:
            self.stream.flush()
        except OSError as error:
            self.refusal = error

    def __getattr__(self, name: str) -> Any:
        """What else a stream has, such as its encoding."""
        return getattr(self.stream, name)


def prepare() -> None:
    """Make this process's screen fit for what nasrun shows, whatever its encoding is.

    No stream ends a run afterwards, be it on a full disk, a pipe that nobody reads, or closed.
    Warnings of libraries are kept from it, unless Python was asked for them (``-W``,
    ``PYTHONWARNINGS``): who runs an experiment cannot mend the code that they are about.
    """
    codecs.register_error(ERRORS, _in_ascii)
    sys.stdout, sys.stderr = _outlived(sys.stdout), _outlived(sys.stderr)
    if not sys.warnoptions and "PYTHONWARNINGS" not in os.environ:
        os.environ["PYTHONWARNINGS"] = "ignore"  # of worker processes
        warnings.simplefilter("ignore")
        # What Hydra says of a person's own config files can be acted on.
        warnings.filterwarnings("default", message=".*(Defaults list|config_path|_self_).*")


def _outlived(stream: TextIO | None) -> TextIO:
    if isinstance(stream, Outlived):
        return cast("TextIO", stream)
    if stream is None:  # closed by who started us: a file of the run must not take its number
        stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  for all of the process
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors=ERRORS)
    return cast("TextIO", Outlived(stream))


def unshown() -> OSError | None:
    """Why standard output lacks part of what was to be shown; None where it has all."""
    sys.stdout.flush()
    return sys.stdout.refusal if isinstance(sys.stdout, Outlived) else None


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(ASCII.get(letter, "?") for letter in text), error.end


def plus_minus() -> str:
    """The sign between a mean and its standard deviation, as standard output can show it."""
    try:
        "±".encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return ASCII["±"]
    return "±"


def fitted(text: str, indent: int = 4) -> str:
    """A sentence as it fits the terminal; on one line where standard output is none."""
    if not sys.stdout.isatty():
        return text
    return textwrap.fill(
        text,
        max(40, shutil.get_terminal_size().columns),
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def stay_calm() -> None:
    """Answer Ctrl-C in a sentence from now on, where nothing else does: while modules are read."""
    sys.excepthook = _without_traceback


def _without_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if not issubclass(kind, KeyboardInterrupt) or "debug=true" in sys.argv:
        traceback.print_exception(kind, error, trace)
        return
    print(IN_PLAIN_WORDS, file=sys.stderr)


class ScreenHandler(logging.Handler):
    """Log lines for a person: the time and the sentence, wrapped at the terminal's width.

    They go to whatever ``sys.stdout`` is at the moment, so that they come to stand above the lines
    of a run that is being shown. In a file each stays on a line of its own, with the date.

    Args:
        stream: what Hydra's own settings for this handler name; not used.
    """

    def __init__(self, stream: object = None) -> None:
        super().__init__()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record; an error of the stream must not end a run."""
        try:
            print(self._text(record), file=sys.stdout, flush=True)
        except Exception:
            self.handleError(record)

    def _text(self, record: logging.LogRecord) -> str:
        on_terminal = sys.stdout.isatty()
        when = self.formatter or logging.Formatter()
        stamp = when.formatTime(record, "%H:%M:%S" if on_terminal else "%Y-%m-%d %H:%M:%S")
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        text = f"[{stamp}] {level}{record.getMessage()}"
        if record.exc_info:
            text = f"{text}\n{when.formatException(record.exc_info)}"
        return fitted(text, indent=11)
