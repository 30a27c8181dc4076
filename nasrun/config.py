"""From a composed config to an experiment: build every part, then check them together."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nasrun.algorithms.reduction import Reduction
from nasrun.benchmarks.source import Source
from nasrun.budget import Budget
from nasrun.composition import require_known_keys
from nasrun.config_files import keys_of
from nasrun.errors import ConfigError
from nasrun.experiment import Experiment, MetaTraining
from nasrun.identity import recipe
from nasrun.keys import among, require_all_single, require_single, said
from nasrun.names import require_folder, require_name
from nasrun.record.evaluations import Record
from nasrun.spec import (
    Algorithm,
    Database,
    Evaluator,
    Features,
    Hardware,
    MetaPool,
    Predictor,
    Retrain,
    SearchSpace,
    Task,
    TaskMaker,
)
from nasrun.studies.base import Study
from nasrun.targets import require_own_target

T = TypeVar("T")
SEED_LIMIT = 2**63
MOST_TRIALS = 10_000_000  # of one run: all their seeds are in memory at once
# Where the classes of a group are; a node below another may be of any of these.
PACKAGES = {
    Algorithm: "nasrun.algorithms",
    SearchSpace: "nasrun.spaces",
    Features: "nasrun.features",
    Predictor: "nasrun.predictors",
    Database: "nasrun.meta",
    Task: "nasrun.tasks",
    TaskMaker: "nasrun.tasks",
    Evaluator: "nasrun.evaluators",
    Hardware: "nasrun.hardware",
    MetaPool: "nasrun.meta",
    Study: "nasrun.studies",
}


class UnknownKeyError(ConfigError):
    """A ``key`` that the class of its node has no field for."""

    def __init__(self, key: str, hint: str) -> None:
        super().__init__(f"there is no key {key}: {hint}")
        self.key = key


def build(node: DictConfig, contract: type[T], where: str) -> T:
    """The object that a config node describes.

    ``_target_`` names a dataclass whose fields are the node's schema, so that a wrong type, an
    unknown key or a missing value fails here, before any work.

    Raises:
        ConfigError: anything the class or its schema rejects.
    """
    _require_node(node, where)
    target = node.get("_target_")
    if not target and not is_dataclass(contract):
        raise ConfigError(f"{where} must be one of its options, got a group without _target_")
    cls = _class(target, contract, where) if target else contract
    values = OmegaConf.to_container(node, resolve=True)  # interpolations may point outside the node
    assert isinstance(values, dict)
    values.pop("_target_", None)
    return _fill(cls, values, where)


def _require_node(node: Any, where: str) -> None:
    if not isinstance(node, DictConfig):  # a user may override a whole group by anything
        raise ConfigError(f"{where} must be a group of keys and values, got {node!r}")


def _class(target: str, contract: type[T], where: str) -> type[T]:
    packages = (PACKAGES[contract],) if contract in PACKAGES else tuple(set(PACKAGES.values()))
    require_own_target(target, where, *sorted(packages))
    module, _, name = str(target).rpartition(".")
    try:
        cls = getattr(import_module(module), name)
    except Exception as error:  # importing runs the user's own module, which may fail in any way
        gone = isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]
        cure = ": put the folder of your own module on PYTHONPATH" if gone else ""
        raise ConfigError(f"{where}._target_={target} cannot be imported: {error}{cure}") from error
    if not (isinstance(cls, type) and issubclass(cls, contract) and is_dataclass(cls)):
        kind = "of the kinds that a config describes" if contract is object else contract.__name__
        raise ConfigError(f"{where}._target_={target} is no {kind}")
    return cls


def _fill(cls: type[T], values: Mapping[Any, Any], where: str) -> T:
    try:
        schema = OmegaConf.structured(cls)
        own = [field.name for field in fields(cls) if field.init]  # pyright: ignore[reportArgumentType]
        _require_own(values, own, where)
        require_single(values, schema, where)
        values = {key: _parts(value, f"{where}.{key}") for key, value in values.items()}
        return OmegaConf.to_object(OmegaConf.unsafe_merge(schema, values))  # pyright: ignore[reportReturnType]
    except OmegaConfBaseException as error:
        key = f"{where}.{error.full_key}" if error.full_key else where
        raise ConfigError(f"{key}{_reason(error, values)}") from None


def _reason(error: OmegaConfBaseException, values: Mapping[Any, Any]) -> str:
    """What is wrong with a value, behind its key."""
    value = values.get(error.full_key)
    if "is not a ListConfig" in str(error):
        return f" must be a list, as in [{value}], got {value}"
    if value is None and error.full_key in values:
        return " must have a value, got null"
    return f": {said(error)}"


def _parts(value: Any, where: str) -> Any:
    """``value`` with every node below it that names a class of its own built, such as a task."""
    if not isinstance(value, dict):
        return value
    node: dict[str, Any] = {
        key: _parts(below, f"{where}.{key}") for key, below in value.items() if key != "_target_"
    }
    if "_target_" not in value:
        return node
    kinds = (Algorithm, Evaluator, TaskMaker, Features, Predictor, Hardware)  # below another node
    cls = _class(value["_target_"], object, where)
    if not issubclass(cls, kinds):
        raise ConfigError(
            f"{where}._target_={value['_target_']} is no algorithm, no evaluator, no task, "
            "no features, no predictor and no hardware"
        )
    return _fill(cls, node, where)


def check(config: DictConfig, task_folders: Sequence[Path]) -> Experiment:
    """Build all parts of a run and ask the questions that concern more than one of them.

    Args:
        config: the composed config.
        task_folders: folders of task YAML files, for ``retrain.tasks``.

    Raises:
        ConfigError: the run cannot be what the config asks for.
    """
    try:
        return _checked(config, task_folders)
    except OmegaConfBaseException as error:  # an interpolation to nowhere, a group that was deleted
        raise ConfigError(" ".join(str(error).split())) from error


def study_of(config: DictConfig) -> Study | None:
    """What is measured in place of a search; None where a search is played.

    Raises:
        ConfigError: what the study's class or schema rejects.
    """
    return build(config.study, Study, "study") if config.get("study") else None


def _checked(config: DictConfig, task_folders: Sequence[Path]) -> Experiment:
    require_known_keys(config)
    require_folder(config.cache_dir, "cache_dir")
    for group in ("meta", "scale", "tables", "task"):
        _require_node(config[group], group)
    _require_flag(config, "debug")
    _require_unread(config)
    task = _task(config.task, "task", config, task_folders)
    retrain = build(config.retrain, Retrain, "retrain")
    algorithm = build(config.algorithm, Algorithm, "algorithm")
    space = build(config.space, SearchSpace, "space")
    require_name(space.name, "space.name")
    require_name(algorithm.name, "algorithm.name")
    return Experiment(
        space=space,
        task=task,
        algorithm=algorithm,
        evaluator=build(config.evaluator, Evaluator, "evaluator"),
        hardware=build(config.hardware, Hardware, "hardware"),
        budget=build(config.budget, Budget, "budget"),
        final_tasks=[
            task if name == task.name else named_task(name, config, task_folders, "retrain.tasks")
            for name in retrain.tasks or [task.name]
        ],
        seeds=_seeds(config),
        cohort=_positive(config, "cohort"),
        meta=_meta(_with_task_nodes(config, task_folders), algorithm),
        export=retrain.export,
        kept_evaluations=build(config.record, Record, "record").evaluations,
        scorer=None if config.scorer is None else build(config.scorer, Evaluator, "scorer"),
    )


def _with_task_nodes(config: DictConfig, folders: Sequence[Path]) -> DictConfig:
    """The config with the contents of task files where ``meta.tasks`` names them in a list."""
    where, names = "meta.tasks", config.meta.get("tasks")
    if isinstance(names, str):
        raise ConfigError(f"{where} must be a list, as in [{names}], got {names}")
    if not isinstance(names, ListConfig):
        return config
    require_all_single(names, where)
    if len(set(names)) < len(names):
        raise ConfigError(f"{where} must name each task once, got {', '.join(map(str, names))}")
    written = copy.deepcopy(config)
    OmegaConf.set_struct(written, False)
    written.meta.tasks = {
        str(name): _task_node(str(name), config, folders, where) for name in names
    }
    return written


def _meta(config: DictConfig, algorithm: Algorithm) -> MetaTraining | None:
    if "_target_" not in config.meta:
        _require_bare(config.meta, "meta", {"name"})
        return None  # meta=none
    contract = Database if algorithm.learners else MetaPool
    cls = _class(config.meta._target_, object, "meta")
    if algorithm.learners and issubclass(cls, MetaPool):
        raise ConfigError(
            f"algorithm={algorithm.name} learns from records, not by searching: use "
            f"meta=metad2a_database instead of meta={config.meta.name}"
        )
    if not (algorithm.learns_to_search or algorithm.learners):
        raise ConfigError(
            f"algorithm={algorithm.name} cannot be meta-trained: use meta=none instead of "
            f"meta={config.meta.name}"
        )
    if not algorithm.learners and issubclass(cls, Database):
        raise ConfigError(
            f"algorithm={algorithm.name} learns by searching, which the records of "
            f"meta={config.meta.name} do not allow: use another meta, such as leave_one_out"
        )
    pool: MetaPool | Database = build(config.meta, contract, "meta")
    return MetaTraining(pool, recipe(config), Path(config.cache_dir) / "meta")


def _require_unread(config: DictConfig) -> None:
    """Refuse wrong keys of what this run may have no use for, but others with these words have."""
    build(config.scale, Reduction, "scale")
    own = [field.name for field in fields(Source)]
    for name, node in config.tables.items():
        if isinstance(node, DictConfig):  # else whoever reads the tables will refuse it
            _require_own(map(str, node), own, f"tables.{name}")


def _require_own(keys: Iterable[Any], own: Sequence[str], where: str) -> None:
    """Refuse keys that a class has no field for, with those that may have been meant."""
    for key in keys:
        if key not in own:
            raise UnknownKeyError(f"{where}.{key}", among(str(key), own))


def _require_bare(node: DictConfig, where: str, own: set[str]) -> None:
    """Refuse keys of a node that no class reads."""
    if others := sorted({str(key) for key in node} - own):
        raise ConfigError(
            f"nothing reads the key {where}.{others[0]}: {where}={node.get('name', 'this')} has "
            f"none but {', '.join(sorted(own))}"
        )


def named_task(
    name: str,
    config: DictConfig,
    folders: Sequence[Path],
    where: str,
    settings: Mapping[str, Any] | None = None,
) -> Task:
    """The task of ``name.yaml`` in one of ``folders``; ``where`` is the config key that names it.

    What the run says about folders and downloads holds for it too; ``settings`` replace values of
    the file.

    Raises:
        ConfigError: there is no such file, or it describes no task.
    """
    node = _task_node(name, config, folders, where)
    node.update(settings or {})
    root = copy.deepcopy(config)  # ${data_dir} and such lead there
    OmegaConf.set_struct(root, False)
    root.task = node
    return _task(root.task, f"task/{name}.yaml", config, folders)


def _task_node(name: str, config: DictConfig, folders: Sequence[Path], where: str) -> DictConfig:
    """The content of a task's file; folders and downloads are those of the run's own task."""
    node = _named(name, folders, where)
    for key in ("data_dir", "cache_dir", "download"):
        if key in node and key in config.task:
            node[key] = config.task[key]
    return node


def named_space(name: str, folder: Path, where: str) -> SearchSpace:
    """The search space of ``name.yaml`` in ``folder``; ``where`` is the config key that names it.

    Raises:
        ConfigError: there is no such file, or it describes no space.
    """
    return build(_named(name, [folder], where), SearchSpace, f"space/{name}.yaml")


def _named(name: str, folders: Sequence[Path], where: str) -> DictConfig:
    """The content of a group's file, on top of those of its folder that it builds on."""
    files = {path.stem: path for folder in folders for path in folder.glob("*.yaml")}
    if name not in files:
        known = ", ".join(sorted(files))
        raise ConfigError(f"{where} names {name!r}, which is none of {known}")
    node = keys_of(files[name])
    entries = node.pop("defaults", [])
    if any(not isinstance(entry, str) or "/" in entry for entry in entries):
        raise ConfigError(
            f"{where} names {name!r}, whose defaults must be other files of its own folder, got "
            f"{OmegaConf.to_container(entries)}: write out what they stand for"
        )
    parts = [
        node if entry == "_self_" else _named(entry, folders, f"{files[name]}: defaults")
        for entry in dict.fromkeys([*entries, "_self_"])
    ]
    merged = OmegaConf.merge(*parts)
    assert isinstance(merged, DictConfig)
    return merged


def _task(node: DictConfig, where: str, config: DictConfig, folders: Sequence[Path]) -> Task:
    """A task file without ``_target_`` is a task of figures alone, without images."""
    contract = TaskMaker if isinstance(node, DictConfig) and "_target_" in node else Task
    maker = build(node, contract, where)

    def other(name: str, settings: Mapping[str, Any]) -> Task:
        return named_task(name, config, folders, f"{where}.of", settings)

    task = maker.make(other)
    require_name(task.name, f"{where}.name")
    return task


def _positive(config: DictConfig, key: str) -> int:
    value = config[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{key} must be a whole number of at least 1, got {value!r}")
    if value > MOST_TRIALS:
        raise ConfigError(f"{key} must be at most {MOST_TRIALS:,}, got {value}: start several runs")
    return value


def _require_flag(config: DictConfig, key: str) -> None:
    if not isinstance(config[key], bool):
        raise ConfigError(f"{key} must be true or false, got {config[key]!r}")


def _seeds(config: DictConfig) -> range:
    seed, trials = config.seed, _positive(config, "trials")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < SEED_LIMIT - trials:
        raise ConfigError(
            f"seed must be a whole number of at least 0, and below 2**63 for the last trial, "
            f"got {seed!r}"
        )
    return range(seed, seed + trials)
