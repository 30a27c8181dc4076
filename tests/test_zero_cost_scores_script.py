"""scripts/zero_cost_scores.py on cells that a CSV file names, and on drawn ones."""

import importlib.util
import sys
from pathlib import Path

import pandas as pd
import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "zero_cost_scores.py"
REDUCED = [
    "task=synthetic_images", "evaluator.channels=4", "evaluator.cells=1", "evaluator.batch=4",
]  # fmt: skip
CELLS = [
    "|none~0|+|skip_connect~0|none~1|+|none~0|none~1|nor_conv_3x3~2|",
    "|none~0|+|skip_connect~0|none~1|+|none~0|none~1|avg_pool_3x3~2|",
    # The second in another encoding: what the lone edge to node 1 does is of no effect.
    "|nor_conv_1x1~0|+|skip_connect~0|none~1|+|none~0|none~1|avg_pool_3x3~2|",
]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("zero_cost_scores_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_cells_of_a_file_are_scored_once_in_its_order(script, tmp_path):
    rows = [CELLS[0], CELLS[1], CELLS[0], CELLS[2]]
    pd.DataFrame({"epoch": range(4), "arch": rows}).to_csv(tmp_path / "own.csv", index=False)
    out = tmp_path / "folder" / "scores.csv.gz"
    assert script.main([str(out), "--of", str(tmp_path / "own.csv"), *REDUCED]) == 0
    table = pd.read_csv(out)
    assert table.columns.tolist() == ["arch", *script.PROXIES]
    assert table["arch"].tolist() == CELLS
    scores = table.set_index("arch")
    assert scores.loc[CELLS[1]].equals(scores.loc[CELLS[2]])
    assert scores.loc[CELLS[0], "params"] > scores.loc[CELLS[1], "params"]
    some = [str(tmp_path / "some"), "--of", str(tmp_path / "own.csv"), *REDUCED]
    assert script.main([*some, "--only", "snip,params"]) == 0
    again = pd.read_csv(tmp_path / "some", compression="gzip")
    assert again.equals(table[["arch", "snip", "params"]])
    with pytest.raises(SystemExit):
        script.main([*some, "--only", "snap"])


def test_drawn_cells_are_different_and_repeat_by_seed(script, tmp_path):
    tables = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        arguments = [str(tmp_path / name), "--cells", "3", "--seed", str(seed)]
        assert script.main([*arguments, *REDUCED]) == 0
        tables.append((tmp_path / name).read_bytes())
    assert tables[0] == tables[1] != tables[2]
    assert pd.read_csv(tmp_path / "a", compression="gzip")["arch"].nunique() == 3


@pytest.mark.parametrize("text", [None, "name\nx\n", "arch\n|nor_conv_3x3~0|\n", "arch\n"])
def test_a_file_without_cells_is_refused_in_one_sentence(script, tmp_path, capsys, text):
    if text is not None:
        (tmp_path / "own.csv").write_text(text)
    arguments = [str(tmp_path / "out"), "--of", str(tmp_path / "own.csv"), *REDUCED]
    assert script.main(arguments) == 1
    [sentence] = capsys.readouterr().out.splitlines()
    words = f"{tmp_path / 'own.csv'}: no file with the cells in a column arch ("
    assert sentence.startswith(words)
    assert not (tmp_path / "out").exists()
