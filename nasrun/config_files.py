"""YAML files of configs, which every job of a sweep is composed from anew."""

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import omegaconf.omegaconf
import yaml
from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, ListConfig, OmegaConf, _utils, base, grammar_parser
from yaml.constructor import SafeConstructor
from yaml.representer import SafeRepresenter
from yaml.resolver import Resolver

from nasrun.errors import ConfigError

LOADER: Any = _utils.get_yaml_loader()  # OmegaConf's own
DUMPER: Any = _utils.get_omega_conf_dumper()
Stamp = tuple[int, int, int]
_seen: dict[tuple[str, str], Stamp] = {}
_parsed: dict[tuple[str, str], tuple[Stamp, bytes]] = {}


class FileConfigSource(file_config_source.FileConfigSource):
    """Hydra's, which parses a file again only when it is another one: a third of a composition.

    It bears the same name, because Hydra keeps a class that was registered under it.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        """The content of a file; a copy of what was parsed, from the third time on.

        Raises:
            ConfigError: it has no keys and values.
        """
        key, file = (
            (self.path, config_path),
            Path(self.path, self._normalize_file_name(config_path)),
        )
        try:
            found = os.stat(file)
        except OSError:
            return super().load_config(config_path)  # which knows what to say
        stamp = found.st_mtime_ns, found.st_size, found.st_ino
        if key in _parsed and _parsed[key][0] == stamp:
            # This process's own bytes, and a third of the time of a deep copy.
            return pickle.loads(_parsed[key][1])
        with reading(file):
            loaded = super().load_config(config_path)
        require_keys(file, loaded.config)
        if _seen.get(key) == stamp:  # a single command does not pay for a copy
            _parsed[key] = stamp, pickle.dumps(loaded)
        _seen[key] = stamp
        return loaded


def keys_of(file: Path) -> DictConfig:
    """The content of a YAML file of a config.

    Raises:
        ConfigError: it has no keys and values.
    """
    with reading(file):
        content = OmegaConf.load(file)
    return require_keys(file, content)


def require_keys(file: Path, content: Any) -> DictConfig:
    """The content of a YAML file, unless it is empty or a list.

    Raises:
        ConfigError: it is.
    """
    if isinstance(content, DictConfig) and len(content):
        return content
    found = "a list" if isinstance(content, ListConfig) else "none"
    raise ConfigError(f"{file} must hold keys and values, as in name: mine, got {found}")


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Name the file that is no text, no YAML, or nothing but a number.

    Raises:
        ConfigError: it is such.
    """
    try:
        yield
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split()).replace(f' in "{file}",', " in")
        raise ConfigError(f"{file} cannot be read as YAML: {reason}") from None
    except OSError as error:
        if error.errno is not None:  # else it is OmegaConf's for a single value
            raise
        raise ConfigError(f"{file} must hold keys and values, as in name: mine: {error}") from None


def parse_files_once() -> None:
    """Make Hydra read files with the class above."""
    SourcesRegistry.instance().types[FileConfigSource.scheme()] = FileConfigSource


def use_libyaml() -> None:
    """Make OmegaConf parse and write by libyaml: a twelfth and a third of the time, the same texts.

    A PyYAML that was built without libyaml stays as it is.
    """
    if not yaml.__with_libyaml__:
        return
    cyaml: Any = import_module("yaml.cyaml")
    loader, dumper = _by_libyaml(cyaml.CParser, cyaml.CEmitter)
    _utils.get_yaml_loader = lambda: loader
    setattr(omegaconf.omegaconf, "get_omega_conf_dumper", lambda: dumper)  # noqa: B010, private


def parse_interpolations_once() -> None:
    """Make OmegaConf keep the syntax trees of ``${...}``: a command asks five times for each."""
    parse = lru_cache(maxsize=10_000)(grammar_parser.parse)
    for user in (_utils, base):
        setattr(user, "parse", parse)  # noqa: B010, private


def _by_libyaml(parser: Any, emitter: Any) -> tuple[type, type]:
    """OmegaConf's classes with libyaml's in place of PyYAML's first bases."""

    class Loader(parser, LOADER):
        def __init__(self, stream: Any) -> None:
            parser.__init__(self, stream)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)

    class Dumper(emitter, DUMPER):
        def __init__(
            self,
            stream: Any,
            default_style: Any,
            default_flow_style: Any,
            sort_keys: Any,
            **style: Any,
        ) -> None:
            emitter.__init__(self, stream, **style)
            SafeRepresenter.__init__(self, default_style, default_flow_style, sort_keys)
            Resolver.__init__(self)

    return Loader, Dumper
