"""What is refused before anything that a config names is imported, made or written."""

import shutil
import sys
from itertools import chain

import pytest
from composed import CONF, composed
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.utils import create_config_search_path
from hydra.core.utils import JobRuntime
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import OmegaConf

from nasrun.__main__ import WITHOUT_TABLE
from nasrun.composition import NAMES, CheckedLoader, known_keys
from nasrun.errors import ConfigError

UNKNOWN = {
    "seeds=3": "there is no key seeds: did you mean seed",
    "+seeds=3": "nothing reads the key seeds: did you mean seed",
    "++trails=500": "nothing reads the key trails: did you mean trials",
    "+device=cpu": "nothing reads the key device",
    "+population=5": r"nothing reads the key population: did you mean algorithm\.population",
    "+recipe=nb201": "nothing reads the key recipe",
    "buget.evaluations=3": r"no key buget\.evaluations: did you mean budget\.evaluations\?",
    "evaluater.rewrad=val@12": r"did you mean evaluator\.reward\?",
    "hydra.swep.dir=x": r"did you mean hydra\.sweep\.dir",
    "~foo": "there is no key foo",
    "+sweep.splits=2": r"nothing reads the key sweep\.splits: did you mean sweep\.split",
    "algorithm.populaton=3": r"no key algorithm\.populaton: did you mean algorithm\.population\?",
    "evaluator.foo=3": r"no key evaluator\.foo: evaluator has cache_dir, ",
    "evaluator.tables.nats_tss.auto=true": r"set tables\.nats_tss\.auto$",
    "evaluator=training evaluator.reward=val@12": (
        r"no key evaluator\.reward: evaluator=tabular has it, evaluator=training has not$"
    ),
    "evaluator=training algorithm.reward=1": r"evaluator\.reward of evaluator=tabular\?$",
    "evaluator=training +reward=1": r"did you mean evaluator\.reward of evaluator=tabular\?$",
    "algorithm=random algorithm.sample=2": (  # rea_warm has it from rea's file
        r"algorithm=amoebanet, automl_zero, rea and \d+ more have it, algorithm=random has not$"
    ),
    "algorithm.trials=3": r"no key algorithm\.trials: did you mean trials\?$",
    "evaluator.evaluations=3": r"evaluator\.evaluations: did you mean .*budget\.evaluations",
    "+hydra.foo=1": r"nothing reads the key hydra\.foo",
    "+hydra.job.chdirr=true": r"the key hydra\.job\.chdirr: did you mean chdir\?",
}


@pytest.mark.parametrize(("override", "sentence"), UNKNOWN.items(), ids=UNKNOWN)
def test_an_unknown_key_is_refused_with_what_it_may_have_been_meant_for(override, sentence):
    with pytest.raises(ConfigError, match=sentence):
        composed(*override.split())


def test_a_key_that_an_own_option_has_is_said_to_be_there(tmp_path):
    """A file that is no YAML is passed over: whoever reads it will say so."""
    (tmp_path / "evaluator").mkdir()
    (tmp_path / "evaluator" / "broken.yaml").write_text("{")
    (tmp_path / "evaluator" / "list.yaml").write_text("- reward")
    (tmp_path / "evaluator" / "circle.yaml").write_text("defaults: [circle, 3]")
    (tmp_path / "evaluator" / "number.yaml").write_text("defaults: 3")
    (tmp_path / "evaluator" / "mine.yaml").write_text("defaults: [tabular]\nparts: {glue: 1}\n")
    own = f"hydra.searchpath=[file://{tmp_path}]"
    with pytest.raises(ConfigError, match=r"evaluator=mine has it, evaluator=tabular has not$"):
        composed(own, "evaluator.parts.glue=3")
    with pytest.raises(ConfigError, match=r"evaluator=mine, tabular have it, evaluator=training"):
        composed(own, "evaluator=training", "evaluator.reward=val@12")


WITHOUT_PLACE = {
    "+experiment=unas_schedule evaluator=tabular": (
        "^experiment/unas_table2 chooses recipe@evaluator.recipe, for which evaluator=tabular has "
        "no place: leave evaluator=tabular out$"
    ),
    "+experiment=metad2a_mobile evaluator=zero_cost": "for which evaluator=zero_cost has no place",
    "+experiment=ofa_fronts hardware=none": "for which hardware=none has no place",
    "recipe@evaluator.recipe=darts": (
        "^the evaluator of this command has no place for recipe@evaluator.recipe: leave "
        "recipe@evaluator.recipe=darts out, or choose another evaluator$"
    ),
    "recipe@evaluator.recipe=darts evaluator=zero_cost": "^evaluator=zero_cost has no place for",
}


@pytest.mark.parametrize(("words", "sentence"), WITHOUT_PLACE.items(), ids=WITHOUT_PLACE)
def test_a_choice_for_a_part_that_there_is_not_is_refused(words, sentence):
    with pytest.raises(ConfigError, match=sentence):
        composed(*words.split())


def test_a_key_that_another_value_refers_to_is_read():
    assert composed("+mine.five=5", "trials=${mine.five}").trials == 5
    assert composed("+experiment=catch_table1").networks.cifar10 == 70


def test_every_key_of_the_default_config_is_known():
    config = composed(hydra=True)
    assert {str(key) for key in config} <= known_keys()
    assert "recipe" not in known_keys()


@pytest.mark.parametrize("key", NAMES)
def test_a_name_that_would_lead_out_of_its_folder_is_refused(key):
    with pytest.raises(ConfigError, match=f"^{key} names folders"):
        composed(f"{key}=../x")


FOLDERS = {
    "hydra.run.dir=''": r"hydra\.run\.dir must name a folder",
    "hydra.sweep.dir=' '": r"hydra\.sweep\.dir must name a folder",
    "cache_dir=''": "cache_dir must name a folder",
    "cache_dir=null": "cache_dir must name a folder",
    "hydra.sweep.subdir=../x": "must name a folder within the sweep's own",
    "hydra.sweep.subdir=/x": "must name a folder within the sweep's own",
    "hydra.sweep.subdir=.": "must name a folder within the sweep's own",
}


@pytest.mark.parametrize(("override", "sentence"), FOLDERS.items(), ids=FOLDERS)
def test_a_folder_has_a_name_and_a_job_stays_in_its_sweep(override, sentence):
    with pytest.raises(ConfigError, match=sentence):
        composed(override)


@pytest.mark.parametrize("split", ["0", "-1", "true", "1.0", "'2'", "null"])
def test_a_split_that_is_no_number_of_jobs_is_refused(split):
    with pytest.raises(ConfigError, match=r"sweep\.split must be a whole number of at least 1"):
        composed(f"sweep.split={split}")


@pytest.mark.parametrize("choice", ["budget=[null]", "algorithm=null", "algorithm=3"])
def test_a_choice_that_is_no_name_is_refused_with_the_options(choice):
    with pytest.raises(ConfigError, match="must be the name of one of its options"):
        composed(choice)


NO_OPTIONS = {
    "tables=[nope]": r"Could not load 'tables/nope'; 'tables' can be default, mine$",
    "tables=[default,nope]": r"'tables/nope'; 'tables' can be default, mine$",
    "tables=[default,broken]": r"'tables/gone'; 'tables' can be default, mine$",
    "+experiment=[nope]": r"'experiment/nope'; 'experiment' can be bananas_xgb, .*survey",
    "algorithm=[rea,nope]": r"'algorithm/nope'; 'algorithm' can be amoebanet, .*unas",
    "tables=3": r"one of its options \(default, mine\), got 3",
}


@pytest.mark.parametrize(("choice", "sentence"), NO_OPTIONS.items(), ids=NO_OPTIONS)
def test_an_option_in_a_list_that_there_is_not_is_refused_with_those_there_are(
    tmp_path, choice, sentence
):
    """Those of a folder that the command names among them."""
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "mine.yaml").write_text("mine: {space: nb201}")
    if "broken" in choice:
        (tmp_path / "tables" / "broken.yaml").write_text("defaults: [gone]")
        sentence = sentence.replace("default,", "broken, default,")
    with pytest.raises(ConfigError, match=sentence):
        composed(with_folder(tmp_path), choice)


def test_options_of_ones_own_may_be_laid_over_others(tmp_path):
    for group in ("algorithm", "own"):
        (tmp_path / group).mkdir()
    (tmp_path / "algorithm" / "few.yaml").write_text("population: 4\n")
    for name, line in (("a", "trials: 2"), ("b", "seed: 5")):
        (tmp_path / "own" / f"{name}.yaml").write_text(f"# @package _global_\n{line}\n")
    own = f"hydra.searchpath=[file://{tmp_path}]"
    config = composed(own, "algorithm=[rea,few]", "budget=[default]", "+own=[a,b]")
    assert (config.algorithm.name, config.algorithm.population) == ("rea", 4)
    assert (config.trials, config.seed) == (2, 5)


TWO = {
    "algorithm=[random,rea]": r"^algorithm takes one option, got \[random,rea\]: write algorithm=N",
    "space=[nb201]": "^space takes one option",
    "evaluator=training recipe@evaluator.recipe=[darts,dense]": (
        r"^recipe@evaluator\.recipe takes one option, .*: write recipe@evaluator\.recipe=NAME"
    ),
}


@pytest.mark.parametrize(("words", "sentence"), TWO.items(), ids=TWO)
def test_two_options_of_ours_are_refused(words, sentence):
    with pytest.raises(ConfigError, match=sentence):
        composed(*words.split())


def test_a_task_that_is_chosen_for_a_part_can_be_left_out():
    table = ("+experiment=metad2a_table5", "+task@study.source=in16")
    assert composed(*table, "~task@study.source").study.source is None


TARGETS = [
    "hydra.launcher._target_=os.system",
    "hydra.sweeper._target_=os.system",
    "+hydra.callbacks.mine._target_=subprocess.Popen",
    "hydra.callbacks.sweep._target_=numpy.load",
    "+hydra.job_logging.handlers.mine.class=os.system",
]


@pytest.mark.parametrize("override", TARGETS)
def test_hydra_makes_nothing_of_a_module_from_elsewhere(override):
    with pytest.raises(ConfigError, match="and of no module in a folder on PYTHONPATH"):
        composed(override)


def test_hydra_logs_to_the_terminal_alone():
    with pytest.raises(ConfigError, match=r"can be ext://sys\.stdout or ext://sys\.stderr"):
        composed("hydra.job_logging.handlers.console.stream=ext://os.environ")


def test_a_callback_of_the_users_own_may_be_named(tmp_path, monkeypatch):
    (tmp_path / "own_callback.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    config = composed("+hydra.callbacks.mine._target_=own_callback.Mine", hydra=True)
    assert config.hydra.callbacks.mine._target_ == "own_callback.Mine"
    assert "own_callback" not in sys.modules


def with_folder(folder):
    return f"hydra.searchpath=[file://{folder}]"


def test_a_file_that_another_hides_is_refused(tmp_path):
    own = tmp_path / "algorithm" / "rea.yaml"
    own.parent.mkdir()
    shutil.copy(CONF / "algorithm" / "rea.yaml", own)
    assert composed(with_folder(tmp_path)).algorithm.population == 10
    own.write_text(own.read_text().replace("population: 10", "population: 50"))
    with pytest.raises(ConfigError, match=r"not be read, because .* give it a name of its own"):
        composed(with_folder(tmp_path))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", r"algorithm/mine\.yaml must hold keys and values, as in name: mine, got none$"),
        ("- rea", r"algorithm/mine\.yaml must hold keys and values, .* got a list$"),
        ("population: 3", r"algorithm\.name is missing: .* a line such as name: mine$"),
        ("rea", r"algorithm\.name is missing"),
    ],
)
def test_a_file_that_says_nothing_of_an_option_is_refused(tmp_path, content, sentence):
    (tmp_path / "algorithm").mkdir()
    (tmp_path / "algorithm" / "mine.yaml").write_text(content)
    with pytest.raises(ConfigError, match=sentence):
        composed(with_folder(tmp_path), "algorithm=mine")


def test_a_saved_config_is_not_passed_over_for_the_default(tmp_path):
    place = tmp_path / "run" / ".hydra"
    place.mkdir(parents=True)
    for name in ("config.yaml", "hydra.yaml", "overrides.yaml"):
        (place / name).write_text(OmegaConf.to_yaml(composed("trials=7")))
    with pytest.raises(ConfigError, match=f"would not be played.*nasrun rerun {tmp_path}/run"):
        composed(with_folder(place))


@pytest.mark.filterwarnings("ignore:provider=")  # Hydra's own, which the command leaves out
def test_a_folder_of_files_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is no folder, so nothing of it would be read"):
        composed(with_folder(tmp_path / "typo"))


def test_the_options_of_all_groups_are_listed_from_one_copy_of_the_sources(monkeypatch):
    """Hydra makes one for each group, which took half of what --help takes."""
    copies, init = [], CachingConfigRepository.__init__

    def noted(self, delegate):
        copies.append(self)
        init(self, delegate)

    monkeypatch.setattr(CachingConfigRepository, "__init__", noted)
    loader = CheckedLoader(create_config_search_path(str(CONF)))
    groups = loader.list_groups("")
    found = {group: loader.get_group_options(group) for group in groups}
    assert {"rea", "bohb"} <= set(found["algorithm"])
    assert "launcher" in loader.list_groups("hydra")
    assert len(copies) == 1


def asked_and_composed(loader, first, second, mode):
    loader.load_configuration("config", first, RunMode.MULTIRUN, validate_sweep_overrides=False)
    return loader.load_configuration("config", second, mode)


@pytest.mark.parametrize("mode", list(RunMode))
def test_what_hydra_composes_for_its_mode_is_not_composed_again(monkeypatch, mode):
    JobRuntime.instance().set("name", "nasrun")
    calls = []
    composing = CheckedLoader._composed
    monkeypatch.setattr(
        CheckedLoader,
        "_composed",
        lambda self, *arguments: calls.append(arguments) or composing(self, *arguments),
    )
    path = create_config_search_path(str(CONF))
    overrides = ["trials=3", f"hydra.mode={mode.name}"]
    once = asked_and_composed(CheckedLoader(path), overrides[:1], overrides, mode)
    assert len(calls) == 1
    alone = CheckedLoader(path).load_configuration("config", overrides, mode)
    # Unresolved, because both have a time of day in their folders' names.
    assert OmegaConf.to_container(once) == OmegaConf.to_container(alone)
    assert once.hydra.mode is mode


@pytest.mark.parametrize(
    "second", [["trials=4"], ["trials=3", "seed=1"], [], ["trials=3", "seed=1", "hydra.mode=RUN"]]
)
def test_another_command_is_composed_by_itself(second):
    JobRuntime.instance().set("name", "nasrun")
    loader = CheckedLoader(create_config_search_path(str(CONF)))
    config = asked_and_composed(loader, ["trials=3"], second, RunMode.RUN)
    task = [each for each in second if not each.startswith("hydra.")]
    assert config.hydra.overrides.task == task


def test_a_config_is_composed_once_more_for_the_job_after(monkeypatch):
    JobRuntime.instance().set("name", "nasrun")
    loader = CheckedLoader(create_config_search_path(str(CONF)))
    first = asked_and_composed(loader, ["trials=3"], ["trials=3"], RunMode.RUN)
    first.trials = 5
    assert loader.load_configuration("config", ["trials=3"], RunMode.RUN).trials == 3


def test_the_mode_of_an_experiment_is_found_though_only_swept_options_have_a_key():
    """``algorithm.learning_rate`` is REINFORCE's; the experiment's default is another one."""
    JobRuntime.instance().set("name", "nasrun")
    loader = CheckedLoader(create_config_search_path(str(CONF)))
    overrides = ["+experiment=nb201_baselines", "algorithm.learning_rate=0.5"]
    config = loader.load_configuration(
        "config", overrides, RunMode.MULTIRUN, validate_sweep_overrides=False
    )
    assert config.hydra.mode is RunMode.MULTIRUN


def test_values_to_sweep_over_are_refused_in_a_single_run_though_composed_before():
    JobRuntime.instance().set("name", "nasrun")
    loader = CheckedLoader(create_config_search_path(str(CONF)))
    with pytest.raises(ConfigCompositionException, match="To sweep over it"):
        asked_and_composed(loader, ["seed=1,2"], ["seed=1,2"], RunMode.RUN)


def test_networks_are_trained_by_default_where_no_table_knows_the_pictures():
    tables = OmegaConf.load(CONF / "tables" / "default.yaml")
    known = {name for table in tables.values() for name in table.get("datasets") or {}}
    files = {path.stem: OmegaConf.load(path) for path in (CONF / "task").glob("*.yaml")}
    of_figures = {name for name, own in files.items() if own._target_.endswith(".Tabulated")}
    unknown = files.keys() - known - of_figures
    assert set(chain(*WITHOUT_TABLE.values())) == unknown
    for evaluator, names in WITHOUT_TABLE.items():
        assert composed(f"task={names[-1]}").evaluator.name == evaluator
    others = ["task=cifar100"], ["task=svhn", "evaluator=tabular"], ["+experiment=catch_table1"]
    assert {composed(*each).evaluator.name for each in others} == {"tabular"}
    source = composed("algorithm=metad2a", "+task@meta.source=image_folder")
    assert source.evaluator.name == "tabular"
