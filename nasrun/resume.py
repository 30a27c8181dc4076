"""Going on in a folder: the command that a run or a sweep was started with, from what it holds.

Everything here happens before Hydra looks at the command line, so that nothing heavy is imported.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nasrun.errors import ConfigError, DataError, NasrunError
from nasrun.keys import SILENT, key_of
from nasrun.names import command_for

RUN, SWEEP = Path(".hydra", "hydra.yaml"), Path("multirun.yaml")
# What says where a run or a sweep lies and how it is told from the other: ``resume`` decides that.
PLACES = ("hydra.run.dir", "hydra.sweep.dir", "hydra.mode", "resume")
# An experiment may make a sweep of every command with it, also of one for a job in its sweep.
ALONE = "hydra.mode=RUN"
SWEEPING = ("hydra/launcher", "hydra/sweeper", "sweep.split")  # keys that only a sweep obeys
OF_JOB = "hydra.sweep.subdir"  # where a job lies in its sweep: no matter to the job as a run
TRAINS = "_target_: nasrun.evaluators.training.Training"  # in a run's saved config
STUDY = re.compile(r"^study:\n  _target_: .*\n  name: (.+)$", re.MULTILINE)  # in a saved config


@dataclass(frozen=True)
class Saved:
    """The command that a folder was made by, without what says where its results go.

    ``overrides`` decide what is played, ``settings`` are Hydra's own (such as the launcher), and
    ``flags`` say where the config files are. It was typed in ``typed_in``, from where relative
    paths in it are read.
    """

    folder: Path
    sweep: bool
    typed_in: Path
    overrides: tuple[str, ...]
    settings: tuple[str, ...]
    flags: Mapping[str, str]

    @property
    def arguments(self) -> list[str]:
        """The command line."""
        flags = [text for flag in self.flags.items() for text in flag]
        return [*flags, *(["-m"] if self.sweep else []), *self.overrides, *self.settings]


def saved_command(folder: Path) -> Saved | None:
    """What the run or sweep in ``folder`` was started with; None if it holds neither.

    Raises:
        DataError: what Hydra has written there cannot be read.
    """
    path = next((folder / name for name in (SWEEP, RUN) if (folder / name).is_file()), None)
    if path is None:
        return None
    try:
        hydra = yaml.safe_load(path.read_text(encoding="utf-8"))["hydra"]
        places = PLACES if path.name == SWEEP.name else (*PLACES, OF_JOB)
        overrides = _without(hydra["overrides"]["task"], places)
        alone = () if path.name == SWEEP.name else (ALONE,)
        settings = (*_without(hydra["overrides"]["hydra"], places), *alone)
        name = str(hydra["job"]["config_name"])
        flags = {} if name == "config" else {"--config-name": name}
        typed_in = Path(hydra["runtime"]["cwd"])
        for source in hydra["runtime"]["config_sources"]:
            if source["provider"] == "command-line":
                flags["--config-dir"] = str(source["path"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: cannot be read as what Hydra saves of a command "
            f"({' '.join(str(error).split()) or type(error).__name__}): repeat the whole command "
            "with resume=..."
        ) from None
    return Saved(folder, path.name == SWEEP.name, typed_in, overrides, settings, flags)


def _without(overrides: Sequence[Any], keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(text for text in map(str, overrides) if key_of(text) not in keys)


def resumed(arguments: Sequence[str]) -> list[str]:
    """The arguments with all that the folder of ``resume=FOLDER`` knows, where they leave it out.

    A run's folder adds what the command does not say; a sweep's adds all or nothing, for a sweep
    may be gone on with by another command in its folder, which then has to be a whole one.

    Raises:
        ConfigError: the command leaves out part of a sweep's, or names a file.
        DataError: it says something else than the folder; the folder cannot be read, or names a
            file by a path from elsewhere.
    """
    if not any(text.startswith("resume=") for text in arguments):
        return list(arguments)
    from hydra._internal.utils import get_args_parser

    given = get_args_parser().parse_args(list(arguments))
    place = folder_of("resume", given.overrides)
    if place is not None and place.exists() and not place.is_dir():
        raise ConfigError(f"resume={place} is a file: name the folder of a run or a sweep")
    saved = None if place is None else saved_command(place)
    if saved is None or given.experimental_rerun:
        return list(arguments)
    playing = [text for text in given.overrides if _decides(text)]
    if playing and saved.sweep:
        if given.multirun:
            _require_whole(saved, playing)
        return list(arguments)
    if given.multirun and not saved.sweep:
        raise ConfigError(f"resume={place} holds a run, no sweep: leave out -m")
    flags = {
        name: text
        for name, text in saved.flags.items()
        if getattr(given, name.removeprefix("--").replace("-", "_")) is None
    }
    said = {key_of(text): text for text in given.overrides}
    for own in saved.overrides:
        _require_same(saved, own, said.get(key_of(own), own))
    swept = [key_of(ALONE)] if said.keys() & set(SWEEPING) else []
    rest = Saved(
        saved.folder,
        saved.sweep and not given.multirun,
        saved.typed_in,
        tuple(text for text in saved.overrides if key_of(text) not in said),
        tuple(text for text in saved.settings if key_of(text) not in {*said, *swept}),
        flags,
    )
    require_same_files(rest)
    # Hydra takes the overrides in one row, behind the flags.
    own_flags = [text for text in arguments if text not in given.overrides]
    return [*own_flags, *rest.arguments, *given.overrides]


def _decides(override: str) -> bool:
    key = key_of(override)
    return key not in SILENT and not key.startswith(("hydra.", "hydra/"))


def folder_of(key: str, overrides: Sequence[str]) -> Path | None:
    """The folder that ``key=...`` names; Hydra will say what is wrong with an odd one."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        values = [
            OverridesParser.create().parse_override(text).value()
            for text in overrides
            if key_of(text) == key
        ]
    except HydraException:
        return None
    return Path(values[-1]) if values and isinstance(values[-1], str) else None


def _require_whole(saved: Saved, playing: Sequence[str]) -> None:
    keys = {key_of(text) for text in playing}
    missing = [text for text in saved.overrides if _decides(text) and key_of(text) not in keys]
    if missing:
        raise ConfigError(
            f"resume={saved.folder} holds a sweep with {missing[0]}, which this command leaves "
            f"out: give resume={saved.folder} alone to go on with it, or the whole command"
        )


def _require_same(saved: Saved, own: str, said: str) -> None:
    if _decides(own) and _value(own) != _value(said):
        raise DataError(
            f"resume={saved.folder} holds another run, with {own} and not {said}: leave that out "
            "to go on with it, or leave resume out for a new one"
        )


def require_same_files(saved: Saved) -> None:
    """Refuse relative paths that would be read from another folder than where they were typed.

    Raises:
        DataError: there is one; a file of that name here might be another.
    """
    for path in (path for own in saved.overrides for path in _paths(_value(own))):
        there, here = saved.typed_in / path, Path(path)
        if os.path.exists(there) and not (os.path.exists(here) and here.samefile(there)):
            raise DataError(
                f"{saved.folder} was played with {path}, a path from {saved.typed_in}, where its "
                "command was typed: go there first"
            )


def _paths(value: Any) -> Iterator[str]:
    """What may be paths in a value: texts with a dot or a slash."""
    if isinstance(value, str) and {"/", "."} & set(value):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _paths(each)
    elif isinstance(value, dict):
        yield from _paths(list(value.values()))


def _value(override: str) -> Any:
    text = override.partition("=")[2]
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def interrupted(folder: Path | None) -> str:
    """What a person who has interrupted a command should know: what is kept, and how to go on."""
    if folder is None or not any((folder / name).is_file() for name in (SWEEP, RUN)):
        return "interrupted before anything was begun"
    kept = "" if (folder / SWEEP).is_file() else _kept(folder)
    return f"interrupted{kept}; go on with: {command_for(shown(folder))}"


def _kept(folder: Path) -> str:
    """How many of a run's trials are on record, and what becomes of the others."""
    from nasrun.record.status import progress

    try:
        kept, asked, resting = progress(folder)
    except NasrunError:
        return ""
    others = "go on from their checkpoints" if resting else "begin anew"
    others += ", and find finished trainings on record" * (not resting and _trains(folder))
    smaller = "" if kept or asked == 1 or resting else " (a smaller cohort=... keeps more)"
    return f" with {kept} of {asked} trials on record; the others {others}{smaller}"


def _trains(folder: Path) -> bool:
    """Whether a run's evaluator puts trainings on record, which no interruption loses."""
    return TRAINS in _text((folder / RUN).with_name("config.yaml"))


def refuse_study(folder: Path) -> None:
    """Refuse a folder with the figures of a study, to what reads or compares searches.

    Raises:
        ConfigError: it is one; says where its figures are.
    """
    for path in (folder / SWEEP, (folder / RUN).with_name("config.yaml")):
        if found := STUDY.search(_text(path)):
            raise ConfigError(
                f"{folder} holds the figures of study={found[1]} and no search: they are in its "
                "report.html and its tables"
            )


def _text(path: Path) -> str:
    """The content of a file; nothing where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def shown(folder: Path) -> Path:
    """The folder as seen from here, where it lies below."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # somebody has deleted it meanwhile
        return folder
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
