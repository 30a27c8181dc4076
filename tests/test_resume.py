import shutil
from pathlib import Path

import pytest
from composed import composed
from hydra.types import RunMode
from omegaconf import OmegaConf

from nasrun.errors import ConfigError, DataError
from nasrun.names import command_for
from nasrun.record.status import PARTS, STATUS
from nasrun.resume import ALONE, RUN, SWEEP, interrupted, resumed, saved_command, shown


def saved(folder, name, *task, hydra=(), config_name="config", sources=(), cwd="/"):
    node = {
        "overrides": {"task": list(task), "hydra": list(hydra)},
        "job": {"config_name": config_name},
        "runtime": {
            "config_sources": [{"provider": "main", "path": "conf"}, *sources],
            "cwd": str(cwd),
        },
    }
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    OmegaConf.save({"hydra": node}, folder / name)
    return folder


@pytest.fixture
def run(tmp_path):
    return saved(
        tmp_path / "run", RUN, "algorithm=tpe", "trials=3", "cohort=2",
        hydra=["hydra.run.dir=run", "hydra.verbose=true"],
    )  # fmt: skip


@pytest.fixture
def sweep(tmp_path):
    return saved(
        tmp_path / "sweep", SWEEP, "algorithm=rea,tpe", "trials=3", "sweep.split=2",
        hydra=["hydra.sweep.dir=sweep", "hydra.mode=MULTIRUN", "hydra/launcher=joblib"],
    )  # fmt: skip


def test_a_command_without_resume_is_left_alone():
    assert resumed(["-m", "algorithm=rea"]) == ["-m", "algorithm=rea"]
    assert resumed(["resume=null"]) == ["resume=null"]


def test_a_runs_folder_says_what_the_command_does_not(run):
    rest = ["algorithm=tpe", "trials=3", "cohort=2", "hydra.verbose=true", ALONE]
    assert resumed([f"resume={run}"]) == [*rest, f"resume={run}"]
    given = ["cohort=5", f"resume={run}", "trials=3"]
    assert resumed(given) == ["algorithm=tpe", "hydra.verbose=true", ALONE, *given]


@pytest.mark.parametrize("word", ["hydra/launcher=joblib", "sweep.split=2", "hydra.mode=MULTIRUN"])
def test_what_only_a_sweep_obeys_is_not_passed_over(run, word):
    assert ALONE not in resumed([f"resume={run}", word])  # so that it is refused


def test_a_job_of_an_experiment_is_no_sweep(tmp_path):
    words = ["+experiment=predictor_search", "task=cifar10", "algorithm=rea"]
    job = saved(tmp_path, RUN, *words, hydra=["hydra.sweep.dir=there", "hydra.mode=MULTIRUN"])
    words = resumed([f"resume={job}"])
    assert composed(*words, hydra=True).hydra.mode is RunMode.RUN


@pytest.mark.parametrize("given", [[], ["-m"], ["--multirun"]])
def test_a_sweeps_folder_says_all(sweep, given):
    rest = ["-m", "algorithm=rea,tpe", "trials=3", "sweep.split=2", "hydra/launcher=joblib"]
    found = resumed([*given, f"resume={sweep}"])
    assert found == [*(given or ["-m"]), *rest[1:], f"resume={sweep}"]


@pytest.mark.parametrize("name", [RUN, SWEEP])
@pytest.mark.parametrize(
    "word",
    [
        "study.logs=own/logs.csv",
        "evaluator.sources=[nb201,scores.csv]",
        "+own={x: [own/logs.csv]}",
        "data_dir=./own",
    ],
)
def test_a_path_is_read_from_where_it_was_typed_alone(tmp_path, monkeypatch, name, word):
    there, here = tmp_path / "there", tmp_path / "here"
    for folder in (there, here):
        (folder / "own").mkdir(parents=True)
        for file in ("own/logs.csv", "scores.csv"):
            (folder / file).touch()
    folder = saved(there / "folder", name, word, "task.name=cifar10", cwd=there)
    monkeypatch.chdir(there)
    assert word in resumed([f"resume={folder}"])
    monkeypatch.chdir(here)  # where files of the same names lie
    with pytest.raises(DataError, match=rf"was played with .*, a path from {there}, where its"):
        resumed([f"resume={folder}"])
    if name == RUN:  # the new word is meant from here
        assert resumed([f"resume={folder}", word])
    shutil.rmtree(there / "own")
    (there / "scores.csv").unlink()
    assert word in resumed([f"resume={folder}"])  # no path, or none any more


def test_what_is_no_path_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "cifar10").mkdir()
    words = ["task=cifar10", "task.note=" + "a/" * 3000, f"data_dir={tmp_path}", "x=0.5"]
    folder = saved(tmp_path / "folder", RUN, *words, cwd=tmp_path)
    monkeypatch.chdir("/")
    assert resumed([f"resume={folder}"])[:4] == words


def test_a_sweeps_jobs_stay_where_they_lie(tmp_path):
    own = "hydra.sweep.subdir=mine${seed}"
    places = [own, "hydra.sweep.dir=there"]
    sweep = saved_command(saved(tmp_path / "sweep", SWEEP, hydra=places))
    job = saved_command(saved(tmp_path / "job", RUN, hydra=places))
    assert sweep is not None
    assert job is not None
    assert (sweep.settings, job.settings) == ((own,), (ALONE,))


def test_how_a_sweep_is_played_may_change(sweep):
    given = [f"resume={sweep}", "sweep.split=5", "hydra/launcher=basic"]
    assert resumed(given) == ["-m", "algorithm=rea,tpe", "trials=3", *given]


def test_a_sweep_may_be_gone_on_with_by_another_whole_command(sweep):
    given = ["-m", "algorithm=rea,bohb", "trials=3", f"resume={sweep}"]
    assert resumed(given) == given


def test_a_sweeps_command_with_gaps_is_refused(sweep):
    with pytest.raises(ConfigError, match=r"holds a sweep with algorithm=rea,tpe, which this"):
        resumed(["-m", "trials=3", f"resume={sweep}"])


def test_a_run_is_not_made_another_one(run):
    with pytest.raises(DataError, match=r"another run, with trials=3 and not trials=4: leave that"):
        resumed(["trials=4", f"resume={run}"])
    assert "trials=03" in resumed(["trials=03", f"resume={run}"])
    with pytest.raises(ConfigError, match="holds a run, no sweep: leave out -m"):
        resumed(["-m", f"resume={run}"])


def test_the_users_own_config_files_are_found_again(tmp_path):
    mine = {"provider": "command-line", "path": "/mine"}
    folder = saved(tmp_path, RUN, config_name="other", sources=[mine])
    flags = ["--config-name", "other", "--config-dir", "/mine"]
    assert resumed([f"resume={folder}"]) == [*flags, ALONE, f"resume={folder}"]
    own = ["--config-dir", "/moved", f"resume={folder}"]
    assert resumed(own) == ["--config-dir", "/moved", *flags[:2], ALONE, f"resume={folder}"]


def test_a_folder_with_neither_is_left_to_others(tmp_path):
    assert saved_command(tmp_path) is None
    assert resumed([f"resume={tmp_path}"]) == [f"resume={tmp_path}"]


@pytest.mark.parametrize("text", ["[]", "{", "hydra: {}", "\x00"])
def test_a_damaged_config_is_one_sentence(tmp_path, text):
    (tmp_path / SWEEP).write_text(text)
    with pytest.raises(
        DataError, match=r"multirun\.yaml: cannot be read as what Hydra saves"
    ) as it:
        saved_command(tmp_path)
    assert "\n" not in str(it.value)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("outputs/x-1", "nasrun resume=outputs/x-1"),
        ("a b", """nasrun 'resume='"'"'a b'"'"''"""),
        ("it's,1", None),
        ("größe", None),
    ],
)
def test_a_folder_can_be_typed(tmp_path, name, command):
    import shlex

    if command is not None:
        assert command_for(tmp_path.__class__(name)) == command
    saved(tmp_path / name, RUN, "trials=3")
    word = shlex.split(command_for(tmp_path / name))[1]
    assert resumed([word]) == ["trials=3", ALONE, word]


def test_an_interrupted_command_says_what_is_kept_and_how_to_go_on(run, sweep, monkeypatch):
    monkeypatch.chdir(run.parent)
    assert interrupted(None) == "interrupted before anything was begun"
    assert interrupted(run.parent) == "interrupted before anything was begun"
    assert interrupted(sweep) == "interrupted; go on with: nasrun resume=sweep"
    request = (
        '{"overrides": [], "conf": null, "composed": "", "data": "", "seed": 0, "trials": 300}'
    )
    (run / STATUS).write_text(f'{{"state": "running", "request": {request}}}')
    assert interrupted(run) == (
        "interrupted with 0 of 300 trials on record; the others begin anew (a smaller "
        "cohort=... keeps more); go on with: nasrun resume=run"
    )
    (run / RUN).with_name("config.yaml").write_text(
        OmegaConf.to_yaml(composed("evaluator=training"))
    )
    assert "the others begin anew, and find finished trainings on record (a sm" in interrupted(run)
    (run / PARTS / "0").mkdir(parents=True)
    (run / PARTS / "0" / "trials.csv").write_text("seed,x\n0,1\n1,1\n1,2\n")
    assert interrupted(run).startswith("interrupted with 2 of 300 trials on record; the others b")


def test_a_folder_is_shown_as_seen_from_here_while_here_is_there(tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert shown(here / "run") == Path("run")
    assert shown(tmp_path / "run") == tmp_path / "run"
    here.rmdir()
    assert shown(here / "run") == here / "run"
