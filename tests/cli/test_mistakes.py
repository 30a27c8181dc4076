"""What is asked for by mistake or out of malice: one sentence, an exit code, and no trace on disk.

The command is played in this process, which takes a third of the time.
"""

import logging
import sys

import pytest
from command import rows

from nasrun import __main__, sweep, traces

MISTAKES = {
    "algorithm=foo": "'algorithm' can be ",
    "algorithm.population=many": "algorithm.population: Value 'many'",
    "evaluator=training evaluator.reward=val@12": "reward: evaluator=tabular has it, eval",
    "evaluator=training +evaluator.reward=val@12": "evaluator=tabular has it, evaluator=training",
    "algorithm.populaton=3": "no key algorithm.populaton: did you mean algorithm.population?",
    "+meta.agents=3": "nothing reads the key meta.agents",
    "algorithm.population=0": "at least 1, got 0",
    "algorithm.population=1000000000": "algorithm.population must be at most 20,000,000",
    "trials=0": "trials must be a whole number of at least 1, got 0",
    "trials=2.5": "trials must be a whole number of at least 1, got 2.5",
    "trials=9223372036854775807": "trials must be at most 10,000,000",
    "seed=-1": "last trial, got -1",
    "seed=": "seed must be a whole number",
    f"seed={2**63}": "below 2**63",
    "budget.evaluations=0": "budget.evaluations must be positive and finite, got 0",
    "budget.wall_s=inf": "budget.wall_s must be positive and finite, got inf",
    "budget.edge=maybe": "expected one of [keep, drop]",
    "evaluator.reward=test@200": "evaluator.reward must be val@EPOCHS",
    "evaluator.run=42": "has no run 42 of val_score of cifar10-valid",
    "retrain.tasks=[mnist2]": "retrain.tasks names 'mnist2'",
    "retrain.tasks=[cifar10,cifar10]": "retrain.tasks must name each task once",
    "retrain=null": "retrain must be a group of keys and values, got None",
    "algorithm._target_=os.system": "is none of nasrun.algorithms.*",
    "algorithm._target_=nowhere.Thing": "'nowhere': put the folder of your own module on PYTH",
    "task.classes=ten": "task.classes: Value 'ten'",
    "algorithm.name=../../x": "algorithm.name names folders",
    "hydra.run.dir=''": "hydra.run.dir must name a folder",
    "trials=${nowhere}": "Interpolation key 'nowhere' not found",
    "~budget": "a run cannot do without budget: leave ~budget out",
    "~budget budget.evaluations=4": "a run cannot do without budget: leave ~budget out",
    "~task": "a run cannot do without task: leave ~task out",
    "~debug": "a run cannot do without debug: leave ~debug out",
    "~resume": "resume is null as it is: leave ~resume out",
    "~budget.wall_s": "budget.wall_s is null as it is: leave ~budget.wall_s out",
    "task=[cifar10]": "task takes one option, got [cifar10]: write task=NAME",
    "algorithm=[rea,random]": "or -m algorithm=NAME,NAME to play several",
    "+task=cifar100": "task has an option already, which +task=cifar100 cannot join: write task=ci",
    "+tables=default": "tables is chosen twice: name both in one list, as in tables=[NAME,NAME]",
    "retrain.tasks=cifar10": "retrain.tasks must be a list, as in [cifar10], got cifar10",
    "retrain.tasks=[[cifar10]]": "a list of single values, as in [a, b], got [['cifar10']]",
    "retrain.tasks=[{a:1}]": "retrain.tasks must be a list of single values",
    "-m seed=1,2 report.figures=[[box]]": "report.figures must be a list of single values",
    "retrain.export=[[onnx]]": "retrain.export must be a list of single values",
    "evaluator.sources=[[a]]": "evaluator.sources must be a list of single values",
    "evaluator=training evaluator.judged=[[3]]": "evaluator.judged must be a list of single",
    "task=subset task.classes=[[1]]": "task.classes must be a list of single values",
    "retrain.tasks=[null]": "retrain.tasks must be a list of single values, as in [a, b], got [No",
    "algorithm=catch meta.tasks=[[a]]": "meta.tasks must be a list of single values, as in [a, b]",
    "algorithm=catch meta.tasks=[{a:1}]": "meta.tasks must be a list of single values",
    "algorithm=catch meta.tasks=[null]": "meta.tasks must be a list of single values",
    "algorithm=catch meta.tasks=a": "meta.tasks must be a list, as in [a], got a",
    "algorithm=catch meta.tasks=[cifar100,cifar100]": "meta.tasks must name each task once, got c",
    "evaluator=training evaluator.recipe.jitter=[[1]]": "recipe.jitter must be a list of single",
    "tables.nb201_merged.paths=[[a]]": "tables.nb201_merged.paths must be a list of single values",
    "-m seed=1,2 hydra.sweeper.points=[[1]]": "points must be a list of lists of overrides",
    "-m seed=1,2 hydra.sweeper.points=[[[a]]]": "points must be a list of lists of overrides",
    "-m seed=1,2 hydra.sweeper.points=[task=cifar10]": "hydra.sweeper.points=[task=cifar10] cannot",
    "-m seed=1,2 hydra.sweeper.points=[a]": "points must be a list of lists of overrides",
    "retrain.tasks=null": "retrain.tasks must have a value, got null",
    "evaluator.sources=mine": "evaluator.sources must be a list, as in [mine], got mine",
    "algorithm.population=null": "algorithm.population must have a value, got null",
    "scorer={}": "scorer must be one of its options, got a group without _target_",
    "hydra=x": "hydra is a group of keys: set one of ",
    "hydra.run.dir=null": "hydra.run.dir=null cannot be: field 'hydra.run.dir' is not Optional",
    "hydra.run=3": "hydra.run=3 cannot be: Invalid type assigned",
    "hydra.run.dir=~/x": "~ is not expanded here: write hydra.run.dir=$HOME/x",
    "hydra.run.dir=my[x]": "put a text with other signs than letters, digits",
    "trials=3 more": "'more' is no key=value, nor a flag",
    "resume=/dev/null": "resume=/dev/null is a file: name the folder of a run or a sweep",
    "convert nowhere.pth out.safetensors": "nowhere.pth is not there: name an official file",
    "tables=[nope]": "Could not load 'tables/nope'; 'tables' can be default",
    "tables=[]": "tables must name an option at least, got []",
    "experiment=suite": "a run has no option yet: write +experiment=suite",
    "tracker=mlflow": "a run has no option yet: write +tracker=mlflow",
    "hydra.run.dir='~/x'": "would be a folder called ~: write hydra.run.dir=$HOME/x",
    "--hlep": "unrecognized arguments: --hlep; see nasrun --help",
    "trials=1 --cfg job seed=2": "a flag parts seed=2 from the other key=value: put the fl",
    "--cfg foo": "argument --cfg/-c: invalid choice: 'foo'",
    "=3": "=3 has no key in front of its =",
    "algorithm.population=5,10": "algorithm.population=5,10 has several values: add -m",
    "debug=maybe": "debug must be true or false, got 'maybe'",
    "sweep.split=2 trials=2 hardware=measured": "each of the 2 jobs that share the trials of a se",
    "-m seed=0,5,9 trials=2 hardware=measured": "each of the 3 jobs that share the trials of a se",
    "-m seed=range(5,0)": "seed=range(5,0) stands for no value at all",
    "-m seed=range(0,inf)": "seed=range(0,inf) makes a sweep of more than 100,000 jobs",
    "-m algorithm.population=interval(1,5)": "has no list of values: give them, or range(...)",
    "-m algorithm=glob(zzz*)": "algorithm=glob(zzz*) stands for no value at all",
    "-m algorithm=rea,random algorithm.population=5": "algorithm=amoebanet, automl_zero, neat and ",
}


@pytest.fixture
def command(tmp_path, cache_dir, monkeypatch, capsys):
    """Plays the command in an empty folder; returns its exit code, its output and its errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NASRUN_CACHE", str(cache_dir))
    monkeypatch.delenv("NASRUN_DATA", raising=False)
    monkeypatch.setattr(sweep, "_current", [])
    monkeypatch.setattr(traces, "_current", [])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # which the command sets
    root = logging.getLogger()
    before = root.handlers[:], root.level

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["nasrun", *arguments])
        with pytest.raises(SystemExit) as ended:
            __main__.main()
        return ended.value.code, *capsys.readouterr()

    yield call
    for handler in set(root.handlers) - set(before[0]):
        handler.close()  # of the run's log
    root.handlers[:], root.level = before


@pytest.mark.parametrize(("words", "sentence"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_is_one_sentence_with_exit_code_2(command, tmp_path, words, sentence):
    code, _, errors = command(*words.split())
    assert code == 2
    assert sentence in errors
    assert errors.count("\n") == 1
    assert errors.startswith("nasrun: ")
    assert not list(tmp_path.iterdir()), "left something behind"


def test_a_key_of_an_experiment_is_laid_to_the_choice_that_lacks_it(command):
    own = ("algorithm=random", "task=cifar10", "trials=2", "hydra.sweep.dir=sweep")
    code, _, errors = command("+experiment=catch_fig3", *own, "evaluator=zero_cost")
    assert code == 2
    assert (
        "experiment=catch_fig3 sets evaluator.reward, which evaluator=zero_cost does not have: "
        "leave evaluator=zero_cost out"
    ) in errors
    typed = ("evaluator=tabular", "+evaluator.bar=1")
    assert (
        "there is no key evaluator.bar: it has"
        in command("+experiment=catch_fig3", *own, *typed)[2]
    )


def test_a_key_that_all_swept_choices_have_is_set_in_each(command, tmp_path):
    own = ("-m", "algorithm=bohb,hyperband", "algorithm.eta=2", "budget.evaluations=3")
    code, _, errors = command(*own, "hydra.sweep.dir=sweep")
    assert code == 0, errors
    for config in (tmp_path / "sweep").glob("*/.hydra/config.yaml"):
        assert "eta: 2" in config.read_text()
    names = {row["algorithm"] for row in rows(tmp_path / "sweep" / "trials.csv")}
    assert names == {"bohb", "hyperband"}


def test_a_sweep_over_dicts_is_joined(command, tmp_path):
    own = ("-m", "algorithm={population: 5},{population: 7}", "budget.evaluations=3")
    code, _, errors = command(*own, "hydra.sweep.dir=sweep")
    assert code == 0, errors
    names = {row["algorithm"] for row in rows(tmp_path / "sweep" / "trials.csv")}
    assert names == {"rea[algorithm={population:5}]", "rea[algorithm={population:7}]"}


TABLE = "columns: {acc: val_score/cifar10/200of200/mean}"


def own_table(tmp_path, lines):
    (tmp_path / "own.csv").write_text("".join(f"{line}\n" for line in ("arch,acc", *lines)))
    table = f"reader: csv, space: nb201, paths: [{tmp_path}/own.csv], {TABLE}"
    return f"+tables.own={{{table}}}", "evaluator.sources=[own]"


CELL = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|nor_conv_3x3~2|"


def test_a_table_of_a_few_architectures_says_so_and_finds_nothing(command, tmp_path):
    code, said, errors = command(*own_table(tmp_path, [f"{CELL},90"]), "hydra.run.dir=run")
    assert code == 1
    assert "figures of 1 of 15,625 architectures (0.0064 %)" in said
    assert "no trial found an architecture with a reward" in errors
    assert not (tmp_path / "run" / "best.json").exists()
    assert len(rows(tmp_path / "run" / "evaluations.csv")) == 50


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([], "there is no row below the header"),
        ([f"{CELL},inf"], "expected a finite number or an empty cell, found 'inf'"),
        ([f"{CELL},1e5"], "is 100000, expected 0 to 100"),
        ([f"{CELL},0.73"], "which are fractions, not per cent: set tables.own.scale.COLUMN=100"),
    ],
)
def test_a_table_whose_figures_cannot_be_is_refused(command, tmp_path, lines, sentence):
    code, _, errors = command(*own_table(tmp_path, lines))
    assert code == 1
    assert sentence in errors
    assert "should not happen" not in errors
    assert errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["own.csv"]


def test_a_study_is_no_job_of_a_sweep(here):
    said = here("-m", "study=metad2a_graphs", "seed=1,2", code=2)
    assert "study=metad2a_graphs is a run by itself, no job of a sweep: leave -m out" in said


@pytest.mark.parametrize("words", ["trials=1", "trials=1 hydra.run.dir=/elsewhere", "--cfg job"])
def test_a_working_folder_that_is_gone_is_named_as_what_is_wrong(
    command, tmp_path, monkeypatch, words
):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    code, _, errors = command(*words.split())
    assert code == 1
    assert errors == (
        "nasrun: the folder that this command was started in has been deleted: cd to one that is "
        "there, also where it was made anew by the same name\n"
    )
