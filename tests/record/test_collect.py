import dataclasses
import os
import re
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from toys import Latency, ToyEvaluator, toy_experiment

import nasrun
from nasrun.algorithms.random_search import RandomSearch
from nasrun.errors import DataError
from nasrun.files import read_csv, write_csv, write_json
from nasrun.pipeline import run
from nasrun.record.collect import SWEEP, collect, require_whole_below
from nasrun.record.found import found_jobs
from nasrun.record.recorder import Recorder
from nasrun.record.request import Request
from nasrun.record.rows import PARETO_COLUMNS, ParetoRow, values
from nasrun.record.status import PARTS, STATUS, TRIALS, read_status
from nasrun.report.jobs import find_jobs
from nasrun.spec import RewardTerms

FRONT = ParetoRow(
    space="toy",
    search_task="toy",
    task="toy",
    algorithm="random",
    seed=0,
    arch="000",
    epochs=12,
    metric="accuracy_pct",
    val_score=1.0,
    test_metric=None,
    test_score=None,
    latency_ms=2.0,
    reward=1.0,
    params_m=None,
    flops_m=None,
    hypervolume=0.0,
    **vars(RewardTerms()),
    **vars(ToyEvaluator().protocol),
    meta="none",
    final=None,
)


def job(folder, seed, trials, data="one", words=(), composed="composed", conf="conf"):
    request = Request((f"seed={seed}", *words), conf, composed, data, seed, trials)
    with Recorder(folder, f"{seed}-{trials}", request) as recorder:
        run(toy_experiment(RandomSearch(), seed=seed, trials=trials).opened(), recorder, dict)


def joined(folder):
    return {name: (folder / name).read_bytes() for name in ("trials.csv", "summary.csv")}


def test_any_split_of_the_trials_gives_the_same_bytes(tmp_path):
    splits = {"one": [(0, 12)], "four": [(9, 3), (0, 4), (4, 4), (8, 1)]}
    for name, jobs in splits.items():
        for seed, trials in jobs:
            job(tmp_path / name / f"job{seed}", seed, trials)
        assert collect(tmp_path / name).rows == 12
    assert joined(tmp_path / "one") == joined(tmp_path / "four")


def test_collecting_again_changes_nothing(tmp_path):
    job(tmp_path / "a", 0, 3)
    collect(tmp_path)
    before = joined(tmp_path)
    collect(tmp_path)
    assert joined(tmp_path) == before


def test_failed_and_unfinished_jobs_are_named_and_the_rest_is_joined(tmp_path):
    job(tmp_path / "good", 0, 3)
    write_json(tmp_path / "bad" / STATUS, {"state": "failed", "reason": "no disk, no luck"})
    write_json(tmp_path / "cut" / STATUS, {"state": "running"})
    collected = collect(tmp_path)
    assert (collected.rows, collected.complete) == (3, 1)
    assert collected.failed == {"bad": "no disk, no luck"}
    assert collected.unfinished == ["cut"]
    assert read_csv(tmp_path / "failed.csv") == [{"job": "bad", "reason": "no disk, no luck"}]
    (tmp_path / "bad" / STATUS).unlink()
    collect(tmp_path)
    assert not (tmp_path / "failed.csv").exists()


def test_a_job_that_claims_more_than_it_has_is_not_done(tmp_path):
    job(tmp_path / "a", 0, 3)
    job(tmp_path / "b", 3, 3)
    rows = (tmp_path / "b" / "trials.csv").read_text().splitlines(keepends=True)
    (tmp_path / "b" / "trials.csv").write_text("".join(rows[:-1]))
    collected = collect(tmp_path)
    assert (collected.rows, collected.complete, collected.unfinished) == (3, 1, ["b"])
    assert {request.seed for request in collected.requests} == {0}
    assert {job.folder.name: job.complete for job in found_jobs(tmp_path)} == {
        "a": True, "b": False,
    }  # fmt: skip


def test_the_same_trial_in_two_jobs_is_refused_by_name(tmp_path):
    job(tmp_path / "a", 0, 3)
    job(tmp_path / "b", 2, 3)
    with pytest.raises(DataError, match="both hold random on toy with seed 2"):
        collect(tmp_path)


def test_parts_of_a_search_on_different_data_are_refused_by_name(tmp_path):
    job(tmp_path / "a", 0, 3)
    job(tmp_path / "b", 3, 3, data="another")
    with pytest.raises(DataError, match=r"a and .*b are parts of one search, but read different"):
        collect(tmp_path)


def override(folder, *settings, made=True):
    (folder / ".hydra").mkdir(parents=not made)
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {text}\n" for text in settings))


def test_jobs_that_differ_in_a_setting_are_named_after_it(tmp_path):
    for name, size, seed in [("a", 5, 0), ("b", 7, 0), ("c", 5, 3), ("d", 7, 3)]:
        job(tmp_path / name, seed, 3)
        override(tmp_path / name, f"algorithm.population={size}", f"seed={seed}", "hydra.x=1")
    collect(tmp_path)
    found = {(row["algorithm"], row["seed"]) for row in read_csv(tmp_path / "trials.csv")}
    assert found == {(f"random[population={n}]", str(s)) for n in (5, 7) for s in range(6)}


def test_jobs_of_a_sweep_that_was_resumed_keep_the_names_of_the_others(tmp_path):
    for name, size, seed in [("a", 5, 0), ("b", 7, 0), ("c", 5, 3), ("d", 7, 3)]:
        job(tmp_path / name, seed, 3)
        resumed = ("resume=here", "sweep.split=2") if seed else ()
        override(tmp_path / name, f"algorithm.population={size}", f"seed={seed}", *resumed)
    collect(tmp_path)
    names = [row["algorithm"] for row in read_csv(tmp_path / "trials.csv")]
    assert sorted(set(names)) == ["random[population=5]", "random[population=7]"]


def test_jobs_of_two_protocols_are_named_after_what_sets_them(tmp_path):
    for fidelity in ("val@12", "val@200"):
        folder = tmp_path / fidelity
        job(folder, 0, 3)
        path = folder / "trials.csv"
        first, *rows = path.read_text().splitlines()
        at = first.split(",").index("fidelity")
        changed = [[*row.split(",")[:at], fidelity, *row.split(",")[at + 1 :]] for row in rows]
        path.write_text("\n".join([first, *map(",".join, changed)]) + "\n")
        override(folder, f"evaluator.reward={fidelity}")
    collect(tmp_path)
    found = {(row["algorithm"], row["fidelity"]) for row in read_csv(tmp_path / "trials.csv")}
    assert found == {(f"random[reward={name}]", name) for name in ("val@12", "val@200")}


def test_jobs_that_do_not_clash_keep_their_names(tmp_path):
    for name, seed in [("a", 0), ("b", 3)]:
        job(tmp_path / name, seed, 3)
        override(tmp_path / name, f"cohort={seed + 1}", "algorithm.x=1")
    collect(tmp_path)
    assert {row["algorithm"] for row in read_csv(tmp_path / "trials.csv")} == {"random"}


def test_trials_of_different_settings_are_never_one_search(tmp_path):
    for name, size, seed in [("a", 5, 0), ("b", 7, 3)]:
        words = (f"algorithm.population={size}",)
        job(tmp_path / name, seed, 3, words=words, composed=f"of {size}")
        override(tmp_path / name, *words, f"seed={seed}")
    collect(tmp_path)
    found = {(row["algorithm"], int(row["seed"])) for row in read_csv(tmp_path / "trials.csv")}
    a, b = "random[population=5]", "random[population=7]"
    assert found == {*((a, seed) for seed in range(3)), *((b, seed) for seed in range(3, 6))}
    # Two files of one name, such as random.yaml and a copy of it: no setting tells them apart.
    override(tmp_path / "c", "algorithm=mine", "seed=6", made=False)
    job(tmp_path / "c", 6, 3, words=("algorithm=mine",), composed="mine")
    override(tmp_path / "d", "algorithm=other", "seed=9", made=False)
    job(tmp_path / "d", 9, 3, words=("algorithm=other",), composed="other")
    with pytest.raises(DataError, match=r"c and .*d both hold random on toy, by different set"):
        collect(tmp_path)


def test_trials_from_before_and_after_an_edit_are_said_to_be(tmp_path, caplog):
    job(tmp_path / "a", 0, 3)
    job(tmp_path / "b", 3, 3, conf="a comment more")
    job(tmp_path / "c", 6, 3, composed="a value that follows the seed")
    collect(tmp_path)
    assert not caplog.text
    job(tmp_path / "d", 9, 3, composed="of 7", conf="edited")
    collect(tmp_path)
    assert re.search(r"a and .*d both hold random on toy, from before and after", caplog.text)


def test_trials_that_keep_their_measurements_otherwise_are_one_search(tmp_path):
    job(tmp_path / "a", 0, 3, composed="with csv")
    words = ("record.evaluations=gz",)
    override(tmp_path / "b", *words, "seed=3", made=False)
    job(tmp_path / "b", 3, 3, words=words, composed="with gz")
    collect(tmp_path)
    assert {row["algorithm"] for row in read_csv(tmp_path / "trials.csv")} == {"random"}


def test_trials_that_aim_at_different_latencies_are_said_to(tmp_path, caplog):
    for name, seed, target_ms in [("a", 0, 4.0), ("b", 3, 4.5)]:
        aimed = toy_experiment(
            RandomSearch(), seed=seed, trials=3, hardware=Latency(target_ms=target_ms)
        )
        with Recorder(tmp_path / name, name) as recorder:
            run(aimed.opened(), recorder, dict)
    caplog.clear()
    collect(tmp_path)
    [said] = caplog.messages
    assert said.startswith("random on toy: rewards of its trials do not compare, since each")
    assert said.endswith("(4.0 to 4.5): set hardware.target_ms")


def test_rows_of_another_format_are_refused(tmp_path):
    job(tmp_path / "a", 0, 3)
    (tmp_path / "a" / "trials.csv").write_text("seed,arch\n1,000\n")
    with pytest.raises(DataError, match="expected the columns of this version of nasrun"):
        collect(tmp_path)


def test_fronts_are_joined_and_their_hypervolume_is_summarised(tmp_path):
    for seed in (0, 3):
        folder = tmp_path / str(seed)
        job(folder, seed, 3)
        front = [
            dataclasses.replace(FRONT, seed=number, hypervolume=10.0 * number)
            for number in range(seed, seed + 3)
        ]
        write_csv(folder / "pareto.csv", PARETO_COLUMNS, map(values, front))
    collect(tmp_path)
    assert [row["seed"] for row in read_csv(tmp_path / "pareto.csv")] == list("012345")
    summary = {row["figure"]: row for row in read_csv(tmp_path / "summary.csv")}
    assert (summary["hypervolume"]["n"], summary["hypervolume"]["mean"]) == ("6", "25.0")
    for seed in (0, 3):
        (tmp_path / str(seed) / "pareto.csv").unlink()
    collect(tmp_path)
    assert not (tmp_path / "pareto.csv").exists()


def test_a_finished_run_that_has_lost_trials_gives_no_figures(tmp_path):
    job(tmp_path, 0, 3)
    require_whole_below(tmp_path)
    assert len(nasrun.load(tmp_path).trials) == 3
    lines = (tmp_path / "trials.csv").read_text().splitlines(keepends=True)
    (tmp_path / "trials.csv").write_text("".join(lines[:-1]))
    for read in (require_whole_below, nasrun.load):
        with pytest.raises(DataError, match=r"trials\.csv or a file .* lost its end .* resume="):
            read(tmp_path)


def test_a_sweep_whose_later_jobs_are_not_joined_gives_no_figures(tmp_path):
    (tmp_path / SWEEP).touch()
    job(tmp_path / "a", 0, 3)
    collect(tmp_path)
    require_whole_below(tmp_path)
    job(tmp_path / "b", 3, 4)
    with pytest.raises(DataError, match=r"has 3 of the 7 rows .* resume=.* goes on"):
        nasrun.load(tmp_path)
    collect(tmp_path)
    assert len(nasrun.load(tmp_path).trials) == 7
    job(tmp_path / "below" / "c", 7, 2)  # by another command
    with pytest.raises(DataError, match="or other commands have played in its folder"):
        require_whole_below(tmp_path)
    shutil.rmtree(tmp_path / "below")
    shutil.rmtree(tmp_path / "a")  # its trials are joined
    assert len(nasrun.load(tmp_path).trials) == 7


def test_joined_trials_of_other_jobs_give_no_figures(tmp_path):
    (tmp_path / SWEEP).touch()
    job(tmp_path / "a", 0, 3)
    collect(tmp_path)
    shutil.rmtree(tmp_path / "a")
    job(tmp_path / "b", 3, 3)  # as many, of other seeds
    with pytest.raises(DataError, match=r"has 0 of the 3 rows .* resume=.* goes on"):
        nasrun.load(tmp_path)
    collect(tmp_path)
    assert nasrun.load(tmp_path).trials["seed"].tolist() == [3, 4, 5]


def test_joined_trials_that_a_job_has_otherwise_give_no_figures(tmp_path):
    (tmp_path / SWEEP).touch()
    job(tmp_path / "a", 0, 3)
    collect(tmp_path)
    rows = read_csv(tmp_path / TRIALS)
    rows[1]["val_score"] = "99.5"
    write_csv(tmp_path / TRIALS, list(rows[0]), [list(row.values()) for row in rows])
    with pytest.raises(DataError, match="has 2 of the 3 rows"):
        require_whole_below(tmp_path)


def test_jobs_that_were_joined_under_names_with_their_settings_are_joined(tmp_path):
    (tmp_path / SWEEP).touch()
    for size in (5, 7):
        place = tmp_path / f"p{size}"
        job(place, 0, 2, words=(f"algorithm.size={size}",), composed=f"of {size}")
        override(place, f"algorithm.size={size}")
    collect(tmp_path)
    names = {row["algorithm"] for row in read_csv(tmp_path / TRIALS)}
    assert names == {"random[size=5]", "random[size=7]"}
    require_whole_below(tmp_path)
    shutil.rmtree(tmp_path / "p5")  # the other would have a plain name now
    require_whole_below(tmp_path)


def test_studies_in_a_sweep_leave_the_measurements_of_its_searches(tmp_path):
    job(tmp_path / "a", 0, 3)
    study = tmp_path / "b"
    job(study, 0, 2)
    (study / "trials.csv").rename(study / "predictors.csv")
    status = {key: kept for key, kept in read_status(study).items() if key != "bytes"}
    write_json(study / STATUS, {**status, "rows": "predictors.csv"})
    collect(tmp_path)
    assert set(nasrun.load(tmp_path).evaluations["job"]) == {"a"}


def test_a_job_that_stands_twice_in_a_sweep_is_named(tmp_path):
    (tmp_path / SWEEP).touch()
    job(tmp_path / "a", 0, 3)
    collect(tmp_path)
    shutil.copytree(tmp_path / "a", tmp_path / "a-rerun1")  # where an earlier version put it
    with pytest.raises(DataError, match=r"a and .*a-rerun1 both hold random .* delete one"):
        require_whole_below(tmp_path)


def test_a_job_that_was_moved_and_linked_is_a_job(tmp_path):
    sweep = tmp_path / "sweep"
    for name, seed in (("a", 0), ("b", 3)):
        job(sweep / name, seed, 3)
    collect(sweep)
    before = joined(sweep)
    shutil.move(sweep / "a", tmp_path / "elsewhere")
    (sweep / "a").symlink_to(tmp_path / "elsewhere")
    (sweep / "latest").symlink_to(sweep / "b")  # no job of its own
    (sweep / "nowhere").symlink_to(tmp_path / "gone")
    assert collect(sweep).rows == 6
    assert joined(sweep) == before
    assert [one.folder.name for one in find_jobs(sweep)] == ["a", "b"]
    assert {one.folder.name for one in found_jobs(sweep)} == {"a", "b"}


def test_intervals_draw_the_agents_of_a_search_that_was_split(tmp_path):
    for seed, agents in ((0, 4), (3, 2)):
        job(tmp_path / str(seed), seed, 3)
        origin = {"meta": {"agents": agents, "cost_s": None}}
        write_json(tmp_path / str(seed) / "provenance.json", origin)
    collect(tmp_path)
    rewards = [float(row["reward"]) for row in read_csv(tmp_path / "trials.csv")]
    ends = sorted([sum(rewards[::2]) / 3, sum(rewards[1::2]) / 3])  # two agents: each alone
    (own,) = (row for row in read_csv(tmp_path / "summary.csv") if row["figure"] == "reward")
    assert (own["n"], own["units"]) == ("6", "2")
    assert (float(own["ci_low"]), float(own["ci_high"])) == pytest.approx(ends, abs=1e-5)


def test_processes_that_collect_at_once_lose_no_row(tmp_path):
    with ProcessPoolExecutor(3) as pool:
        done = [pool.submit(_work, tmp_path, seed) for seed in range(0, 30, 3)]
        assert all(future.result() > 0 for future in done)
    assert collect(tmp_path).rows == 30
    assert len(read_csv(tmp_path / "trials.csv")) == 30


class Listed(list):
    """Directory entries that were read in full before something was removed."""

    def __enter__(self):
        return iter(self)

    def __exit__(self, *_):
        pass

    def __next__(self):
        if not self:
            raise StopIteration
        return self.pop(0)


def test_what_vanishes_while_jobs_are_looked_for_is_no_failure(tmp_path, monkeypatch):
    job(tmp_path / "job", 0, 3)
    parts = tmp_path / "other" / PARTS
    parts.mkdir(parents=True)
    scandir = os.scandir

    def late(place):
        with scandir(place) as entries:
            listed = Listed(entries)
        if Path(place) == parts.parent:
            parts.rmdir()
        return listed

    monkeypatch.setattr(os, "scandir", late)
    assert collect(tmp_path).rows == 3


def _work(folder, seed):
    job(folder / str(seed), seed, 3)
    return collect(folder).rows
