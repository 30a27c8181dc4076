"""The command line: Hydra composes the config, nasrun plays it.

This module is all that ``nasrun --help`` and shell completion load, so it imports Hydra alone.
"""

from nasrun.screen import prepare, stay_calm, unshown

stay_calm()  # while the modules below are read, which takes a second

import hashlib
import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from nasrun import __version__, sweep, traces, verbs
from nasrun.completion import offer_what_is_accepted
from nasrun.composition import check_what_hydra_composes
from nasrun.errors import ConfigError, DataError, NasrunError
from nasrun.files import CONF, cache_folder, unwritable
from nasrun.keys import said
from nasrun.machine import pinned_gpu, threads
from nasrun.record.request import wording
from nasrun.resume import interrupted, resumed, shown
from nasrun.sweepers.register import plugin_name, register_sweepers

INTERRUPTED = 130
# Default evaluators of tasks that no table knows.
WITHOUT_TABLE = {
    "training": (
        "image_folder", "svhn", "mnist", "mnist_part", "fashion_mnist", "aircraft", "pets",
        "in16", "in32", "imagenet16", "imagenet32", "imagenet64", "imagenet", "mini_imagenet",
        "synthetic_images", "subset", "coco", "coco_folder", "cityscapes", "segmentation_folder",
        "nuclei", "rotation", "jigsaw_puzzle", "colourisation", "text",
    ),
    "few_shot": ("few_shot",),
    "control": ("xor", "double_pole", "double_pole_positions"),
    "programs": ("vectors", "vectors_cifar10"),
}  # fmt: skip
MULTIRUN = ("-m", "--multirun")


def _cache_dir() -> str:
    return str(cache_folder())


def _stamp() -> str:
    """Time and process: two runs that start in the same instant still have two folders.

    The time to the microsecond, since containers number their processes alike, and Python calls
    ``main`` twice in a second.
    """
    return f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}-{os.getpid()}"


def _measured(name: str) -> str:
    """A table of trainings that comes with nasrun."""
    return str(Path(__file__).parent / "benchmarks" / "measured" / name)


def _digest(overrides: Sequence[str]) -> str:
    """Eight hex digits of a job's overrides, whatever their order; silent ones do not count."""
    return hashlib.sha256("\n".join(wording(overrides)).encode()).hexdigest()[:8]


def _first(*values: str | None) -> str | None:
    """The first of the values that is not null."""
    return next((value for value in values if value is not None), None)


def _evaluator(task: str) -> str:
    """The default evaluator of a task: a table, unless there is none of its pictures."""
    return next((name for name, tasks in WITHOUT_TABLE.items() if task in tasks), "tabular")


def _tables(tables: Any, space: str, sources: Any) -> Any:
    """The tables of a space, and those that are named.

    To build all of them takes a sixth of a second, and a table of another space is no part of what
    a run was asked for.
    """
    if not isinstance(tables, DictConfig):
        return tables
    named = list(sources) if isinstance(sources, ListConfig) else []
    own: dict[Any, Any] = {}
    for name, table in tables.items():
        if not isinstance(table, DictConfig):
            own[name] = table  # refused by whoever reads it
        elif name in named or table.get("space") == space:
            own[name] = OmegaConf.to_container(table, resolve=True)
    return OmegaConf.create(own)  # of a plain dict, --cfg job --resolve would make no node


def _mode(split: Any, launcher: str, sweeper: str) -> str | None:
    """Hydra's mode: several jobs make a sweep, and so does what only a sweep obeys, without ``-m``.

    Hydra would play a single run here and ignore a launcher or a tuning that was asked for.
    """
    plain = launcher.endswith(".BasicLauncher") and sweeper.endswith(".SplitSweeper")
    return None if split == 1 and plain else "MULTIRUN"


# Hydra 1.3 (OmegaConf 2.3) and 1.4 (OmegaConf 2.4) each warn about the other's way.
IS_HYDRA_13 = hydra.__version__.startswith("1.3")
_register = getattr(OmegaConf, "register_new_resolver" if IS_HYDRA_13 else "register_resolver")
_register("nasrun.cache_dir", _cache_dir, replace=True)
_register("nasrun.stamp", _stamp, use_cache=True, replace=True)
_register("nasrun.digest", _digest, replace=True)
_register("nasrun.measured", _measured, replace=True)
_register("nasrun.first", _first, replace=True)
_register("nasrun.evaluator", _evaluator, replace=True)
_register("nasrun.tables", _tables, replace=True)
_register("nasrun.mode", _mode, replace=True)
_register("nasrun.threads", threads, replace=True)
_register("nasrun.gpu", pinned_gpu, replace=True)
_register("nasrun.plugin", plugin_name, replace=True)
_register("nasrun.verbs", verbs.described, replace=True)
register_sweepers()
check_what_hydra_composes()
offer_what_is_accepted()
VERSION = {"version_base": "1.3"} if IS_HYDRA_13 else {}
# Hydra 1.4 instantiates the callbacks that conf/config.yaml and conf/tracker name, and warns that
# any class could be named there.
warnings.filterwarnings("ignore", message=".*nasrun.(sweep|trackers).*")
# Such a folder is refused in a sentence of our own.
warnings.filterwarnings("ignore", message="provider=.* is not available")
# Hydra 1.3 checks our launcher presets against the plug-ins' schemas, which is welcome, and warns
# that 1.4 will not; see conf/hydra/launcher/joblib.yaml.
warnings.filterwarnings("ignore", message=r"\s*'hydra/launcher/\w+' is validated against")


@hydra.main(**VERSION, config_path=str(CONF), config_name="config")
def task(config: DictConfig) -> float | None:
    """Play one job; returns its objective, for sweepers."""
    from nasrun.job import play_job

    return play_job(config)


def main() -> None:
    """Run the ``nasrun`` command; exit code 0, 1 (runtime), 2 (usage or config), or 130."""
    prepare()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us instead of Hydra's own printer
    # Hydra refuses -m behind a key=value.
    arguments = sys.argv[1:] = sorted(sys.argv[1:], key=lambda word: word not in MULTIRUN)
    try:
        if "--version" in arguments and not verbs.is_verb(arguments):  # Hydra would say its own
            print(f"nasrun {__version__}")
            code = 0
        elif verbs.is_verb(arguments):
            code = verbs.perform(arguments)
        else:
            _require_texts(arguments)
            _require_flags(arguments)
            sys.argv[1:] = resumed(arguments)
            task()
            code = 0
    except KeyboardInterrupt:
        code = _say(interrupted(sweep.folder() or traces.folder()), INTERRUPTED)
    except NasrunError as error:
        code = _refused(error)
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        code = _refused(_meant(error))
    except OSError as error:
        code = _refused(_denied(error))
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    place = sweep.folder() or traces.folder()
    code = max(code, sweep.close())
    sys.exit(max(code, _unshown(place if code == 0 else None)))


def _unshown(place: Path | None) -> int:
    """Say why not all was printed; returns the exit code that this alone calls for.

    Args:
        place: of the run or sweep that has ended well; None: there is none.
    """
    refusal = unshown()
    if refusal is None:
        return 0
    if place is None and isinstance(refusal, BrokenPipeError):
        return NasrunError.exit_code  # who read what a verb or --help prints has seen enough
    whole = f"; all files are in {shown(place)}" if place is not None else ""
    reason = refusal.strerror or str(refusal)
    sentence = f"standard output cannot be written ({reason}), so not all was printed{whole}"
    return _say(sentence, NasrunError.exit_code)


def _meant(error: Exception) -> NasrunError:
    """What an error of a library is about, in one sentence."""
    cause = error.__cause__
    if isinstance(cause, NasrunError):  # Hydra wraps what a callback or a sweeper refuses
        return cause
    if isinstance(cause, OSError) and cause.filename:  # and logging that its file cannot be opened
        return _denied(cause)
    return ConfigError(one_sentence(error))


def _denied(error: OSError) -> NasrunError:
    """What the system refuses, in one sentence."""
    place = Path(os.fsdecode(error.filename or "the output folder"))
    if place.is_absolute() or _is_somewhere():
        return unwritable(place, error)
    return DataError(
        "the folder that this command was started in has been deleted: cd to one that is there, "
        "also where it was made anew by the same name"
    )


def _is_somewhere() -> bool:
    """Whether the working folder is there; a shell may stand in one that was deleted."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _require_texts(arguments: Sequence[str]) -> None:
    """Refuse words and places that no config can hold.

    Raises:
        ConfigError: there is one.
    """
    places = {"this folder": os.getcwd()}
    places |= {name: os.environ.get(name, "") for name in ("NASRUN_CACHE", "NASRUN_DATA")}
    for word in (*arguments, *places.values()):
        try:
            word.encode()
        except UnicodeEncodeError:  # Python reads other bytes as what no text has
            raise ConfigError(
                f"{word!a} is no UTF-8: rename it, or set LC_ALL=C.UTF-8 if your names are"
            ) from None
    for name, place in places.items():
        if "${" in place:
            raise ConfigError(
                f"{name}, {place}, has ${{ in its name, which a config takes for a reference: "
                "choose another place, or rename it"
            )


def _require_flags(arguments: Sequence[str]) -> None:
    """Refuse flags that Hydra does not know, and words between them, in a sentence.

    Raises:
        ConfigError: there is one.
    """
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        words = message.removeprefix("unrecognized arguments: ")
        if words != message and not any(word.startswith("-") for word in words.split()):
            raise ConfigError(f"a flag parts {words} from the other key=value: put the flags first")
        raise ConfigError(f"{message}; see nasrun --help, and nasrun --hydra-help for the flags")

    parser.error = refuse
    parser.parse_args(list(arguments))


def one_sentence(error: Exception) -> str:
    """What Hydra says over several lines, in one."""
    text = str(error).partition("Config search path:")[0]
    if ambiguous := re.match(r"Ambiguous value for argument '(.*)'", text):
        return (
            f"{ambiguous[1]} has several values: add -m to play each of them, or put them in "
            "brackets for a list, or in quotes for a text"
        )
    if isinstance(error, OverrideParseException):
        return unreadable(error.override)
    if text.startswith("Error merging override ") and error.__cause__ is not None:
        override = text.removeprefix("Error merging override ").strip()
        return f"{override} cannot be: {said(error.__cause__)}"
    if own := re.match(r"ConfigError raised while resolving interpolation: (.*)", text):
        return own[1]
    head, marker, options = text.partition("Available options in ")
    if not marker:
        return " ".join(text.split())
    group, _, names = options.partition(":")
    return f"{' '.join(head.split())}; {group.strip()} can be {', '.join(names.split())}"


def unreadable(override: str) -> str:
    """The sentence for a word of the command that is no ``key=value`` in Hydra's grammar."""
    key, equals, value = override.partition("=")
    if not equals:
        return f"{override!r} is no key=value, nor a flag of nasrun --hydra-help"
    if value.startswith("~"):
        return f"{override}: ~ is not expanded here: write {key}=$HOME{value.removeprefix('~')}"
    return (
        f"{override} cannot be read: close every bracket and quote, and put a text with other "
        f"signs than letters, digits and /_-.+%@ in quotes of its own, as in \"{key}='...'\""
    )


def _refused(refusal: NasrunError) -> int:
    sweep.withdraw()
    return _say(str(refusal), refusal.exit_code)


def _say(sentence: str, code: int) -> int:
    if "debug=true" in sys.argv:
        traceback.print_exc()
    print(f"nasrun: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
