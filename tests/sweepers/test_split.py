"""The sweeper behind ``nasrun -m``: what it composes, counts and hands to a launcher."""

import math
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from composed import composed
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from omegaconf import OmegaConf

from nasrun import sweep
from nasrun.__main__ import CONF
from nasrun.errors import ConfigError, NasrunError
from nasrun.record import earlier_data
from nasrun.record.request import Found, Request
from nasrun.sweepers import base, inputs
from nasrun.sweepers import split as split_module
from nasrun.sweepers.base import MULTIRUN, succeeded
from nasrun.sweepers.plan import Plan, Wanted
from nasrun.sweepers.split import (
    SplitSweeper,
    _hash_of,
    _known,
    _require_jobs,
    _values,
    trials_of,
)


def found(*words, conf, seed=0, trials=10):
    request = Request(words, conf, "composed", "data", seed, trials)
    return Found(f"folder of {words}", request, True, False)


def test_a_job_was_played_if_it_completed_and_returned_something():
    played = lambda status, value: succeeded(JobReturn(status=status, _return_value=value))  # noqa: E731
    assert played(JobStatus.COMPLETED, 0.0)
    assert not played(JobStatus.COMPLETED, None)
    assert not succeeded(JobReturn(status=JobStatus.UNKNOWN, _return_value=0.0))


def test_jobs_of_the_same_words_and_files_are_known():
    jobs = [found("algorithm=rea", conf="these"), found("algorithm=tpe", conf="others")]
    assert _known(jobs, "these") == {("algorithm=rea",): range(10)}
    assert _known(jobs, None) == {}
    assert _known([found("x=1", conf=None)], None) == {}


@pytest.mark.parametrize(
    ("seed", "trials", "wanted"),
    [
        (0, 1, range(1)), (3, 4, range(3, 7)), (-1, 4, None), (3, 0, None), (True, 4, None),
        (3, True, None), ("3", 4, None), (3, None, None),
    ],
)  # fmt: skip
def test_trials_are_a_range_or_the_jobs_own_trouble(seed, trials, wanted):
    assert trials_of(OmegaConf.create({"seed": seed, "trials": trials})) == wanted


@dataclass
class Composer:
    """In Hydra's place: keeps the words that it was asked to compose."""

    composed: list = field(default_factory=list)

    def load_sweep_config(self, config, overrides):
        self.composed.append(overrides)
        values = {"seed": 5, "trials": 10} | dict(
            text.split("=") for text in overrides if text.startswith(("seed", "trials"))
        )
        return OmegaConf.create({key: int(value) for key, value in values.items()})


SETTINGS = {"sweep": {"split": 1}, "hydra": {"sweep": {"dir": "nowhere"}}}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def sweeper(launcher=None, max_batch_size=None, params=None, **config):
    made = SplitSweeper(params, max_batch_size)
    made.config = OmegaConf.create(SETTINGS | config)
    made.hydra_context = SimpleNamespace(config_loader=Composer())
    made.launcher, made._launched = launcher, 0
    return made


def test_jobs_that_differ_in_their_trials_alone_are_composed_once(monkeypatch):
    monkeypatch.setattr(split_module, "_hash_of", lambda config: f"hash {config.seed}")
    made = sweeper()
    jobs = [
        ("x=1", "seed=3"), ("x=1", "trials=2"), ("x=1", "seed=4", "trials=6"), ("x=2",),
        ("x=1", "trials=0"), ("x=3",), ("x=1", "seed=-1"),
    ]  # fmt: skip
    made._jobs = lambda arguments: jobs
    wanted = list(made._wanted([], {("x=3",): range(7)}))
    assert [each.overrides for each in wanted] == jobs
    assert made.hydra_context.config_loader.composed == [
        ["x=1", "seed=3", MULTIRUN], ["x=2", MULTIRUN], ["x=1", "seed=-1", MULTIRUN],
    ]  # fmt: skip
    seeds = [range(3, 13), range(3, 5), range(4, 10), range(5, 15), None, range(7), None]
    assert [each.seeds for each in wanted] == seeds
    assert [each.composed for each in wanted[:4]] == ["hash 3"] * 3 + ["hash 5"]


def test_a_shape_whose_example_has_no_trials_is_composed_again(monkeypatch):
    monkeypatch.setattr(split_module, "_hash_of", lambda config: "hash")
    made = sweeper()
    made._jobs = lambda arguments: [("trials=0",), ("trials=2",), ("trials=3",)]
    assert [each.seeds for each in made._wanted([], {})] == [None, range(5, 7), range(5, 8)]
    assert len(made.hydra_context.config_loader.composed) == 2


@dataclass
class Batches(Launcher):
    """Plays jobs at once; those of ``x=2`` fail."""

    batches: list = field(default_factory=list)
    error: Exception | None = None

    def setup(self, **more):
        pass

    def launch(self, job_overrides, initial_job_idx):
        self.batches.append((initial_job_idx, job_overrides))
        if self.error is not None:
            raise self.error
        return [
            JobReturn(status=JobStatus.COMPLETED, _return_value=None if "x=2" in job else 1.0)
            for job in job_overrides
        ]


SPLIT_JOBS = [("x=1", "seed=0", "trials=2"), ("x=1", "seed=2", "trials=2"), ("x=2", "trials=9")]


@pytest.mark.parametrize(
    ("hardware", "launch", "refused"),
    [
        (["hardware=measured"], SPLIT_JOBS, True),
        (["hardware=measured"], SPLIT_JOBS[1:2], True),  # the other has a target already
        (["hardware=measured"], SPLIT_JOBS[2:], False),  # a job by itself
        (["hardware=measured"], [], False),
        (["hardware=measured", "hardware.target_ms=3"], SPLIT_JOBS, False),
        (["hardware=none"], SPLIT_JOBS, False),
    ],
)
def test_jobs_of_a_search_do_not_measure_targets_of_their_own(hardware, launch, refused):
    made = sweeper()
    made._examples = {(f"x={x}",): composed(*hardware) for x in (1, 2)}
    expected = pytest.raises(ConfigError, match=r"each of the 2 jobs .* set hardware\.target_ms=")
    with expected if refused else nullcontext():
        made._require_common_targets(Plan(SPLIT_JOBS, launch, []))


JOBS = [("x=1",), ("x=2",), ("x=3",)]


@pytest.mark.parametrize(
    ("size", "batches"),
    [(None, [(0, [1, 2, 3])]), (2, [(0, [1, 2]), (2, [3])]), (1, [(0, [1]), (1, [2]), (2, [3])])],
)
def test_jobs_are_launched_by_batches_and_those_that_fail_are_told(monkeypatch, size, batches):
    refused = []
    monkeypatch.setattr(sweep, "refuse", refused.append)
    launcher = Batches()
    returns = sweeper(launcher, size)._launch_all(Plan(JOBS, JOBS, []))
    wanted = [(first, [[f"x={x}", MULTIRUN] for x in jobs]) for first, jobs in batches]
    assert launcher.batches == wanted
    assert [len(batch) for batch in returns] == [len(jobs) for _, jobs in batches]
    assert refused == [("x=2",)]


def test_a_launcher_is_told_how_many_jobs_there_are_and_how_many_are_done(monkeypatch):
    told = []
    numbered = lambda *given: told.append(given) or nullcontext()  # noqa: E731
    monkeypatch.setattr(split_module, "numbered", numbered)
    made = sweeper(Batches())
    made._launch_all(Plan(JOBS, JOBS[:1], []), ["no table"])
    assert told == [(made._folder(), 3, 2, JOBS, ["no table"])]


def test_nothing_to_do_launches_nothing():
    launcher = Batches()
    assert sweeper(launcher)._launch_all(Plan(JOBS, [], [])) == []
    assert not launcher.batches


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ValueError("no node\nTraceback"), NasrunError, r"gave up \(ValueError: no node\); start"),
        (ValueError(), NasrunError, r"gave up \(ValueError: \)"),
        (ConfigError("our own"), ConfigError, "^our own$"),
        (HydraException("Hydra's"), HydraException, "^Hydra's$"),
    ],
)
def test_a_launcher_that_gives_up_is_one_sentence(error, kind, words):
    with pytest.raises(kind, match=words):
        sweeper(Batches(error=error))._launch_all(Plan(JOBS, JOBS, []))


def test_jobs_are_the_product_of_what_is_swept_without_the_split():
    made = sweeper(params={"algorithm": "rea,random"})
    with initialize_config_dir(str(CONF), version_base="1.3"):
        made.hydra_context.config_loader = GlobalHydra.instance().config_loader()
        jobs = made._jobs(["trials=2", "budget.evaluations=3,4", "sweep.split=5"])
        with pytest.raises(ConfigError, match=r"sweep\.split cannot be swept over"):
            made._jobs(["sweep.split=1,2"])
    pairs = [("rea", 3), ("rea", 4), ("random", 3), ("random", 4)]
    wanted = [(f"algorithm={a}", "trials=2", f"budget.evaluations={n}") for a, n in pairs]
    assert jobs == wanted


@pytest.mark.parametrize(
    ("word", "count"),
    [
        ("x=1,2,3", 3),
        ("x=range(4)", 4),
        ("x=range(0,10,3)", 4),
        ("x=range(10,0,-5)", 2),
        ("x=range(5,3)", 0),
        ("x=range(0,1,0)", math.inf),
    ],
)
def test_how_many_values_a_sweep_has(word, count):
    (override,) = OverridesParser.create().parse_overrides([word])
    assert _values(override) == count


def test_a_product_of_sweeps_has_an_end():
    words = ["x=range(1000)", "y=range(10)", "z=range(11)"]
    overrides = OverridesParser.create().parse_overrides(words)
    _require_jobs(overrides[:2], 10)  # 100,000 jobs
    with pytest.raises(ConfigError, match=r"y=range\(10\) makes a sweep of more than 100,000 jobs"):
        _require_jobs(overrides[:2], 11)
    with pytest.raises(ConfigError, match=r"z=range\(11\) makes a sweep of more than 100,000 jobs"):
        _require_jobs(overrides, 1)


POINTS = [
    ["space=nb201", "task=cifar10"],
    ["space=nb201", "task=cifar100"],
    ["space=darts", "task=in16"],
    ["space=darts", "task=in16", "budget.evaluations=3"],
]


@pytest.mark.parametrize(
    ("arguments", "points", "rest"),
    [
        ([], [0, 1, 2, 3], [()]),
        (["task=cifar100,in16", "seed=3"], [1, 2, 3], [("seed=3",)]),
        (["budget.evaluations=3"], [3], [()]),
        (["space=nb201", "seed=3,4"], [0, 1], [("seed=3",), ("seed=4",)]),
    ],
)
def test_every_job_has_the_overrides_of_a_point_that_the_command_line_allows(
    arguments, points, rest
):
    made = sweeper(params={"algorithm": "rea"})
    made.points = POINTS
    with initialize_config_dir(str(CONF), version_base="1.3"):
        made.hydra_context.config_loader = GlobalHydra.instance().config_loader()
        jobs = made._jobs(arguments)
    wanted = [(*POINTS[at], "algorithm=rea", *own) for at in points for own in rest]
    assert jobs == wanted


def test_jobs_without_their_files_are_left_out_in_a_sentence(monkeypatch, capsys):
    made = sweeper(hydra={"launcher": {"_target_": "of.BasicLauncher"}})
    wanted = [Wanted(job, range(2)) for job in JOBS]
    made._examples = dict.fromkeys(JOBS)
    missing = {("x=2",): ConfigError("no table"), ("x=3",): ConfigError("no table")}
    monkeypatch.setattr(inputs, "unreadable", lambda examples: missing)
    assert made._with_files(wanted) == wanted[:1]
    assert capsys.readouterr().err == "nasrun: 2 of 3 jobs are left out: no table\n"
    missing[("x=1",)] = ConfigError("not one")
    with pytest.raises(ConfigError, match="no table"):
        made._with_files(wanted)


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    """A sweeper that writes into a folder, and the notes of what it did there."""
    notes = []
    monkeypatch.setattr(split_module, "configure_log", lambda *given: None)
    monkeypatch.setattr(sweep, "expect", lambda jobs: notes.append(("expect", jobs)))
    note = lambda folder, found: notes.append("earlier data")  # noqa: E731
    monkeypatch.setattr(earlier_data, "note_earlier_data", note)

    def make(launch, stale=(), **config):
        plan = Plan(JOBS, launch, list(stale))
        monkeypatch.setattr(split_module, "make_plan", lambda *given: plan)
        hydra = {
            "sweep": {"dir": str(tmp_path / "sweep")}, "hydra_logging": None, "verbose": False,
            "runtime": {"config_sources": []},
        }  # fmt: skip
        made = sweeper(Batches(), hydra=hydra, **config)
        made._jobs = lambda arguments: []
        return made, notes

    return make


def test_a_sweep_writes_its_config_clears_what_is_stale_and_launches(in_folder, tmp_path):
    (stale := tmp_path / "sweep" / "stale").mkdir(parents=True)
    made, notes = in_folder(JOBS[:1], [stale])
    assert len(made.sweep([])) == 1
    assert not stale.exists()
    assert OmegaConf.load(tmp_path / "sweep" / "multirun.yaml") == made.config
    assert notes == ["earlier data", ("expect", JOBS)]


def test_a_sweep_that_is_done_launches_nothing_and_looks_at_no_data(in_folder):
    made, notes = in_folder([])
    assert made.sweep([]) == []
    assert notes == [("expect", JOBS)]


def test_a_sweep_is_resumed_only_where_there_is_one(in_folder, tmp_path):
    made, _ = in_folder([], resume="here")
    (tmp_path / "sweep").mkdir()
    with pytest.raises(ConfigError, match="resume=here holds no sweep"):
        made.sweep([])
    in_folder([])[0].sweep([])
    assert made.sweep([]) == []


@pytest.mark.parametrize(("name", "known"), [("joblib", True), ("joblib", False), ("basic", False)])
def test_a_launcher_without_its_plug_in_is_refused(monkeypatch, name, known):
    plugins = SimpleNamespace(
        class_name_to_class={"its.Class": object} if known else {},
        instantiate_launcher=lambda **given: given["task_function"],
    )
    monkeypatch.setattr(base.Plugins, "instance", lambda: plugins)
    config = {
        "runtime": {"choices": {"hydra/launcher": name}},
        "launcher": {"_target_": "its.Class"},
    }
    given = {"hydra_context": "context", "config": OmegaConf.create({"hydra": config})}
    made = SplitSweeper()
    if name == "joblib" and not known:
        with pytest.raises(ConfigError, match="joblib needs a plug-in that is not installed"):
            made.setup(task_function="task", **given)
    else:
        made.setup(task_function="task", **given)
        assert made.launcher == "task"


def test_a_config_is_known_by_what_is_its_own():
    whole = lambda **values: _hash_of(OmegaConf.create({"hydra": {"a": 1}} | values))  # noqa: E731
    with initialize_config_dir(str(CONF), version_base="1.3"):
        plain, same, other = (
            compose("config", overrides=more) for more in ([], ["seed=0"], ["algorithm=random"])
        )
    assert _hash_of(plain) == _hash_of(same) != _hash_of(other)
    assert _hash_of(plain) is not None
    assert whole(broken="${nowhere}") is None
