"""Everyday jobs, by commands that a person would guess from the help and the messages alone."""

import csv
import json
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from command import NASRUN, environment
from PIL import Image

import nasrun
from nasrun.spaces.nb201 import NB201

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
CELLS = np.arange(0, 15_625, 5)  # of the space: a table of a fifth of it
SMALL = (  # a training of seconds, in place of hours
    "evaluator=training", "budget.evaluations=2", "algorithm.population=2", "evaluator.channels=2",
    "evaluator.cells=1", "evaluator.epochs=1", "evaluator.recipe.batch=16",
    "evaluator.score_epochs=1", "evaluator.score_seeds=[777]", "evaluator.device=cpu",
)  # fmt: skip


def wrote(answer):
    """The folder that a run says it wrote."""
    return Path(answer.rpartition("wrote ")[2].split(":")[0].strip())


def test_search_figures_of_my_own(here, tmp_path):
    space = NB201()
    figures = {space.text(arch): 50 + place / 100 for place, arch in enumerate(space.at(CELLS))}
    with (tmp_path / "figures.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["arch", "acc", "seconds"])
        writer.writerows([cell, figure, 10] for cell, figure in figures.items())
    (tmp_path / "conf" / "tables").mkdir(parents=True)
    (tmp_path / "conf" / "tables" / "mine.yaml").write_text(
        "mine:\n  reader: csv\n  space: nb201\n"
        f"  paths: [{tmp_path}/figures.csv]\n  arch_column: arch\n  columns:\n"
        "    acc: val_score/cifar10/200of200/mean\n    seconds: train_s/cifar10/200of200/mean\n"
        "  datasets: {}\n"
    )
    answer = here(
        f"hydra.searchpath=[file://{tmp_path}/conf]", "tables=[default,mine]",
        "evaluator.sources=[mine]",
    )  # fmt: skip
    best = json.loads((wrote(answer) / "best.json").read_text())
    assert best["reward"] == figures[best["arch"]] > 70


def pictures(folder):
    """Two classes of pictures, light and dark, of different sizes."""
    draws = np.random.default_rng(0)
    for name, light in (("day", 200), ("night", 30)):
        (folder / name).mkdir(parents=True)
        for number in range(30):
            noise = draws.integers(0, 30, (20 + number % 3, 18, 3))
            Image.fromarray((light + noise).astype(np.uint8)).save(folder / name / f"{number}.png")


def test_search_a_network_for_my_own_pictures_and_run_it_elsewhere(here, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    pictures(tmp_path / "pictures")
    answer = here(
        "task=image_folder", f"task.path={tmp_path}/pictures", "task.image_px=8", *SMALL,
        "retrain.export=[weights,onnx]",
    )  # fmt: skip
    folder = wrote(answer)
    (model,) = (folder / "networks").rglob("*.onnx")
    session = runtime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    (logits,) = session.run(None, {session.get_inputs()[0].name: x})[:1]
    assert logits.shape == (2, 2)


def test_go_on_with_a_run_that_was_killed(here, tmp_path, cache_dir):
    command = ["trials=600", "cohort=100", "seed=3"]
    run = [NASRUN, *command, "hydra.run.dir=killed"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(run, cwd=tmp_path, env=environment(cache_dir), **quiet)
    while process.poll() is None and not (tmp_path / "killed" / "unfinished" / "3").exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    here("resume=killed")
    here(*command, "hydra.run.dir=whole")
    for path in (tmp_path / "whole").glob("*.csv*"):
        assert (tmp_path / "killed" / path.name).read_bytes() == path.read_bytes()


def test_play_a_run_again(here, tmp_path):
    pytest.importorskip("nasrun.rerun")
    here("trials=3", "hydra.run.dir=first")
    here("rerun", "first", "hydra.run.dir=again")
    first, again = (tmp_path / name / "trials.csv" for name in ("first", "again"))
    assert first.read_bytes() == again.read_bytes()


def test_compare_two_algorithms(here):
    both = [
        wrote(here(f"algorithm={name}", "trials=50", f"hydra.run.dir={name}"))
        for name in ("rea", "random")
    ]
    answer = here("compare", *both)
    assert "cifar10: 50 trials of each" in answer
    assert "validation" in answer
    assert "trials found the same architecture" in answer


def test_a_table_for_my_paper(here):
    folder = wrote(here("-m", "algorithm=rea,random", "trials=5"))
    (folder / "report.tex").unlink()
    here("report", folder)
    text = (folder / "report.tex").read_text()
    assert "\\toprule" in text
    assert "random" in text


def test_an_algorithm_of_my_own(here, tmp_path, monkeypatch):
    (tmp_path / "greedy.py").write_text(
        "from dataclasses import dataclass\n"
        "from nasrun.algorithms.rea import REA\n\n\n"
        "@dataclass\n"
        "class Greedy(REA):\n"
        "    name: str = 'greedy'\n"
    )
    (tmp_path / "conf" / "algorithm").mkdir(parents=True)
    (tmp_path / "conf" / "algorithm" / "greedy.yaml").write_text(
        "_target_: greedy.Greedy\nname: greedy\nsample: 2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    answer = here(f"hydra.searchpath=[file://{tmp_path}/conf]", "algorithm=greedy", "trials=3")
    assert "greedy on cifar10" in answer


def test_draw_what_was_found_and_what_a_paper_prints(here, tmp_path):
    folder = wrote(here("trials=3"))
    best = json.loads((folder / "best.json").read_text())["arch"]
    answer = here("show", folder)
    assert best in answer
    assert (folder / "best.png").read_bytes().startswith(b"\x89PNG")
    assert "0 --nor_conv_3x3--> 1" in here("draw", CELL, "--out", "cell.svg")
    assert (tmp_path / "cell.svg").exists()
    assert "wrote winner.png" in here("draw", folder, "--out", "winner.png")


def test_what_a_run_says_to_type_can_be_typed_whatever_its_folder_is_called(here):
    answer = here("trials=2", "budget.evaluations=3", "hydra.run.dir='my runs/a'")
    typed = next(line for line in answer.splitlines() if line.startswith("drawn by: nasrun "))
    assert "reward" in here(*shlex.split(typed.removeprefix("drawn by: nasrun ")))


def test_a_run_without_its_measurements_is_shown_without_a_curve(here):
    folder = wrote(here("trials=2", "budget.evaluations=3", "record.evaluations=none"))
    answer = here("show", folder)
    assert "drawn in" in answer
    assert "no anytime curve: " in answer


def test_a_run_without_the_config_that_hydra_saved_is_shown_without_its_cell(here):
    """As a copy that left out hidden folders."""
    folder = wrote(here("trials=2", "budget.evaluations=3"))
    shutil.rmtree(folder / ".hydra")
    answer = here("show", folder)
    assert "best found on cifar10, by rea" in answer
    assert "3 evaluations" in answer  # the curve
    lost = f"{folder} has no .hydra, which says what its run was composed of: copy .hydra"
    again = "or play it again with: nasrun trials=2 budget.evaluations=3"
    assert lost in answer
    assert again in answer
    for verb in (("rerun", folder), ("draw", folder, "--out", "cell.svg")):
        said = here(*verb, code=2 if verb[0] == "rerun" else 1)
        assert lost in said
        assert again in said
        assert said.count("\n") == 1
    (folder / "provenance.json").unlink()
    assert "or play it again\n" in here("rerun", folder, code=2)


def test_look_at_the_figures_in_pandas(here, tmp_path):
    folder = wrote(here("algorithm=rea,random", "-m", "trials=4", "report=null"))
    results = nasrun.load(folder)
    means = results.trials.groupby("algorithm")["val_score"].mean()
    assert set(means.index) == {"rea", "random"}
    assert means.between(80, 92).all()
    assert len(results.evaluations) == 2 * 4 * 50


def test_use_the_network_that_was_found(here, tmp_path):
    torch = pytest.importorskip("torch")
    folder = wrote(here("task=synthetic_images", *SMALL))
    network = nasrun.load(folder).best.network()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 4)


def test_a_mistake_says_what_to_do_about_it(here):
    assert "did you mean nasrun report?" in here("reprot", "x", code=2)
    assert "holds no run" in here("show", ".", code=1)
    assert "see nasrun compare --help" in here("compare", code=2)


def test_show_tells_the_spaces_of_a_sweep_apart(here):
    sources = "evaluator.sources=[synthetic_${space.name}]"
    folder = wrote(
        here("-m", "space=nb201,nats_size", sources, "trials=3", "budget.evaluations=7",
             "report=null")
    )  # fmt: skip
    answer = here("show", folder)
    results = nasrun.load(folder)
    for space in ("nb201", "nats_size"):
        best = results.found(space=space)
        assert best.row["space"] == space
        assert f"best found on cifar10 in {space}, by rea with seed {best.seed}:" in answer
        assert best.text in answer
        assert (folder / f"best-cifar10-in-{space}.png").exists()
    assert answer.count(" 7 evaluations") == 2  # of one search each, not of both in a row
