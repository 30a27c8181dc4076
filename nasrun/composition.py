"""What Hydra composes is checked before anything that it names is imported, made or written.

Hydra has no hook between the two, so the loader of its configs is one of ours. This module is
loaded by ``nasrun --help`` and shell completion, too, and imports nothing heavy besides Hydra.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra._internal import hydra as hydra_internals
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from nasrun.config_files import parse_files_once, parse_interpolations_once, use_libyaml
from nasrun.errors import ConfigError
from nasrun.files import CONF
from nasrun.keys import among, key_path, meant, near
from nasrun.names import require_folder, require_name, verb_for
from nasrun.targets import require_own_target

NAMES = ("space.name", "task.name", "algorithm.name", "hydra.job.name")  # parts of paths
FOLDERS = ("hydra.run.dir", "hydra.sweep.dir", "cache_dir")
SAVED = {"config.yaml", "hydra.yaml", "overrides.yaml"}  # of a run, in its .hydra/
LOGGING = ("hydra_logging", "job_logging")
HYDRA_ENV = "hydra.env"  # a group of Hydra's without a field
STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
SEVERAL = ("tables", "experiment", "tracker")  # of which a command may choose several options
NAMED = ("task", "space")  # by whose option others are chosen
# What a run can do without, so that ~KEY is accepted.
SPARED = {"predictor", "features", "study", "report", "resume", "scorer"}


class CheckedLoader(ConfigLoaderImpl):
    """Hydra's loader, which refuses what nasrun would ignore or must not do."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self._listed: dict[tuple[str | None, tuple[str, ...]], CachingConfigRepository] = {}
        self._first: tuple[str | None, list[str], DictConfig] | None = None

    def get_group_options(
        self,
        group_name: str,
        results_filter: ObjectType | None = ObjectType.CONFIG,
        config_name: str | None = None,
        overrides: list[str] | None = None,
    ) -> list[str]:
        """The options of a group, or the groups below it.

        Hydra copies all config sources for each such question, which ``--help`` asks a hundred
        times: here all of them are answered by one copy.
        """
        asked = config_name, tuple(overrides or ())
        if asked not in self._listed:
            _, copy = self._parse_overrides_and_create_caching_repo(config_name, list(asked[1]))
            self._listed[asked] = copy
        return self._listed[asked].get_group_options(group_name, results_filter)

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """The config of a command or of a job.

        Raises:
            ConfigError: a key that there is not, a file that another hides, a class that no config
                may name, or a name that is no part of a path.
        """
        if validate_sweep_overrides:
            if (composed := self._again(config_name, overrides)) is not None:
                parsed = OverridesParser.create().parse_overrides(overrides)
                self.validate_sweep_overrides_legal(parsed, run_mode, from_shell)
                return composed
            return self._composed(config_name, overrides, run_mode, from_shell, True)
        # What a single run accepts suits a sweep, too, but a sweep may have more: keys of swept
        # options, and options that are still missing.
        try:
            config = self._composed(config_name, overrides, RunMode.RUN, from_shell, False)
        except (ConfigError, ConfigCompositionException):
            return self._composed(config_name, overrides, run_mode, from_shell, False)
        self._first = config_name, list(overrides), config
        return config

    def _again(self, config_name: str | None, overrides: list[str]) -> DictConfig | None:
        """The config of the call before this one, if it is asked for again.

        Hydra composes every command twice, the first time for ``hydra.mode`` alone, which it then
        adds to the overrides if it was null.
        """
        first, self._first = self._first, None
        if first is None or config_name != first[0] or overrides[: len(first[1])] != first[1]:
            return None
        _, known, config = first
        added = overrides[len(known) :]
        if added not in ([], *([f"hydra.mode={mode.name}"] for mode in RunMode)):
            return None
        for text in added:
            config.hydra.mode = RunMode[text.partition("=")[2]]
            config.hydra.overrides.hydra.append(text)
        return config

    def _composed(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool,
        validate_sweep_overrides: bool,
    ) -> DictConfig:
        settings = (run_mode, from_shell, validate_sweep_overrides)
        self._require_options(config_name, overrides)
        try:
            config = super().load_configuration(config_name, overrides, *settings)
        except MissingConfigException as error:
            if (sentence := self._no_such_option(error, config_name, overrides)) is None:
                raise
            raise ConfigError(sentence) from error
        except ConfigCompositionException as error:
            if (sentence := _no_such_part(str(error), overrides)) is not None:
                raise ConfigError(sentence) from error
            if (sentence := _chosen_twice(str(error), overrides)) is not None:
                raise ConfigError(sentence) from error
            unknown = re.match(r"Could not (?:override|delete from config\.) '(.*?)'", str(error))
            if unknown is None:
                raise
            key = unknown[1]
            rest = [text for text in overrides if key_path(text) != key]
            if len(rest) == len(overrides):
                raise
            config = self._composed(config_name, rest, *settings)
            if key not in config and any(text.startswith(f"{key}=") for text in overrides):
                self._require_plus(key, overrides)
            if f"~{key}" in overrides and _is_there(key, config):
                raise ConfigError(f"{key} is null as it is: leave ~{key} out") from error
            if run_mode is not RunMode.MULTIRUN or key.startswith("hydra."):
                raise ConfigError(meant(key, config)) from error
            # The swept options may have the key where the default has not: each job will tell.
            own = set(config.hydra.overrides.hydra)
            config.hydra.overrides.task = [text for text in overrides if text not in own]
            return config
        if config_name is None:  # nasrun --hydra-help, which has no key of ours
            _require_targets(config)
        else:
            _require_sound(config)
        return config

    def _no_such_option(
        self, refusal: MissingConfigException, config_name: str | None, overrides: Sequence[str]
    ) -> str | None:
        """Which options a group has, where Hydra does not say so: of one named in a list.

        Those of the command's own folders, too. None where Hydra does, or nothing is known.
        """
        group, _, _ = str(refusal.missing_cfg_file).rpartition("/")
        if refusal.options is not None or not group:
            return None
        options = self.get_group_options(group, config_name=config_name, overrides=[*overrides])
        head = str(refusal).partition("\n")[0].rstrip(".")
        return f"{head}; '{group}' can be {', '.join(options)}" if options else None

    def _require_options(self, config_name: str | None, overrides: Sequence[str]) -> None:
        """Refuse what Hydra would stumble over: a choice that is no name, a group that is needed.

        Raises:
            ConfigError: there is one.
        """
        for each in OverridesParser.create().parse_overrides(list(overrides)):
            key, typed = each.key_or_group, each.input_line
            if not key:
                raise ConfigError(f"{typed} has no key in front of its =: write key=value")
            if each.is_delete() and not each.package and key in known_keys() - SPARED:
                raise ConfigError(f"a run cannot do without {key}: leave {typed} out")
            if not each.is_sweep_override() and not each.is_delete() and self._is_group(each):
                self._require_name(each, config_name, overrides)

    def _require_name(
        self, choice: Override, config_name: str | None, overrides: Sequence[str]
    ) -> None:
        """Refuse a choice from a group that is no name of an option, or more than one of ours.

        A file of one's own may be laid over an option, as in ``algorithm=[rea,mine]``.
        """
        group, value = choice.key_or_group, choice.value()
        names: Any = value if isinstance(value, list) else [value]
        if not isinstance(value, dict) and not all(isinstance(name, str) for name in names):
            options = self.get_group_options(group, config_name=config_name, overrides=[*overrides])
            raise ConfigError(
                f"{group} must be the name of one of its options ({', '.join(options)}), got "
                f"{choice.get_value_string()}"
            )
        if value == []:
            raise ConfigError(f"{group} must name an option at least, got []")
        ours = [name for name in names if (CONF / group / f"{name}.yaml").is_file()]
        named = isinstance(value, list) and group in NAMED and not choice.package
        if named or (len(ours) > 1 and group not in SEVERAL):
            typed = choice.get_key_element()
            raise ConfigError(
                f"{typed} takes one option, got {choice.get_value_string()}: write {typed}=NAME, "
                f"or -m {typed}=NAME,NAME to play several"
            )

    def _require_plus(self, key: str, overrides: Sequence[str]) -> None:
        """Refuse ``experiment=suite``: a group of which no run has an option takes a ``+``."""
        if key in SEVERAL and self.repository.group_exists(key):
            typed = next(text for text in overrides if text.startswith(f"{key}="))
            raise ConfigError(f"{key} is a group of which a run has no option yet: write +{typed}")

    def _is_group(self, override: Override) -> bool:
        return self.repository.group_exists(override.key_or_group)


def check_what_hydra_composes() -> None:
    """Make Hydra load configs with ``CheckedLoader``, and parse nothing twice."""
    parse_files_once()
    parse_interpolations_once()
    use_libyaml()
    hydra_internals.ConfigLoaderImpl = CheckedLoader  # pyright: ignore[reportPrivateImportUsage]


def _no_such_part(refusal: str, overrides: Sequence[str]) -> str | None:
    """Why a choice such as ``recipe@evaluator.recipe`` has no place; None where that is not it.

    An experiment may make one for a part of its evaluator, and the command name another evaluator.
    """
    pattern = r"(?:In '(.*?)': )?Could not override '([^'@]+@(\w+)\.[^']+)'"
    if (found := re.match(pattern, refusal)) is None:
        return None
    file, choice, group = found.groups()
    given = " ".join(text for text in overrides if key_path(text) == group)
    own = next((text for text in overrides if text.partition("=")[0] == choice), None)
    if file and given:
        return f"{file} chooses {choice}, for which {given} has no place: leave {given} out"
    if own and not file:
        which = given or f"the {group} of this command"
        return f"{which} has no place for {choice}: leave {own} out, or choose another {group}"
    return None


def _chosen_twice(refusal: str, overrides: Sequence[str]) -> str | None:
    """Why ``+group=option`` cannot be where the group has one; None where that is not it."""
    twice = re.match(r"Multiple values for (\S+)\. |(\S+) appears more than once", refusal)
    group = twice and (twice[1] or twice[2])
    typed = next((text for text in overrides if text.startswith(f"+{group}=")), None)
    if group is None or typed is None:
        return None
    if group in SEVERAL:
        sign = "" if group in known_keys() else "+"
        return f"{group} is chosen twice: name both in one list, as in {sign}{group}=[NAME,NAME]"
    return f"{group} has an option already, which {typed} cannot join: write {typed[1:]}"


def _is_there(key: str, config: DictConfig) -> bool:
    """Whether the config has a key, be it without a value."""
    above, _, last = key.rpartition(".")
    node: Any = OmegaConf.select(config, above) if above else config
    return isinstance(node, DictConfig) and last in node


def _require_sound(config: DictConfig) -> None:
    _require_sources(config)
    _require_targets(config)
    require_known_keys(config)
    _require_known_to(config.hydra, "hydra")
    _require_split(config)
    for key in NAMES:  # of which folders are made
        if not _is_there(key, config):
            raise ConfigError(f"{key} is missing: the YAML file needs a line such as name: mine")
        require_name(OmegaConf.select(config, key), key)
    for key in FOLDERS:
        require_folder(OmegaConf.select(config, key), key)
    _require_subfolder(config)


def _require_sources(config: DictConfig) -> None:
    """Refuse a folder of YAML files that is not there, and a file that another one hides."""
    sources = [each.path for each in config.hydra.runtime.config_sources if each.schema == "file"]
    folders = [Path(path) for path in sources]
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(
                f"{folder} is no folder, so nothing of it would be read: name the folder of your "
                "YAML files in hydra.searchpath or --config-dir"
            )
    for place, folder in enumerate(folders[1:], 1):
        for file in folder.rglob("*.yaml"):
            name = file.relative_to(folder)
            hider = next((one / name for one in folders[:place] if (one / name).is_file()), None)
            if hider is not None and hider.read_bytes() != file.read_bytes():
                raise ConfigError(_hidden(file, hider))


def _hidden(file: Path, hider: Path) -> str:
    if file.name == "config.yaml" and {path.name for path in file.parent.iterdir()} >= SAVED:
        return (
            f"{file} would not be played, because {hider} comes first: start that run again with "
            f"{verb_for('rerun', file.parent.parent)}, or with the overrides in "
            f"{file.parent / 'overrides.yaml'}"
        )
    return f"{file} would not be read, because {hider} comes first: give it a name of its own"


def _require_targets(config: DictConfig) -> None:
    """Refuse classes that Hydra itself would make: callbacks, launchers, sweepers, log handlers."""
    content: Any = OmegaConf.to_container(config.hydra, resolve=False)
    for where, text in _texts(content, "hydra"):
        key = where.rpartition(".")[2]
        if key == "_target_":
            require_own_target(OmegaConf.select(config, where), where.removesuffix("._target_"))
        elif where.split(".")[1] in LOGGING:
            if key in ("class", "()"):
                require_own_target(text, where, "logging", "colorlog", "nasrun.screen")
            elif text.startswith("ext://") and text not in STREAMS:
                raise ConfigError(f"{where} can be {' or '.join(STREAMS)}, got {text}")


def _texts(content: Mapping[Any, Any], where: str) -> Iterator[tuple[str, str]]:
    """Every text in a tree of dicts, and where it stands."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _texts(value, f"{where}.{key}")
        elif isinstance(value, str):
            yield f"{where}.{key}", value


@cache
def known_keys() -> frozenset[str]:
    """Keys at the top of a config that nasrun reads."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # OmegaConf would make nodes of it
    primary = yaml.load((CONF / "config.yaml").read_text(encoding="utf-8"), loader)
    groups = {key for entry in primary["defaults"] if not isinstance(entry, str) for key in entry}
    plain = {key.removeprefix("override ") for key in groups}
    return frozenset({str(key) for key in primary} | plain) - {"defaults", "hydra/sweeper"}


def require_known_keys(config: DictConfig) -> None:
    """Refuse a key at the top that nasrun does not read and that no other value refers to.

    Raises:
        ConfigError: there is one; says which keys it may have been meant for.
    """
    unknown = [str(key) for key in config if key not in known_keys()]
    if not unknown:
        return
    content: Any = OmegaConf.to_container(config, resolve=False)
    references = " ".join(text for _, text in _texts(content, "") if "${" in text)
    for key in unknown:
        if not re.search(rf"(?<![\w.]){re.escape(key)}(?!\w)", references):
            raise ConfigError(f"nothing reads the key {key}{near(key, config)}")


def _require_known_to(node: DictConfig, where: str) -> None:
    """The same for Hydra's own keys, below every node that has a class."""
    kind: Any = OmegaConf.get_type(node)
    own = [field.name for field in fields(kind)] if is_dataclass(kind) else None
    for key in map(str, node):
        if own is not None and key not in own and f"{where}.{key}" != HYDRA_ENV:
            raise ConfigError(f"nothing reads the key {where}.{key}: {among(key, own)}")
        if not OmegaConf.is_missing(node, key) and not OmegaConf.is_interpolation(node, key):
            below: Any = node._get_node(key)
            if isinstance(below, DictConfig) and not below._is_none():
                _require_known_to(below, f"{where}.{key}")


def _require_split(config: DictConfig) -> None:
    split = OmegaConf.select(config, "sweep.split")
    if not isinstance(split, int) or isinstance(split, bool) or split < 1:
        raise ConfigError(f"sweep.split must be a whole number of at least 1, got {split!r}")
    if others := sorted({str(key) for key in config.sweep} - {"split"}):
        raise ConfigError(f"nothing reads the key sweep.{others[0]}: did you mean sweep.split?")


def _require_subfolder(config: DictConfig) -> None:
    """Refuse jobs outside their sweep's folder, whose rows would be missing in the end.

    And jobs in the very folder of their sweep, whose rows the joined ones would replace.
    """
    text = OmegaConf.to_container(config.hydra.sweep, resolve=False)["subdir"]  # pyright: ignore
    place = Path(str(text))
    if place.is_absolute() or ".." in place.parts or not place.parts:
        raise ConfigError(
            f"hydra.sweep.subdir must name a folder within the sweep's own, got {str(text)!r}"
        )
