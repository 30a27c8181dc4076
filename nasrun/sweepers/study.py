"""A study that several processes share: an Optuna journal in a folder, and a lock for each claim.

Optuna knows which configurations were tried and what they were worth. Who plays one at the moment
is a file lock beside it, which the system takes back from a process that dies. So a configuration
whose process was killed is found, without any waiting time, and played on under its own number.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock
import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from nasrun.errors import ConfigError, DataError
from nasrun.files import unwritable
from nasrun.locks import file_lock
from nasrun.sweepers.choosing import Sampling, choose
from nasrun.sweepers.dimensions import Dimensions, Value

JOURNAL = "journal.log"
STUDY = "tuning"
DECLARED = "declared"  # the attribute that holds what the study is about
CLAIM = ".lock"  # in a configuration's folder, held by the process that plays it


class SharedStudy:
    """Hands out configurations, each to one process, and keeps what they are worth.

    A configuration depends on the sampling seed, its number and what was known when it was asked
    for; so one process gives the same study again, however often it was interrupted. No two are
    equal.

    Args:
        folder: where the journal lies; made if it is missing.
        dimensions: what may be changed, by key.
        sampling: how to choose.
        declared: what the study is about, in words that differ between any two studies.
        first: values of the first configuration; None: it is chosen like the others.

    Raises:
        ConfigError: the folder holds another study.
        DataError: the folder cannot be written, or its journal not be read.
    """

    def __init__(
        self,
        folder: Path,
        dimensions: Dimensions,
        sampling: Sampling,
        declared: str,
        first: Mapping[str, Value] | None = None,
    ) -> None:
        self.folder = folder
        self._dimensions = dimensions
        self._sampling = sampling
        self._first = first
        self._claims: dict[int, filelock.BaseFileLock] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = file_lock(folder / CLAIM)
            with self.held():
                self._study = _open_study(folder / JOURNAL, self._lock)
                self._settle(declared)
        except OSError as error:
            raise unwritable(folder, error) from error

    @contextmanager
    def held(self) -> Generator[None]:
        """The study while nobody else touches it."""
        with self._lock:
            _cut_torn_line(self.folder / JOURNAL)
            yield

    def _settle(self, declared: str) -> None:
        found = self._study.user_attrs.get(DECLARED)
        if found is None:
            self._study.set_user_attr(DECLARED, declared)
        elif found != declared:
            raise ConfigError(
                f"{self.folder} holds another tuning (other dimensions, tasks, seeds or settings): "
                "choose another folder with hydra.sweep.dir=..., or delete this one"
            )

    def ask(self, count: int, limit: int) -> list[FrozenTrial]:
        """Up to ``count`` configurations to play now; they are this process's until told or left.

        Those that a dead process left behind come first, then new ones, ``limit`` in all or as
        many as differ from each other.
        """
        with self.held():
            for trial in self._running():
                if len(self._claims) < count:
                    self._claim(trial.number)
            while len(self._claims) < count and len(self._study.trials) < limit:
                if not self._add():
                    break
            trials = self._study.trials
            return [trials[number] for number in sorted(self._claims)]

    def tell(self, number: int, objective: float | None) -> None:
        """Note what a configuration is worth, None if that cannot be known, and let go of it."""
        with self.held():
            if objective is None:
                self._study.tell(number, state=TrialState.FAIL)
            else:
                self._study.tell(number, objective)
        self.leave(number)

    def leave(self, number: int) -> None:
        """Let go of a configuration that is to be played on later, by this process or another."""
        self._claims.pop(number).release()

    def open(self) -> bool:
        """Whether some configuration is still to be played to its end."""
        with self.held():
            return bool(self._running())

    def configurations(self) -> list[FrozenTrial]:
        """All configurations so far, by number."""
        with self.held():
            return self._study.trials

    def _running(self) -> list[FrozenTrial]:
        return self._study.get_trials(states=(TrialState.RUNNING,))

    def _claim(self, number: int) -> None:
        """Take a configuration, unless a living process has it."""
        if number in self._claims:
            return
        place = self.folder / place_of(number)
        place.mkdir(exist_ok=True)
        claim = file_lock(place / CLAIM, timeout=0)
        with suppress(filelock.Timeout):
            claim.acquire()
            self._claims[number] = claim

    def _add(self) -> bool:
        """Choose one more configuration, write it down at once and as a whole, and take it.

        False: all that are possible were tried.
        """
        trials = self._study.trials
        # The order of the keys decides what is drawn: that of the command which began the study.
        dimensions = trials[0].distributions if trials else self._dimensions
        values = self._first if not trials else None
        values = values or choose(dimensions, self._sampling, trials)
        if values is None:
            return False
        trial = create_trial(
            state=TrialState.RUNNING,
            params=dict(values),
            distributions=dimensions,
        )
        self._study.add_trial(trial)
        self._claim(len(trials))
        return True


def place_of(number: int) -> str:
    """Name of a configuration's folder."""
    return f"{number:04d}"


def _open_study(journal: Path, lock: filelock.BaseFileLock) -> optuna.Study:
    """The study of a journal file; the caller holds the lock."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    guard: Any = lock  # acquire() and release() are all that Optuna asks of it
    try:
        backend = JournalFileBackend(str(journal), lock_obj=guard)
        return optuna.create_study(
            storage=optuna.storages.JournalStorage(backend),
            study_name=STUDY,
            direction="maximize",
            load_if_exists=True,
        )
    except (ValueError, KeyError) as error:
        raise DataError(
            f"{journal}: no journal of a tuning ({error}): delete {journal.parent} to tune anew"
        ) from None


def _cut_torn_line(journal: Path) -> None:
    """Drop an unfinished last line: its writer was killed, and Optuna would add to it."""
    content = journal.read_bytes() if journal.exists() else b""
    if not content.endswith(b"\n") and content:
        with journal.open("r+b") as stream:
            stream.truncate(content.rfind(b"\n") + 1)
