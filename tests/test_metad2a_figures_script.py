import csv
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from conditioned import QUICK, table

from nasrun.errors import ConfigError

SCRIPT = Path(__file__).parents[1] / "scripts" / "metad2a_figures.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("metad2a_figures", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_components_by_hand(script):
    """Variance 8 along the first axis, 2 along the second, 0 along the third."""
    codes = {
        "a": np.array([[2.0, 1.0, 5.0], [2.0, -1.0, 5.0]]),
        "b": np.array([[-2.0, 1.0, 5.0], [-2.0, -1.0, 5.0]]),
    }
    points, share = script.components(codes)
    assert share == pytest.approx(1.0)
    np.testing.assert_allclose(np.abs(points["a"]), [[2, 1], [2, 1]], atol=1e-12)
    assert points["a"][0, 0] == pytest.approx(-points["b"][0, 0])
    axes = np.diag([3.0, 2.0, 1.0])
    three = {"a": np.concatenate([axes, -axes])}
    assert script.components(three)[1] == pytest.approx((9 + 4) / (9 + 4 + 1))


def test_told_apart_by_hand(script):
    """The second halves: one of a is nearer to b's mean; both of b are right."""
    codes = {
        "a": np.array([[0.0], [2.0], [1.0], [9.0]]),
        "b": np.array([[9.0], [11.0], [10.0], [8.0]]),
    }
    assert script.told_apart(codes) == 0.75


def test_figures_and_files_are_written(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(script, "CELLS", 40)
    monkeypatch.setattr(script, "DRAWS", 4)
    given = [
        f"meta.path={table(tmp_path)}", "+task@meta.source=synthetic_images",
        "meta.source.name=others", "meta.source.data_seed=1", f"cache_dir={tmp_path / 'cache'}",
        "evaluator=zero_cost", "evaluator.device=cpu", "evaluator.channels=2", "evaluator.cells=1",
        *(text for text in QUICK if not text.startswith(("task=", "algorithm.draws"))),
        "algorithm.generator.epochs=20",
    ]  # fmt: skip
    assert script.main(["--out", str(tmp_path), "--tasks", "synthetic_images", "--", *given]) == 0
    assert "100% of held-out draws lie nearest" in capsys.readouterr().out
    with (tmp_path / "metad2a_figures_codes.csv").open(encoding="utf-8", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 4
    assert (tmp_path / "metad2a_figures.png").read_bytes().startswith(b"\x89PNG")


def test_cells_of_a_data_set_without_a_table_are_not_trained(script, monkeypatch):
    monkeypatch.setattr("nasrun.evaluators.training.Training.opened", pytest.fail)
    task = script._task("mnist_part", [])
    assert script._scored(task, {"random": np.zeros((2, 6), np.int64)}, []) is None


def test_both_kinds_of_cells_are_drawn(script):
    cells = {
        origin: script.Cells(np.zeros((50, 6), np.int64), np.linspace(low, 90.0, 50))
        for origin, low in (("generated", 80.0), ("random", 40.0))
    }
    codes = {task: place * np.eye(4) for place, task in enumerate("abcd")}
    shown = script.Shown(codes, {"a": cells})
    drawn = script.draw(shown, script.by_components(shown.codes))
    assert set(drawn) == {"png", "svg"}
    assert b"of random further left" in drawn["svg"]
    for place in range(len(codes) + len(cells)):  # a colour for each entry of the legend
        assert script.line_style(place)["color"].lower().encode() in drawn["svg"]


def test_tsne_keeps_neighbours_together(script):
    """Two clouds, 30 standard deviations apart, of unequal size: nearest neighbours stay within."""
    pytest.importorskip("sklearn")
    draws = np.random.default_rng(0)
    codes = {"a": draws.normal(size=(12, 5)), "b": draws.normal(size=(8, 5)) + 30.0}
    placed = script.by_tsne(codes)
    assert {task: own.shape for task, own in placed.points.items()} == {"a": (12, 2), "b": (8, 2)}
    together = np.concatenate(list(placed.points.values()))
    apart = np.linalg.norm(together[:, None] - together, axis=2)
    np.fill_diagonal(apart, np.inf)
    assert ((apart.argmin(1) < 12) == (np.arange(20) < 12)).all()
    assert placed.axes[0] == "t-SNE, perplexity 6.33333"


def test_tsne_without_its_package_or_codes_is_refused(script, monkeypatch):
    with pytest.raises(ConfigError, match="four codes"):
        script.by_tsne({"a": np.eye(3)})
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(ConfigError, match=r"nasrun\[predictors\]"):
        script.by_tsne({"a": np.eye(5)})


def test_a_refusal_is_one_sentence(script, capsys):
    assert script.main(["--tasks", "cifar10", "--", "algorithm.count=0"]) != 0
    assert capsys.readouterr().err.startswith("metad2a_figures: algorithm.count")
